from __future__ import annotations

from typing import Any

import pytest

from engine import (
    BufferConfig,
    Consumed,
    EmitStrategy,
    Materialized,
    SessionWindows,
    SlidingWindows,
    StreamsBuilder,
    Suppressed,
    TimeWindows,
    serdes,
)
from engine.errors import ConfigError, TopologyError

COUNTS = Materialized("counts", serdes.string, serdes.int64)
HOURLY = TimeWindows.of(hours=1)


def grouped(builder: StreamsBuilder | None = None) -> Any:
    return (builder or StreamsBuilder()).stream("in", Consumed(serdes.string, serdes.string)).group_by_key()


@pytest.mark.parametrize("windows", [HOURLY, SlidingWindows.of(minutes=1), SessionWindows.of(minutes=1)])
def test_the_store_of_a_windowed_aggregation_must_be_named(windows: Any) -> None:
    windowed = grouped().windowed_by(windows)
    for count in (windowed.count, lambda: windowed.count(Materialized(None, serdes.string, serdes.int64))):
        with pytest.raises(TopologyError, match="needs a name"):
            count()
    with pytest.raises(TopologyError, match="needs a name"):
        windowed.reduce(max)


def test_a_store_keeps_windows_for_as_long_as_they_can_change() -> None:
    builder = StreamsBuilder()
    grouped(builder).windowed_by(TimeWindows.of(10, grace_ms=5)).count(Materialized("time"))
    grouped(builder).windowed_by(SlidingWindows.of(10, grace_ms=5)).count(Materialized("sliding"))
    grouped(builder).windowed_by(SessionWindows.of(10, grace_ms=5)).count(Materialized("session"))
    grouped(builder).windowed_by(HOURLY).count(Materialized("long", retention_ms=7_200_000))
    stores = builder.graph.stores
    assert {name: (spec.kind, spec.retention_ms, spec.window_ms) for name, spec in stores.items()} == {
        "time": ("window", 15, 10),
        "sliding": ("window", 25, 10),
        "session": ("session", 15, None),
        "long": ("window", 7_200_000, 3_600_000),
    }


def test_a_retention_below_size_and_grace_is_refused() -> None:
    with pytest.raises(TopologyError, match="use at least 3600000 ms"):
        grouped().windowed_by(HOURLY).count(Materialized("counts", retention_ms=3_599_999))


def test_aggregates_need_a_value_serde() -> None:
    with pytest.raises(TopologyError, match="needs a value serde"):
        grouped().windowed_by(HOURLY).aggregate(list, lambda _, value, seen: [*seen, value], Materialized("lists"))


def test_only_windows_are_windows() -> None:
    with pytest.raises(TopologyError, match="windowed_by takes"):
        grouped().windowed_by(3_600_000)
    with pytest.raises(TopologyError, match="windowed_by takes"):
        grouped().cogroup(lambda *_: 0).windowed_by(None)
    with pytest.raises(TopologyError, match="emit_strategy takes"):
        grouped().windowed_by(HOURLY).emit_strategy("sometimes")


def test_keys_of_a_windowed_table_are_written_as_kafka_streams_writes_them() -> None:
    table = grouped().windowed_by(TimeWindows.of(10)).count(COUNTS)
    sessions = grouped().windowed_by(SessionWindows.of(10)).count(COUNTS)
    assert (table.key_serde.name, sessions.key_serde.name) == ("time-windowed-string", "session-windowed-string")


def test_emission_on_close_scans_by_time() -> None:
    builder = StreamsBuilder()
    grouped(builder).windowed_by(HOURLY).emit_strategy(EmitStrategy.on_window_close).count(COUNTS)
    assert builder.graph.stores["counts"].emit_final


def test_a_suppression_needs_a_name_windows_and_serdes() -> None:
    builder = StreamsBuilder()
    table = grouped(builder).windowed_by(HOURLY).count(COUNTS)
    with pytest.raises(TopologyError, match="needs a name"):
        table.map_values(str).suppress(Suppressed.until_window_closes(BufferConfig.unbounded()))
    plain = grouped(builder).count(Materialized("plain"))
    with pytest.raises(TopologyError, match="needs a table of windows"):
        plain.suppress(Suppressed.until_window_closes(name="closed"))
    with pytest.raises(TopologyError, match="serdes are not known"):
        plain.map_values(str).suppress(Suppressed.until_time_limit(5, name="slow"))
    with pytest.raises(TopologyError, match="takes a Suppressed"):
        table.suppress(5)


def test_a_suppression_closes_windows_after_their_grace() -> None:
    for windows, wait in ((TimeWindows.of(10, grace_ms=3), 3), (SessionWindows.of(10, grace_ms=3), 13)):
        builder = StreamsBuilder()
        table = grouped(builder).windowed_by(windows).count(COUNTS)
        table.filter(lambda *_: True).suppress(Suppressed.until_window_closes(name="closed"))
        operation: Any = builder.graph.nodes["closed"].operation
        assert (operation.wait_ms, operation.until_close) == (wait, True)
        assert "closed-store" in builder.graph.stores


def test_a_final_result_cannot_come_early() -> None:
    with pytest.raises(ConfigError, match="cannot emit early"):
        Suppressed.until_window_closes(BufferConfig.max_records(10))
    Suppressed.until_window_closes(BufferConfig.max_records(10).shut_down_when_full())
    with pytest.raises(ConfigError, match="bytes_max is -1"):
        BufferConfig.max_bytes(-1)
    with pytest.raises(ConfigError, match="limit is missing"):
        Suppressed.until_time_limit()


def test_sessions_of_a_cogroup_need_a_merger() -> None:
    group = grouped().cogroup(lambda _, value, seen: seen + value)
    with pytest.raises(TypeError):
        group.windowed_by(SessionWindows.of(5)).aggregate(str)
    table = group.windowed_by(SessionWindows.of(5)).aggregate(
        str, lambda _, one, other: one + other, Materialized("joined", serdes.string, serdes.string)
    )
    assert table.store == "joined"
