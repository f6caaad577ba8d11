"""C: suppression."""

import re
from typing import Any

from engine import serdes
from engine.topology.options import Grouped, Materialized, Produced
from engine.topology.suppressed import BufferConfig, Suppressed
from engine.topology.table import Table
from engine.topology.windows import SessionWindows, SlidingWindows, TimeWindows
from tests.conformance.vectors.running import TEXT, Running, in_any_order
from tests.conformance.vectors.sections import known, section

# The names of the test that the vectors come from: a buffer's size in bytes counts the topic of each waiting record.
APPLICATION = "suppressscenariotest"
GROUP = Grouped("KTABLE-AGGREGATE-STATE-STORE-0000000003", serdes.string, serdes.string)
FOREVER_MS = 2**62
OUT = Produced(serdes.json, serdes.json)


@section("C")
def check(vector: dict[str, Any], _shared: dict[str, Any], *, batch: bool) -> None:
    known(vector, "suppress window steps")

    def build(builder: Any) -> None:
        if "window" in vector:
            windowed = builder.stream("in", TEXT).group_by_key().windowed_by(windows_of(vector["window"]))
            counts = windowed.count(Materialized("counts", serdes.string, serdes.int64))
            suppressed = Suppressed.until_window_closes(BufferConfig.unbounded()).with_name("suppress")
        else:
            source = builder.table("in", TEXT, Materialized("source"))
            group = source.group_by(lambda _, value: (value, value), GROUP)
            counts = group.count(Materialized("counts", serdes.string, serdes.int64))
            suppressed = suppressed_of(vector["suppress"])
        write(counts, "raw")
        write(counts.suppress(suppressed), "out")

    with Running(build, batch=batch, application_id=APPLICATION) as running:
        raw = running.driver.output_topic("raw")
        for step in vector["steps"]:
            assert step.keys() <= {"in", "raw", "raw_sorted", "suppressed"}
            found = running.answers([("in", *row) for row in step["in"]])
            updates = [[record.key, record.value, record.timestamp] for record in raw.read_records()]
            if "raw_sorted" in step:
                assert in_any_order(updates) == in_any_order(step["raw_sorted"])
            else:
                assert updates == step["raw"]
            assert found == step["suppressed"]


def write(table: Table, topic: str) -> None:
    def text(key: Any) -> str:
        return key if isinstance(key, str) else f"[{key.key}@{key.start}/{key.end}]"

    table.to_stream().select_key(lambda key, _: text(key)).map_values(lambda value: value).to(topic, OUT)


def windows_of(description: str) -> Any:
    """`tumbling size=2 grace=1` and the like."""
    kind, *parts = description.split()
    numbers = {name: int(value) for name, value in (part.split("=") for part in parts)}
    grace = numbers.pop("grace", 0)
    if kind == "session":
        return SessionWindows.of(gap_ms=numbers.pop("gap"), grace_ms=grace)
    if kind == "sliding":
        return SlidingWindows.of(difference_ms=numbers.pop("diff"), grace_ms=grace)
    assert kind in {"tumbling", "hopping"}, f"the adapter does not know windows {description}"
    size = numbers.pop("size")
    return TimeWindows.of(size_ms=size, advance_ms=numbers.pop("advance", size), grace_ms=grace)


def suppressed_of(description: str) -> Suppressed:
    """`untilTimeLimit(2ms)`, `untilTimeLimit(inf), maxBytes(200).emitEarlyWhenFull` and the like."""
    limit = re.match(r"untilTimeLimit\((inf|\d+)(?:ms)?\)", description)
    assert limit, f"the adapter does not know {description}"
    buffer = BufferConfig.unbounded()
    bounds = {"maxRecords": BufferConfig.max_records, "maxBytes": BufferConfig.max_bytes}
    for name, size in re.findall(r"(maxRecords|maxBytes)\((\d+)\)", description):
        buffer = bounds[name](int(size))
    if "emitEarlyWhenFull" in description:
        buffer = buffer.emit_early_when_full()
    wait_ms = FOREVER_MS if limit[1] == "inf" else int(limit[1])
    return Suppressed.until_time_limit(limit_ms=wait_ms, buffer=buffer, name="suppress")
