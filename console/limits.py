"""Every bound of the console, in one place, each with its reason. Whoever needs a limit reads it here."""

from __future__ import annotations

# --- status records (docs/contracts.md, section 1)
STATUS_RECORD_BYTES_MAX = 64 * 1024
TOPOLOGY_RECORD_BYTES_MAX = 1024 * 1024

# --- observer
# Redis and Channels hear of changes this often at most: the page draws twice a second, so half of that is enough.
FLUSH_INTERVAL_MS = 200
HEARTBEAT_INTERVAL_MS = 1_000
# Engines report every 0.5 s when busy and every 2 s when idle. Three missed reports are the measure, but a single
# slow fetch must not paint an instance red, hence the floor.
LATE_REPORTS = 3
LATE_FLOOR_MS = 1_500
# The report that follows an idle one may take this long to come.
CADENCE_MS_MAX = 2_000
# A probe of a late instance's port answers at once on a network that works.
PROBE_TIMEOUT_S = 0.4
# Rows of an instance that ended uncleanly stay visible this long, then expire.
INSTANCE_EXPIRY_MS = 10 * 60_000
VERDICT_INTERVAL_MS = 2_000
LAG_SAMPLE_INTERVAL_MS = 5_000
# With more partitions the database is sampled less often instead: SQLite takes this many rows beside its other work.
LAG_ROWS_PER_SECOND_MAX = 400
# Lag samples older than this lose detail: one a minute is kept, then one in ten minutes, then none.
LAG_FULL_MS = 3 * 3_600_000
LAG_MINUTE_MS = 2 * 86_400_000
LAG_KEEP_MS = 30 * 86_400_000
# Sizes of stores change slowly: one sample a minute for two days, then one in ten minutes for a quarter.
SIZE_SAMPLE_INTERVAL_MS = 60_000
SIZE_FULL_MS = 2 * 86_400_000
SIZE_KEEP_MS = 90 * 86_400_000
EVENTS_KEEP_MS = 90 * 86_400_000

# Who owned what: short spells lose their rows after this, and all rows go after that.
OWNERSHIP_FULL_MS = 7 * 86_400_000
OWNERSHIP_SPELL_MS = 60_000
OWNERSHIP_KEEP_MS = 90 * 86_400_000
# The observer notes that it records this often; a silence of three of these is a gap.
OBSERVED_INTERVAL_MS = 5_000
# A task that moves this often within this time is flapping.
FLAPPING_MOVES = 3
FLAPPING_MS = 10 * 60_000

# --- live
SNAPSHOT_INTERVAL_MS = 500
ALIVE_INTERVAL_MS = 1_000
RIGHTS_INTERVAL_MS = 5_000
# What a browser may send: it only ever says which topic it wants.
SOCKET_MESSAGE_BYTES_MAX = 4 * 1024
STALE_MS = 5_000

# --- jobs
# The longest that one job may run; Redis redelivers a message after the visibility timeout, so that must be longer.
JOB_SECONDS_MAX = 6 * 3600
VISIBILITY_TIMEOUT_S = JOB_SECONDS_MAX + 3600
LEASE_SECONDS = 30
LEASE_RENEW_SECONDS = 5
# A job left queued because the message was lost (Redis emptied) is sent again after this long.
QUEUED_RESEND_SECONDS = 60
ATTEMPTS_MAX = 3
PROGRESS_INTERVAL_MS = 500
SWAP_SECONDS_MAX = 600
# A verify reads the live store in pages of this many rows: large enough to vanish, small enough not to be noticed.
VERIFY_PAGE_ROWS = 1_000
VERIFY_PAGE_BYTES = 4 * 1024 * 1024
# Rows that differ are kept, with their values cut, for people to look at; the others are only counted.
DIFF_ROWS_MAX = 10_000
DIFF_CHARACTERS_MAX = 300
# Rows that differ at first sight are settled with the changelog's newer records once there are this many of them.
DIFF_CANDIDATES_MAX = 50_000
# What an export may write, and how long its file stays.
EXPORT_BYTES_MAX = 1024**3
EXPORT_KEEP_SECONDS = 24 * 3600

# How long a snapshot stays unless its maker says otherwise, and the most that may be said.
SNAPSHOT_KEEP_SECONDS = 3 * 24 * 3600
SNAPSHOT_KEEP_SECONDS_MAX = 90 * 24 * 3600

# --- alerts
ALERT_RULES_MAX = 200
ALERT_EMAILS_MAX = 20
WEBHOOK_TIMEOUT_S = 5.0
# Pauses before the second, third … try; after the last one the delivery has failed.
ALERT_RETRY_SECONDS = (10, 30, 120, 600, 1_800)
# A claim outlives the longest try by far; a worker that died loses it then.
ALERT_CLAIM_SECONDS = 90
ALERT_DELIVERIES_AT_ONCE = 50

# --- API and pages
REQUEST_BODY_BYTES_MAX = 1024 * 1024
PAGE_ENTRIES_DEFAULT = 100
PAGE_ENTRIES_MAX = 1_000
# Sessions that overlap the one asked for come with it; an entry's page picks the right one among so many.
ENTRY_SPANS_MAX = 20
# How long a page goes on looking for entries for which an expression holds before it says how far it came.
FILTER_SECONDS_MAX = 2.0
PAGE_ROWS_DEFAULT = 100
PAGE_ROWS_MAX = 1_000
# A key's history is read backwards from the changelog's end in stretches; a page waits this long for it at most.
HISTORY_VERSIONS_DEFAULT = 20
HISTORY_VERSIONS_MAX = 100
HISTORY_RECORDS_MAX = 500_000
HISTORY_SECONDS_MAX = 4.0
HISTORY_STRETCH_OFFSETS = 20_000
REGISTRY_TIMEOUT_S = 3.0
# How a store lies on disk is asked of its owners this often at most, its changelog's settings and offsets of Kafka.
STORAGE_KEPT_S = 2.0
CHANGELOG_KEPT_S = 10.0
KEPT_ANSWERS_MAX = 256
# Partitions of which one page tells how they lie on disk: each is asked of its owner.
STORAGE_PARTITIONS_SHOWN = 50
# A value longer than this is cut on a page, and the page says so; the API gives it whole.
DISPLAY_BYTES_MAX = 20 * 1024
ENGINE_TIMEOUT_S = 10.0
KAFKA_TIMEOUT_S = 5.0
WHY_CHARACTERS_MAX = 500
