"""Every bound of the engine that is not a user's setting, with the reason for its figure."""

from __future__ import annotations

# Kafka allows 249 characters in a topic; the longest suffix and an application id's dash need the rest.
NAME_LENGTH_MAX = 200
TOPIC_LENGTH_MAX = 249
# Records of one poll: large enough that per-batch costs vanish, small enough that a batch ends well within a commit.
POLL_RECORDS_MAX = 20_000
# Operators that a record may pass one below the other. Each takes up to six frames of Python's stack, which has 1000.
PATH_LENGTH_MAX = 140
