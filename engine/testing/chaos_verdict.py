"""What must hold after a chaos run: each check with its outcome in words.

- input: every record is processed, in repartition topics too
- stores: each store that an instance left on disk is the fold of its changelog up to the position it says
- reference: changelogs and outputs fold to those of a run of the same input without faults
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine import names
from engine.changelog.restore import build_generation
from engine.query.ports import Scan
from engine.query.views import view_of
from engine.runtime.partitions import repartition_topics
from engine.runtime.state_directory import StateDirectory
from engine.stores import open_store
from engine.stores.contract import CommittedRow
from engine.testing.chaos_cluster import Cluster, Row
from engine.topology.operations import Sink
from engine.topology.stores import StoreSpec
from engine.topology.topology import Topology

PAGE_ROWS = 10_000
PAGE_BYTES = 64 * 1024 * 1024
SHOWN_MAX = 5
# The number behind a key and its time that keeps duplicates apart: it counts puts, which two runs may do in another order.
_SEQUENCE_BYTES = 4


@dataclass(frozen=True)
class Check:
    """One thing that must hold. `detail` says how much was looked at, or what is wrong and where."""

    name: str
    holds: bool
    detail: str


@dataclass(frozen=True)
class Ran:
    """One application that has run: its topology with real topic names, and where its outputs go."""

    application_id: str
    topology: Topology

    def changelog(self, spec: StoreSpec) -> str:
        """The topic that a store is restored from."""
        return spec.source_topic or names.changelog_topic(self.application_id, spec.name)

    def changelogs(self) -> dict[str, str]:
        """Changelog topics by store, those that the application itself writes."""
        return {
            name: names.changelog_topic(self.application_id, name)
            for name, spec in self.topology.stores.items()
            if spec.logging and spec.source_topic is None and name not in self.topology.global_stores
        }

    def outputs(self) -> list[str]:
        """Topics that it writes for others."""
        operations = (node.operation for node in self.topology.nodes.values())
        found = {o.topic for o in operations if isinstance(o, Sink) and not o.internal and isinstance(o.topic, str)}
        return sorted(found)


def input_is_processed(cluster: Cluster, ran: Ran) -> Check:
    """Nothing is left to read behind the committed offsets."""
    left, seen = [], 0
    for topic in [*ran.topology.input_topics(), *sorted(repartition_topics(ran.topology, ran.application_id))]:
        committed = cluster.committed(ran.application_id, topic)
        seen += sum(max(offset, 0) for offset in committed.values())
        behind = Counter(row.partition for row in cluster.read(topic, committed))
        left += [f"{topic}-{p}: {count} records behind offset {committed[p]}" for p, count in behind.items()]
    return Check("input processed", not left, _words(left) or f"{seen:,} offsets committed, none behind")


def stores_are_folds(cluster: Cluster, ran: Ran, state_dirs: Iterable[Path]) -> Check:
    """Every generation on disk holds what its changelog folds to at its position, row for row.

    The first of the directories is that of the instance which ran alone at the end: it has every partition of every store.
    """
    wrong, stores, rows = [], 0, 0
    for number, state_dir in enumerate(state_dirs):
        directory = StateDirectory(state_dir, ran.application_id)
        if number == 0:
            wrong += _missing(cluster, ran, directory)
        for task in directory.tasks():
            for spec, path in _generations(directory, ran.topology, task):
                stores += 1
                difference, count = _difference(cluster, spec, path, ran.changelog(spec), int(task.partition("_")[2]))
                rows += count
                if difference:
                    wrong.append(f"{path}: {difference}")
    return Check("stores == fold(changelog)", not wrong, _words(wrong) or f"{stores} stores, {rows:,} rows")


def as_without_faults(cluster: Cluster, ran: Ran, reference: Ran, *, exact: bool) -> list[Check]:
    """Changelogs and outputs against those of the reference; not `exact` (at-least-once): only which keys there are."""
    checks = []
    others = reference.changelogs()
    for store, topic in ran.changelogs().items():
        spec = ran.topology.stores[store]
        found, wanted = (_content(cluster.read(t), spec) for t in (topic, others[store]))
        checks.append(_compared(f"store {store} == reference", found, wanted, exact=exact))
    stateless = not ran.topology.stores
    for topic, other in zip(ran.outputs(), reference.outputs(), strict=True):
        found, wanted = (_content(cluster.read(t), None) for t in (topic, other))
        checks.append(_compared(f"output {topic} == reference", found, wanted, exact=exact))
        if stateless and exact:
            # Without a store nothing is held back or left out: record for record, in order by key.
            by_key = [_sequences(cluster.read(t)) for t in (topic, other)]
            checks.append(_compared(f"output {topic}, record for record", *by_key, exact=True))
    return checks


# -- stores on disk -----------------------------------------------------------------------------------------------------


def _on_disk(topology: Topology, sub_topology: int) -> Iterator[StoreSpec]:
    """The stores that each task of a sub-topology has on disk, with a changelog."""
    for name in topology.sub_topologies[sub_topology].stores:
        spec = topology.stores[name]
        if spec.backend == "rocksdb" and spec.supplier is None and (spec.logging or spec.source_topic):
            yield spec


def _generations(directory: StateDirectory, topology: Topology, task: str) -> Iterator[tuple[StoreSpec, Path]]:
    for spec in _on_disk(topology, int(task.partition("_")[0])):
        generation = directory.current(task, spec.name)
        if generation is not None:
            yield spec, directory.generation_directory(task, spec.name, generation)


def _missing(cluster: Cluster, ran: Ran, directory: StateDirectory) -> list[str]:
    """The store partitions that a directory lacks."""
    found = []
    for sub_topology in ran.topology.sub_topologies:
        for spec in _on_disk(ran.topology, sub_topology.id):
            tasks = [f"{sub_topology.id}_{partition}" for partition in cluster.bounds(ran.changelog(spec))]
            lacking = [task for task in tasks if directory.current(task, spec.name) is None]
            found += [f"store {spec.name} of task {task} is not on disk" for task in lacking]
    return found


def _difference(cluster: Cluster, spec: StoreSpec, path: Path, changelog: str, partition: int) -> tuple[str, int]:
    """What is wrong with a store, or "", and how many rows it has."""
    live = open_store(spec, path, _NoTask())
    try:
        with tempfile.TemporaryDirectory(prefix="statehouse-chaos-") as folder:
            copy_path = Path(folder) / spec.name
            build_generation(spec, changelog, partition, copy_path, client=cluster.client, until=live.position or 0)
            copy = open_store(spec, copy_path, _NoTask())
            try:
                found, wanted = _rows(live), _rows(copy)
            finally:
                copy.close()
        position = live.position
    finally:
        live.close()
    if found == wanted:
        return "", len(found)
    words = _words(_differences(found, wanted))
    return f"at position {position} of {changelog}-{partition}: {words}", len(found)


def _rows(store: Any) -> dict[Any, Any]:
    """Everything committed, as its readers see it: what has expired counts on neither side."""
    view = view_of(store.spec.kind, store.committed())
    found: dict[Any, Any] = {}
    after: bytes | None = None
    while True:
        rows, more = view.scan(Scan(None, None, PAGE_ROWS, PAGE_BYTES, after=after))
        for row in rows:
            found[row.cursor] = _row(row)
        if not more:
            return found
        after = rows[-1].cursor


def _row(row: CommittedRow) -> tuple[Any, ...]:
    return row.key, row.value, row.timestamp, row.start, row.end, row.valid_to


class _NoTask:
    """What a store sees of its task when there is none."""

    timestamp = -1

    def dropped(self, count: int) -> None:
        """Expired rows are left out: nobody counts them here."""


# -- topics -------------------------------------------------------------------------------------------------------------


def _content(rows: Iterable[Row], spec: StoreSpec | None) -> dict[Any, Any]:
    """The last value of each key of each partition, tombstones gone."""
    last: dict[tuple[int, bytes | None], bytes] = {}
    for row in rows:
        if row.value is None:
            last.pop((row.partition, row.key), None)
        else:
            last[row.partition, row.key] = row.value
    if spec is not None and spec.retain_duplicates:
        return dict(Counter((p, (key or b"")[:-_SEQUENCE_BYTES], value) for (p, key), value in last.items()))
    return last


def _sequences(rows: Iterable[Row]) -> dict[Any, Any]:
    found: dict[Any, list[bytes | None]] = {}
    for row in rows:
        found.setdefault((row.partition, row.key), []).append(row.value)
    return found


def _compared(name: str, found: dict[Any, Any], wanted: dict[Any, Any], *, exact: bool) -> Check:
    wrong = _differences(found, wanted) if exact else [f"{k!r} missing" for k in wanted.keys() - found.keys()]
    return Check(name, not wrong, _words(wrong) or f"{len(found):,} keys{'' if exact else ', values not compared'}")


def _differences(found: dict[Any, Any], wanted: dict[Any, Any]) -> list[str]:
    keys = [key for key in {**wanted, **found} if found.get(key) != wanted.get(key)]
    return [f"{key!r} is {found.get(key)!r}, not {wanted.get(key)!r}" for key in keys]


def _words(wrong: list[str]) -> str:
    more = f" and {len(wrong) - SHOWN_MAX} more" if len(wrong) > SHOWN_MAX else ""
    return "; ".join(wrong[:SHOWN_MAX]) + more
