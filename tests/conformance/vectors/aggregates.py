"""D: table aggregations, the record cache, topic settings."""

from collections.abc import Callable
from typing import Any

from engine import serdes
from engine.changelog.settings import changelog_settings, repartition_settings
from engine.names import changelog_topic, repartition_topic
from engine.operators.processor import Processor, implements
from engine.topology.operations import Operation
from engine.topology.options import Consumed, Grouped, Materialized
from engine.topology.stores import StoreSpec
from engine.topology.table import Table
from tests.conformance.vectors.running import OUT, TEXT, Running, adding
from tests.conformance.vectors.sections import known, section

GROUP = Grouped("group", serdes.string, serdes.string)
KEPT = Materialized("store", serdes.string, serdes.string)


def _plain(table: Table) -> Table:
    start, add = adding("0+x")
    group = table.group_by(lambda key, value: (key, value), GROUP)
    return group.aggregate(start, add, lambda _, value, aggregate: f"{aggregate}-{value}", KEPT)


def _repartitioned(table: Table) -> Table:
    start, add = adding("0+x")

    def select(key: str, value: str) -> Any:
        return {"null": (None, value), "NULL": (None, None)}.get(key, (value, value))

    return table.group_by(select, GROUP).aggregate(start, add, lambda _, value, aggregate: f"{aggregate}-{value}", KEPT)


def _counted(table: Table) -> Table:
    group = table.group_by(lambda _, value: (value, value), GROUP)
    return group.count(Materialized("store", serdes.string, serdes.int64))


def _characters(table: Table) -> Table:
    group = table.group_by(lambda key, _: (key[0], key[1]), GROUP)
    return group.aggregate(
        str,
        lambda _, value, aggregate: aggregate + value,
        lambda _, value, aggregate: aggregate.replace(value, ""),
        KEPT,
    )


# The vectors say in words what is aggregated.
TABLES: dict[str, Callable[[Table], Table]] = {
    "table.groupBy(k).aggregate(init 0, add +v, sub -v)": _plain,
    'groupBy: key "null" -> (null,v); key "NULL" -> null mapping; else (v,v); null keys/mappings dropped': _repartitioned,
    "table.groupBy(v).count()": _counted,
    'groupBy(k[0] -> k[1]); init ""; add: agg+v; sub: agg.replaceAll(v,"")': _characters,
}
SUMS = {"stream.groupByKey().aggregate(sum)": False, "same, record cache on, single commit at end": True}


@section("D")
def check(vector: dict[str, Any], _shared: dict[str, Any], *, batch: bool) -> None:
    if "rows" in vector:
        _check_settings(vector)
    elif vector["op"] in SUMS:
        _check_changes(vector, caching=SUMS[vector["op"]], batch=batch)
    else:
        known(vector, "op in out")
        assert vector["op"] in TABLES, f"the adapter does not know {vector['op']}"

        def build(builder: Any) -> None:
            TABLES[vector["op"]](builder.table("in", TEXT, Materialized("source"))).to_stream().to("out", OUT)

        with Running(build, batch=batch) as running:
            assert running.answers([("in", *row) for row in vector["in"]]) == vector["out"]


class Watch(Operation):
    """Collects [new, old] of a key's changes."""


@implements(Watch)
class _Watching(Processor):
    seen: list[list[Any]]

    def process(self, batch: Any) -> Any:
        rows = zip(batch.keys, batch.values, batch.olds, strict=True)
        self.seen += [[new, old] for key, new, old in rows if key == "A"]
        return batch


def _check_changes(vector: dict[str, Any], *, caching: bool, batch: bool) -> None:
    known(vector, "op in out_changes_for_A fmt")
    _Watching.seen = []

    def build(builder: Any) -> None:
        stream = builder.stream("in", Consumed(serdes.string, serdes.json))
        kept = Materialized("store", serdes.string, serdes.json)
        table = stream.group_by_key().aggregate(int, lambda _, value, aggregate: aggregate + value, kept)
        table.send_old_values()
        builder.graph.add(Watch(), [table.node])

    with Running(build, batch=batch, caching=caching) as running:
        running.feed([("in", *row) for row in vector["in"]])
        if caching:
            running.driver.commit()
    assert _Watching.seen == vector["out_changes_for_A"]


def _check_settings(vector: dict[str, Any]) -> None:
    known(vector, "op rows")
    assert vector["op"] == "changelog topic config"
    stores = {
        "unwindowed": StoreSpec("s"),
        "window/session": StoreSpec("s", "window", retention_ms=10, window_ms=10),
        "versioned": StoreSpec("s", "versioned", history_ms=12),
    }
    expected = {
        "unwindowed": {"cleanup.policy": "compact"},
        "window/session": {"cleanup.policy": "compact,delete", "retention.ms": str(10 + 86_400_000)},
        "versioned": {"cleanup.policy": "compact", "min.compaction.lag.ms": str(12 + 86_400_000)},
        "repartition": {"cleanup.policy": "delete", "segment.bytes": "52428800", "retention.ms": "-1"},
        "all": {"message.timestamp.type": "CreateTime"},
    }
    for name, text in vector["rows"]:
        if name == "name":
            assert text == "<application.id>-<store>-changelog, <application.id>-<name>-repartition"
            assert changelog_topic("<application.id>", "<store>") == "<application.id>-<store>-changelog"
            assert repartition_topic("<application.id>", "<name>") == "<application.id>-<name>-repartition"
            continue
        assert name in expected, f"the adapter does not know the row {name}"
        for setting, value in expected[name].items():
            # The vector is prose: it must at least name each setting that is checked.
            assert setting in text
            found = [repartition_settings()] if name == "repartition" else []
            found += [changelog_settings(spec) for kind, spec in stores.items() if name in {"all", kind}]
            assert found
            assert [settings.get(setting) for settings in found] == [value] * len(found)
