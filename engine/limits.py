"""Every bound of the engine that is not a user's setting, with the reason for its figure."""

from __future__ import annotations

# Kafka allows 249 characters in a topic; the longest suffix and an application id's dash need the rest.
NAME_LENGTH_MAX = 200
TOPIC_LENGTH_MAX = 249
# Records of one poll: large enough that per-batch costs vanish, small enough that a batch ends well within a commit.
POLL_RECORDS_MAX = 20_000
# A processor that forwards to itself through user code would recurse for ever.
FORWARD_DEPTH_MAX = 200
