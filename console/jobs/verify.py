"""Verify: a store partition compared with a copy that is built from its changelog; nothing of the store is touched.

    1. build the copy into ``<generation>.staging`` up to the changelog's end now, as rebuild does
    2. read the live store through its owner's query service, page by page, and merge it with the copy
    3. settle what differs with the changelog's newer records (``comparison``)
    4. remove the copy
A delivery that died leaves a copy that the next one removes and builds anew; partitions that were finished stay finished.
"""

from __future__ import annotations

import base64
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from confluent_kafka import KafkaException

from console import limits
from console.browse import changelog, decoding
from console.browse.display import display
from console.jobs import control, rebuild, staging
from console.jobs.comparison import Comparison, Newer, OutOfOrder, Shape
from console.jobs.work import Cancelled, Failed, LeaseLost, TryAgain
from console.observe import store_shapes
from console.observe.board import reader
from console.observe.topic import kafka_settings
from engine.changelog.topics import Topics
from engine.errors import Retry, StatehouseError
from engine.query.ports import Scan
from engine.query.views import view_of
from engine.stores import open_store
from engine.stores.contract import CommittedRow

if TYPE_CHECKING:
    from collections.abc import Iterator

    from console.browse.decoding import Decoder
    from console.jobs.comparison import Difference, Row
    from console.jobs.staging import Place
    from console.jobs.work import Work
    from console.models import Job
    from console.observe.board import State

# An engine that restarts, or a rebalance, is over within this time; then the attempt is.
_AWAY_S = 60.0
_RETRY_S = 0.5
_UNAVAILABLE = 503


class _NoTask:
    """What a store sees of its task when there is none."""

    timestamp = -1

    def dropped(self, count: int) -> None:
        """Nothing is put, so nothing is dropped."""


def preview(state: State, store: str, partitions: list[int], _arguments: dict[str, Any]) -> dict[str, Any]:
    """Return what would be built and read, for how long, where, and what it costs."""
    shown = rebuild.preview(state, store, partitions, {})
    in_memory = [each["partition"] for each in shown["partitions"] if each["backend"] != "rocksdb"]
    if in_memory:
        shown["problems"].append(
            f"Partition {in_memory[0]} is in memory, and only stores on disk can be compared. "
            "Rebuild it if you doubt it: that makes it anew from its changelog."
        )
    shown["effects"] = [
        "A copy is built from the changelog beside the store, at most this many records; the task goes on meanwhile.",
        "The live store is read through its query service, page by page, and compared with the copy.",
        "The copy is removed afterwards. The store itself is not touched, whatever is found.",
    ]
    return shown


def run(work: Work) -> dict[str, Any]:
    """Verify one partition after the other; those that an earlier attempt has finished are left alone."""
    job = work.job
    try:
        for partition in job.partitions:
            if str(partition) in job.result.get("partitions", {}):
                continue
            work.check()
            found, differences = _verify(work, control.Owner(job.application, job.store, partition))
            work.remember(
                partitions={**job.result.get("partitions", {}), str(partition): found},
                diff=[*job.result.get("diff", []), *differences],
            )
            work.report(partition, phase="done", now=True)
    except LeaseLost:
        raise  # the copy is another worker's by now
    except BaseException:
        staging.discard_staged(job)
        raise
    staging.discard_staged(job)
    return _outcome(job.result["partitions"])


def clear(job: Job) -> None:
    """Remove the copies that attempts which died have left."""
    staging.discard_staged(job)


def _verify(work: Work, owner: control.Owner) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    place = staging.locate(work, owner)
    if place is None:
        raise Failed(f"Partition {owner.partition} is in memory now; only stores on disk can be compared.")
    if place.spec.retain_duplicates:
        raise Failed("The store keeps every put of a key and time; such rows cannot be told apart to be compared.")
    began = time.monotonic()
    # Step 1
    built = rebuild.build_copy(work, place)
    work.report(place.partition, phase="comparing", now=True)
    try:
        store = open_store(place.spec, place.staged, _NoTask())
    except (StatehouseError, OSError) as error:
        raise Failed(f"The copy of partition {place.partition} cannot be opened: {error}") from error
    try:
        # Steps 2 and 3
        shape = Shape(place.spec, getattr(store, "interval_ms", None))
        room = limits.DIFF_ROWS_MAX - len(work.job.result.get("diff", []))
        comparison = Comparison(shape, max(room, 0), getattr(store, "observed", -1))
        live = _Live(work, owner, shape)
        _compare(work, place, comparison, live, _copy_rows(store, shape), built.position)
    except OutOfOrder as error:
        raise Failed(str(error)) from error
    except KafkaException as error:
        raise TryAgain(f"the changelog {place.changelog} cannot be read: {error}") from error
    finally:
        store.close()
    # Step 4
    place.prepare()
    counts = comparison.counts
    found = {
        **asdict(counts),
        "compared": comparison.compared,
        "position": built.position,
        "live_from": live.first_position,
        "live_to": live.last_position,
        "records": built.records,
        "seconds": round(time.monotonic() - began, 2),
    }
    keys, values = _decoders(work)
    return found, [_shown(each, place.partition, keys, values) for each in comparison.kept]


def _compare(work: Work, place: Place, comparison: Comparison, live: _Live, copy: Iterator[Row], position: int) -> None:
    for candidates in comparison.merge(live.rows(), copy):
        if candidates >= limits.DIFF_CANDIDATES_MAX:
            comparison.settle(_newer(work, place, comparison, live, position))
        if comparison.compared % limits.VERIFY_PAGE_ROWS == 0:
            work.check()
            work.report(place.partition, phase="comparing", compared=comparison.compared)
    if comparison.candidates:
        comparison.settle(_newer(work, place, comparison, live, position))
    work.report(place.partition, phase="comparing", compared=comparison.compared, now=True)


def _newer(work: Work, place: Place, comparison: Comparison, live: _Live, position: int) -> Newer:
    """Read what the changelog has said since the copy, of the candidates."""
    newer, shape = Newer(), comparison.shape
    try:
        # The high watermark, not the last stable offset: the owner may have read its commit before its marker is there.
        end = Topics(kafka_settings()).end_offsets([(place.changelog, place.partition)])[
            (place.changelog, place.partition)
        ]
    except Retry as error:
        raise TryAgain(str(error)) from error
    start = position if live.first_position is None else min(position, live.first_position)
    with changelog.Changelog(place.changelog, place.partition) as reading:
        try:
            for message in reading.read(start, end, work.must_stop):
                name = message.key()
                if not isinstance(name, bytes):
                    continue
                newer.observed = max(newer.observed, shape.time_of(name) or -1)
                if name not in comparison.candidates:
                    continue
                # The copy is ahead of what was read of the live store here: what the row was before is not known.
                if int(message.offset() or 0) < position:
                    newer.unsure.add(name)
                said = shape.digest(_bytes(message.value()), message.timestamp()[1])
                newer.said.setdefault(name, _said_before(comparison, name)).add(said)
        except changelog.Stopped:
            work.check()
            raise Cancelled from None
    return newer


def _said_before(comparison: Comparison, name: bytes) -> set[tuple[bytes | None, int | None]]:
    """What the copy says of a row that has changed since: the live one may have been read before that."""
    copy = comparison.candidates[name][1]
    return {(None, None) if copy is None else comparison.shape.said(copy)}


def _bytes(value: Any) -> bytes | None:
    return None if value is None else bytes(value)


def _copy_rows(store: Any, shape: Shape) -> Iterator[Row]:
    view, after = view_of(shape.kind, store.committed()), None
    while True:
        rows, more = view.scan(
            Scan(lower=None, upper=None, after=after, limit=limits.VERIFY_PAGE_ROWS, bytes_max=limits.VERIFY_PAGE_BYTES)
        )
        yield from map(shape.place, rows)
        if not more or not rows:
            return
        after = rows[-1].cursor


class _Live:
    """The live store's rows as its owner serves them: committed, raw, this partition only."""

    def __init__(self, work: Work, owner: control.Owner, shape: Shape) -> None:
        self._work, self._owner, self._shape = work, owner, shape
        self.first_position: int | None = None
        self.last_position: int | None = None

    def rows(self) -> Iterator[Row]:
        """Yield them in the store's order."""
        parameters = {
            "partition": str(self._owner.partition),
            "local": "true",
            "key_format": "base64",
            "value_format": "base64",
            "limit": str(limits.VERIFY_PAGE_ROWS),
        }
        while True:
            answer = self._page(parameters)
            position = answer["sources"][0]["position"]
            if self.first_position is None:
                self.first_position = position
            self.last_position = position
            for entry in answer["entries"]:
                yield self._shape.place(_row(entry))
            if answer["cursor"] is None:
                return
            parameters["cursor"] = answer["cursor"]

    def _page(self, parameters: dict[str, str]) -> dict[str, Any]:
        path = f"/v1/stores/{quote(self._owner.store, safe='')}/entries?{urlencode(parameters)}"
        began = time.monotonic()
        while True:
            self._work.check()
            try:
                answer = self._owner.call("GET", path)
                error = answer["sources"][0]["error"] if answer["sources"] else {"message": "nobody answered"}
                if error is None:
                    return answer
                why = str(error["message"])
            except TryAgain as away:
                why = str(away)
            except control.Refusal as refused:
                if refused.status != _UNAVAILABLE:
                    raise Failed(f"The engine does not let the store be read: {refused.words}") from refused
                why = refused.words
            if time.monotonic() - began > _AWAY_S:
                raise TryAgain(f"partition {self._owner.partition} could not be read: {why}")
            time.sleep(_RETRY_S)


def _row(entry: dict[str, Any]) -> CommittedRow:
    bounds = entry.get("window") or entry.get("session") or {}
    return CommittedRow(
        base64.b64decode(entry["key"]["base64"]),
        base64.b64decode(entry["value"]["base64"]),
        entry.get("timestamp"),
        bounds.get("start"),
        bounds.get("end"),
    )


def _decoders(work: Work) -> tuple[Decoder, Decoder]:
    state = reader.read().applications.get(work.job.application)
    described = (store_shapes.description(state, work.job.store) if state is not None else None) or {}
    return decoding.decoder(described.get("key_serde")), decoding.decoder(described.get("value_serde"))


def _shown(difference: Difference, partition: int, keys: Decoder, values: Decoder) -> dict[str, Any]:
    """Return a difference as it is kept: decoded, as text, cut."""
    row = difference.live or difference.copy
    if row is None:
        raise ValueError("a difference has at least one side")

    def side(found: CommittedRow | None) -> dict[str, Any] | None:
        if found is None:
            return None
        return {**display(values.shown(found.value), limits.DIFF_CHARACTERS_MAX), "timestamp": found.timestamp}

    return {
        "partition": partition,
        "what": difference.what,
        "key": display(keys.shown(row.key), limits.DIFF_CHARACTERS_MAX),
        "start": row.start,
        "end": row.end,
        "in_store": side(difference.live),
        "in_changelog": side(difference.copy),
    }


def _outcome(partitions: dict[str, Any]) -> dict[str, Any]:
    """Add up, and say in words what was done and found."""
    totals = {
        name: sum(each[name] for each in partitions.values())
        for name in ("same", "missing", "extra", "different", "moved_on", "expired", "compared")
    }
    differences = totals["missing"] + totals["extra"] + totals["different"]
    words = [
        f"Compared {totals['compared']:,} rows of the live store with a copy built from the changelog.",
        "They are the same."
        if not differences
        else f"{differences:,} differ: {totals['missing']:,} missing in the store, {totals['extra']:,} that the "
        f"changelog does not have, {totals['different']:,} with another value.",
    ]
    if totals["moved_on"]:
        words.append(
            f"{totals['moved_on']:,} changed while they were read: what was read of them is what the changelog said "
            "in that time, or they changed in the moment between copy and store and were left out."
        )
    if totals["expired"]:
        words.append(f"{totals['expired']:,} have expired in one of the two and do not count.")
    return {**totals, "differences": differences, "words": " ".join(words)}
