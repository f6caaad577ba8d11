"""The works that are timed, as topologies of ours; `PeerApplication.java` holds the same for Kafka Streams."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from engine import (
    Consumed,
    Grouped,
    Joined,
    Materialized,
    Produced,
    SessionWindows,
    StreamsBuilder,
    TimeWindows,
    serdes,
)

Build = Callable[[StreamsBuilder], None]
WINDOW_SECONDS = 10
GAP_SECONDS = 1
# At the default, gap plus grace, Kafka Streams' answer for sessions exactly one gap apart depends on when its record cache
# was flushed last (docs/warts.md), and the results could not be compared.
SESSION_RETENTION_MS = 60_000
AMOUNT_AT_LEAST = 100


def _topics() -> tuple[str, str, str]:
    # The benchmark runs a work in a process of its own, so the topics come by the environment.
    return os.environ["BENCHMARK_INPUT"], os.environ["BENCHMARK_TABLE"], os.environ["BENCHMARK_OUTPUT"]


def _input(builder: StreamsBuilder) -> Any:
    return builder.stream(_topics()[0], Consumed(serdes.bytes, serdes.bytes))


def count(builder: StreamsBuilder) -> None:
    """Count by key into RocksDB."""
    _input(builder).group_by_key().count(Materialized("counts", serdes.bytes, serdes.int64))


def window(builder: StreamsBuilder) -> None:
    """Count by key in tumbling windows."""
    windows = TimeWindows.of(seconds=WINDOW_SECONDS)
    _input(builder).group_by_key().windowed_by(windows).count(Materialized("counts", serdes.bytes, serdes.int64))


def session(builder: StreamsBuilder) -> None:
    """Count by key in sessions."""
    sessions = SessionWindows.of(seconds=GAP_SECONDS)
    kept = Materialized("counts", serdes.bytes, serdes.int64, retention_ms=SESSION_RETENTION_MS)
    _input(builder).group_by_key().windowed_by(sessions).count(kept)


def join(builder: StreamsBuilder) -> None:
    """Join the stream with a table of all keys, to a topic."""
    _, table, output = _topics()
    users = builder.table(table, Consumed(serdes.bytes, serdes.bytes), Materialized("users"))
    _input(builder).join(users, lambda left, right: left + right, Joined("users-join")).to(
        output, Produced(serdes.bytes, serdes.bytes)
    )


def dsl(builder: StreamsBuilder) -> None:
    """JSON, a filter, a new key through a repartition topic, a count."""
    (
        builder.stream(_topics()[0], Consumed(serdes.string, serdes.json))
        .filter(lambda _, value: value["amount"] >= AMOUNT_AT_LEAST)
        .map(lambda _, value: (f"a{value['amount']}", "1"))
        .group_by_key(Grouped("by-amount", serdes.string, serdes.string))
        .count(Materialized("counts", serdes.string, serdes.int64))
    )


WORKS: dict[str, Build] = {"count": count, "window": window, "session": session, "join": join, "dsl": dsl}
