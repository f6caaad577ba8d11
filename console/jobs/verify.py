"""Verify: a store partition compared with a copy that is built from its changelog, or with a snapshot; neither is touched.

    1. build the copy up to the changelog's end now: into ``<generation>.staging`` as rebuild does, for a store in memory
       into the worker's own ``verify/<job>``; or open the snapshot, which is on this host
    2. read the live store through its owner's query service, page by page, and merge it with the copy
    3. settle what differs with the changelog's newer records (``comparison``); against a snapshot a difference is one
    4. remove the copy, keep the rows that differ
A delivery that died leaves a copy that the next one removes and builds anew; partitions that were finished stay finished.
"""

from __future__ import annotations

import shutil
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from confluent_kafka import KafkaException
from django.conf import settings
from django.db import transaction

from console import limits
from console.browse import changelog, decoding, past
from console.browse.display import display
from console.browse.entries import Unavailable
from console.jobs import control, rebuild, staging
from console.jobs.comparison import Comparison, Newer, OutOfOrder, Shape
from console.jobs.live_rows import LiveRows
from console.jobs.work import Cancelled, Failed, LeaseLost, TryAgain
from console.models import Difference
from console.observe import store_shapes
from console.observe.board import reader
from console.observe.topic import kafka_settings
from engine.changelog import snapshot_files
from engine.changelog.topics import Topics
from engine.errors import ConfigError, Retry, StatehouseError
from engine.query.ports import Scan
from engine.query.views import view_of
from engine.stores import open_store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from console.browse.decoding import Decoder
    from console.jobs.comparison import Difference as Found
    from console.jobs.comparison import Row
    from console.jobs.work import Work
    from console.models import Job
    from console.observe.board import State
    from engine.stores.contract import CommittedRow


class _NoTask:
    """What a store sees of its task when there is none."""

    timestamp = -1

    def dropped(self, count: int) -> None:
        """Nothing is put, so nothing is dropped."""


def preview(state: State, store: str, partitions: list[int], arguments: dict[str, Any]) -> dict[str, Any]:
    """Return what would be built and read, for how long, where, and what it costs."""
    shown = rebuild.preview(state, store, partitions, {})
    if "against" in arguments:
        return _preview_against(state, store, shown, str(arguments["against"]))
    # The copy of a store in memory lies on disk, too.
    shown["partitions"] = [{**each, "how": "worker", "disk_bytes": each["bytes_now"]} for each in shown["partitions"]]
    shown["effects"] = [
        "A copy is built from the changelog beside the store, at most this many records; the task goes on meanwhile.",
        "The live store is read through its query service, page by page, and compared with the copy.",
        "The copy is removed afterwards. The store itself is not touched, whatever is found.",
    ]
    return shown


def _preview_against(state: State, store: str, shown: dict[str, Any], against: str) -> dict[str, Any]:
    try:
        snapshot = past.find(state.id, store, against)
    except Unavailable as error:
        shown["problems"].append(error.words)
        return shown
    held = {each["partition"]: each for each in snapshot.partitions}
    lacking = [each["partition"] for each in shown["partitions"] if each["partition"] not in held]
    if lacking:
        shown["problems"].append(f"Snapshot #{snapshot.number} does not have partition {lacking[0]}.")
    shown["partitions"] = [
        {
            **each,
            "host": snapshot.host,
            "how": "worker",
            "disk_bytes": 0,
            "seconds_estimate": None,
            "records_estimate": None,
        }
        for each in shown["partitions"]
    ]
    shown["totals"] = {"records_estimate": None, "seconds_estimate": None, "disk_bytes": 0}
    shown["effects"] = [
        f"The live store is read through its query service, page by page, and compared with snapshot #{snapshot.number}.",
        "What was changed, added or removed since then is kept, row by row, for you to look at. Nothing is touched.",
    ]
    return shown


def refuse(arguments: dict[str, Any]) -> str | None:
    """Say what is wrong with the arguments, if anything."""
    if set(arguments) - {"against"} or not isinstance(arguments.get("against", ""), str):
        return "A verify takes one argument, and need not: against, the id of a snapshot of the store."
    return None


def run(work: Work) -> dict[str, Any]:
    """Verify one partition after the other; those that an earlier attempt has finished are left alone."""
    job = work.job
    try:
        for partition in job.partitions:
            if str(partition) in job.result.get("partitions", {}):
                continue
            work.check()
            found, differences = _verify(work, control.Owner(job.application, job.store, partition))
            _keep(work, partition, found, differences)
            work.report(partition, phase="done", now=True)
    except LeaseLost:
        raise  # the copy is another worker's by now
    except BaseException:
        clear(job)
        raise
    clear(job)
    return _outcome(job.result["partitions"], job.result.get("against"))


def _keep(work: Work, partition: int, found: dict[str, Any], differences: list[Difference]) -> None:
    """Write a partition's rows and its counts in one step: an attempt that comes later finds both, or neither."""
    kept = work.job.result.get("partitions", {})
    first = sum(each["kept"] for each in kept.values())
    for ordinal, row in enumerate(differences, first):
        row.job, row.ordinal, row.partition = work.job, ordinal, partition
    with transaction.atomic():
        Difference.objects.filter(job=work.job, ordinal__gte=first).delete()
        Difference.objects.bulk_create(differences, batch_size=500)
        work.remember(partitions={**kept, str(partition): {**found, "kept": len(differences)}})


def clear(job: Job) -> None:
    """Remove the copies that this attempt, or one which died, has built."""
    staging.discard_staged(job)
    shutil.rmtree(_scratch(job), ignore_errors=True)


def _scratch(job: Job) -> Path:
    """Where copies of stores in memory are built: they have no directory of their own."""
    return Path(settings.DATA_DIR) / "verify" / str(job.pk)


def _place(work: Work, owner: control.Owner) -> staging.Place | staging.Copy:
    """Return where the copy is to be built."""
    place = staging.locate(work, owner)
    if place is not None:
        return place
    found = staging.store_of(work, owner)
    if found.get("backend") == "lru":
        raise Failed("An LRU map forgets entries that its changelog still has, so the two cannot be compared.")
    if not found.get("changelog"):
        raise Failed("The store has no changelog (logging is off), so there is nothing to compare it with.")
    spec = snapshot_files.spec_of(work.job.store, found["spec"])
    scratch = _scratch(work.job)
    scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
    return staging.Copy(scratch / str(owner.partition), spec, str(found["changelog"]), owner.partition)


def _verify(work: Work, owner: control.Owner) -> tuple[dict[str, Any], list[Difference]]:
    if "against" in work.job.arguments:
        return _verify_against(work, owner)
    place = _place(work, owner)
    if place.spec.retain_duplicates:
        raise Failed("The store keeps every put of a key and time; such rows cannot be told apart to be compared.")
    began = time.monotonic()
    # Step 1
    built = rebuild.build_copy(work, place)
    work.report(place.partition, phase="comparing", now=True)
    store = _open(place)
    try:
        # Steps 2 and 3
        shape = Shape(place.spec, getattr(store, "interval_ms", None))
        comparison = Comparison(shape, _room(work), getattr(store, "observed", -1))
        live = LiveRows(work, owner, shape)
        _compare(work, place, comparison, live, _copy_rows(store, shape), built.position)
    except OutOfOrder as error:
        raise Failed(str(error)) from error
    except KafkaException as error:
        raise TryAgain(f"the changelog {place.changelog} cannot be read: {error}") from error
    finally:
        store.close()
    # Step 4
    place.prepare()
    return _found(work, comparison, live, built.position, began, records=built.records)


def _verify_against(work: Work, owner: control.Owner) -> tuple[dict[str, Any], list[Difference]]:
    """Compare the live store with a snapshot: whatever differs has changed since, so nothing has to be settled."""
    began = time.monotonic()
    # Step 1
    try:
        snapshot = past.find(work.job.application, work.job.store, str(work.job.arguments["against"]))
        described = snapshot_files.read(Path(snapshot.directory))
    except (Unavailable, ConfigError) as error:
        raise Failed(str(error)) from error
    if described is None or owner.partition not in described.positions:
        raise Failed(
            f"This host has no partition {owner.partition} of snapshot #{snapshot.number} in {snapshot.directory}."
        )
    work.remember(against=f"snapshot #{snapshot.number}")
    directory = Path(snapshot.directory) / str(owner.partition)
    place = staging.Copy(directory, described.spec(), described.changelog, owner.partition)
    work.report(place.partition, phase="comparing", now=True)
    store = _open(place, read_only=True)
    try:
        # Steps 2 and 3
        shape = Shape(place.spec, getattr(store, "interval_ms", None))
        comparison = Comparison(shape, _room(work), -1)
        live = LiveRows(work, owner, shape)
        _compare(work, place, comparison, live, _copy_rows(store, shape), None)
    except OutOfOrder as error:
        raise Failed(str(error)) from error
    finally:
        store.close()
    return _found(work, comparison, live, described.positions[owner.partition], began, records=None)


def _open(place: staging.Place | staging.Copy, *, read_only: bool = False) -> Any:
    try:
        return open_store(place.spec, place.staged, _NoTask(), read_only=read_only)
    except (StatehouseError, OSError) as error:
        raise Failed(f"The copy of partition {place.partition} cannot be opened: {error}") from error


def _room(work: Work) -> int:
    """Return how many rows may still be kept."""
    kept: int = sum(each["kept"] for each in work.job.result.get("partitions", {}).values())
    return max(limits.DIFF_ROWS_MAX - kept, 0)


def _found(
    work: Work, comparison: Comparison, live: LiveRows, position: int, began: float, *, records: int | None
) -> tuple[dict[str, Any], list[Difference]]:
    found = {
        **asdict(comparison.counts),
        "compared": comparison.compared,
        "position": position,
        "live_from": live.first_position,
        "live_to": live.last_position,
        "records": records,
        "seconds": round(time.monotonic() - began, 2),
    }
    keys, values = _decoders(work)
    return found, [_shown(each, keys, values) for each in comparison.kept]


def _compare(
    work: Work,
    place: staging.Place | staging.Copy,
    comparison: Comparison,
    live: LiveRows,
    copy: Iterator[Row],
    position: int | None,
) -> None:
    """Merge both sides and settle what differs; with no ``position`` nothing that came later excuses a difference."""

    def newer() -> Newer:
        return Newer() if position is None else _newer(work, place, comparison, live, position)

    for candidates in comparison.merge(live.rows(), copy):
        if candidates >= limits.DIFF_CANDIDATES_MAX:
            comparison.settle(newer())
        if comparison.compared % limits.VERIFY_PAGE_ROWS == 0:
            work.check()
            work.report(place.partition, phase="comparing", compared=comparison.compared)
    if comparison.candidates:
        comparison.settle(newer())
    work.report(place.partition, phase="comparing", compared=comparison.compared, now=True)


def _newer(
    work: Work, place: staging.Place | staging.Copy, comparison: Comparison, live: LiveRows, position: int
) -> Newer:
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


def _decoders(work: Work) -> tuple[Decoder, Decoder]:
    state = reader.read().applications.get(work.job.application)
    described = (store_shapes.description(state, work.job.store) if state is not None else None) or {}
    return decoding.decoder(described.get("key_serde")), decoding.decoder(described.get("value_serde"))


def _shown(difference: Found, keys: Decoder, values: Decoder) -> Difference:
    """Return a difference as it is kept: decoded, as text, cut."""
    row = difference.live or difference.copy
    if row is None:
        raise ValueError("a difference has at least one side")

    def side(found: CommittedRow | None) -> dict[str, Any] | None:
        if found is None:
            return None
        return {**display(values.shown(found.value), limits.DIFF_CHARACTERS_MAX), "timestamp": found.timestamp}

    key = display(keys.shown(row.key), limits.DIFF_CHARACTERS_MAX)
    return Difference(
        what=difference.what,
        key=key["text"],
        key_shown=dict(key),
        start=row.start,
        end=row.end,
        in_store=side(difference.live),
        in_other=side(difference.copy),
    )


def _outcome(partitions: dict[str, Any], against: str | None) -> dict[str, Any]:
    """Add up, and say in words what was done and found."""
    totals = {
        name: sum(each[name] for each in partitions.values())
        for name in ("same", "missing", "extra", "different", "moved_on", "expired", "compared", "kept")
    }
    differences = totals["missing"] + totals["extra"] + totals["different"]
    if against is not None:
        return {**totals, "differences": differences, "words": _since(totals, differences, against)}
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


def _since(totals: dict[str, int], differences: int, against: str) -> str:
    words = f"Compared {totals['compared']:,} rows of the store as it is now with {against}. "
    if not differences:
        return words + "They are the same."
    return words + (
        f"{differences:,} differ: {totals['extra']:,} have come since, {totals['missing']:,} are no longer there (deleted or "
        f"expired), {totals['different']:,} have another value."
    )
