"""Bounds of the query service, each with its reason."""

# Entries of a page: a page is read in one go on a thread that shares the interpreter with the loop.
PAGE_ENTRIES_DEFAULT = 100
PAGE_ENTRIES_MAX = 1_000
# Raw bytes of a page: 1,000 entries of a megabyte each would be a gigabyte. A page holds at least one entry.
PAGE_BYTES_MAX = 4 * 1024 * 1024
# What a page with where= looks at before it hands on a cursor, however little it found: decoding and testing a row
# costs some microseconds of the interpreter that the loop works in.
FILTER_ROWS_MAX = 10_000
FILTER_SECONDS_MAX = 0.5
# Rows fetched at a time while filtering.
FILTER_CHUNK_ROWS = 500
# What a question for the largest entries looks at, in all partitions together and in each; rows are not decoded.
LARGEST_ROWS_MAX = 400_000
LARGEST_PARTITION_ROWS_MIN = 1_000
LARGEST_SECONDS_MAX = 1.0
LARGEST_ENTRIES_DEFAULT = 20
LARGEST_ENTRIES_MAX = 100
# Copies of which one answer tells how they lie on disk; each is asked of its owner.
STORAGE_PARTITIONS_DEFAULT = 100
STORAGE_PARTITIONS_MAX = 1_000
# Keys of one multi-get: the same bound as a page.
MULTI_GET_KEYS_MAX = 1_000
# A request's body: 1,000 keys of 1 KiB.
BODY_BYTES_MAX = 1024 * 1024
# A cursor holds one key; longer ones were not made here.
CURSOR_CHARS_MAX = 96 * 1024
# uvicorn's httptools parser refuses longer request heads; a key in a query string must fit.
REQUEST_HEAD_BYTES_MAX = 64 * 1024
# Partitions asked at once by one page; more would let one reader occupy every instance.
FAN_OUT_MAX = 8
# A forwarded request: the owner is one hop away and answers in milliseconds or is in trouble.
FORWARD_CONNECT_SECONDS = 1.0
FORWARD_READ_SECONDS = 5.0
FORWARD_CONNECTIONS_MAX = 64
# An answer of an owner: a page, base64 and JSON escapes included.
FORWARD_ANSWER_BYTES_MAX = 64 * 1024 * 1024
# An instance reports every 2 s; after three missed reports it is unreachable (DESIGN §7).
REPORT_SILENCE_MS = 6_000
# Keys of one multi-get that are read on the event loop itself; more go to a reader thread.
INLINE_READS_MAX = 16
# Threads that read pages, so that a long scan does not hold up point reads.
READER_THREADS = 4
# Time that the interpreter gives a busy loop thread before a waiting query gets its turn (DESIGN §6).
SWITCH_INTERVAL_SECONDS = 0.0005
# Time within which requests under way may end when the service stops.
SHUTDOWN_SECONDS = 3
# Partitions of snapshots that stay open between two questions, each with files and a share of the block cache.
SNAPSHOT_STORES_OPEN_MAX = 8
SNAPSHOT_IDLE_SECONDS = 60.0
