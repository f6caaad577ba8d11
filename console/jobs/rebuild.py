"""Rebuild: a fresh copy of a store partition from its changelog, beside the running task, then swapped in.

    1. ask the owner where the store lies and how it is laid out
    2. build the copy into ``<generation>.staging`` (this process; progress in offset slots)
    3. name it ``<generation>``
    4. order the swap; the engine replays the tail and swaps between two commits
Until 4 has happened the live store is untouched, so the job can be cancelled or die anywhere: what was staged is removed,
or taken up again by the next attempt, which finds the generation's name in the row. What has its name may have been
ordered: it is removed only once the engine has ended that order, or does not know of it.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from console.jobs import control, staging, states, survey
from console.jobs.work import Cancelled, Failed, TryAgain
from console.models import Job
from console.observe.topic import kafka_settings
from engine.changelog import restore
from engine.errors import Retry, StatehouseError

if TYPE_CHECKING:
    from collections.abc import Callable

    from console.jobs.work import Work
    from console.observe.board import State
    from engine.changelog.restore import Built, Restoring

# RocksDB needs room for the copy and for its compaction.
_ROOM_FACTOR = 1.5
# Of a swap that the attempt which ordered it did not see.
_UNMEASURED = {"position": None, "records": None, "seconds": None}


def preview(state: State, store: str, partitions: list[int], _arguments: dict[str, Any]) -> dict[str, Any]:
    """Return what would be replayed, for how long, where, and what it costs."""
    found, problems = survey.places(state, store, partitions)
    changelog = next((each["changelog"] for each in found if each["changelog"]), None)
    offsets: dict[int, tuple[int, int]] = {}
    if changelog is None:
        problems.append("The store has no changelog (logging is off), so there is nothing to rebuild it from.")
    else:
        offsets, more = survey.offsets_or_problem(changelog, partitions)
        problems += more
    rate, rate_from = survey.measured_rate(state.id, store)
    rows = []
    for each in found:
        begin, end = offsets.get(each["partition"], (None, None))
        records = None if begin is None or end is None else end - begin
        in_memory = each["backend"] == "memory"
        rows.append(
            {
                **each,
                "begin": begin,
                "end": end,
                "records_estimate": records,
                "seconds_estimate": round(records / rate, 1) if rate and records is not None else None,
                "disk_bytes": 0 if in_memory else each["bytes_now"],
                "how": "engine" if in_memory else "worker",
            }
        )
    disk = _sum(row["disk_bytes"] for row in rows)
    free = min((row["free_bytes"] for row in rows if row["free_bytes"] is not None), default=None)
    if disk is not None and free is not None and disk * _ROOM_FACTOR > free:
        problems.append(
            f"The copy needs about {int(disk * _ROOM_FACTOR):,} bytes and {free:,} are free: make room first."
        )
    return {
        "partitions": rows,
        "totals": {
            "records_estimate": _sum(row["records_estimate"] for row in rows),
            "seconds_estimate": _sum(row["seconds_estimate"] for row in rows),
            "disk_bytes": disk,
        },
        "rate_per_second": rate,
        "rate_from": rate_from,
        "free_bytes": free,
        "effects": [
            "A fresh copy is built from the changelog, at most this many records; the task goes on meanwhile.",
            "It is swapped in between two commits. Until then nothing changes, and the job can be cancelled.",
            "The old copy is removed once the new one has served.",
        ],
        "problems": problems,
    }


def run(work: Work) -> dict[str, Any]:
    """Rebuild one partition after the other; those that an earlier attempt has finished are left alone."""
    job = work.job
    try:
        for partition in job.partitions:
            if str(partition) in job.result.get("done", {}):
                continue
            work.check()
            done = _rebuild(work, _owner(job, partition))
            work.remember(done={**job.result.get("done", {}), str(partition): done})
            work.report(partition, phase="done", now=True)
    except (Cancelled, Failed):
        # Also what an earlier attempt has left, which this one may not have come to.
        if swapped := settle(job, work.check_lease):
            work.remember(done={**job.result.get("done", {}), **swapped})
        if len(job.result.get("done", {})) < len(job.partitions):
            raise
        # The swap was faster.
    finished = job.result.get("done", {}).values()
    records, seconds = _sum(each.get("records") for each in finished), _sum(each.get("seconds") for each in finished)
    return {
        "records": records,
        "seconds": seconds,
        "rate_per_second": round(records / seconds, 1) if records and seconds else None,
    }


def settle(job: Job, check: Callable[[], None]) -> dict[str, Any]:
    """End what any attempt has ordered of the engine, then remove what was staged; return what was swapped all the same.

    The order first: RocksDB goes on in a directory that was removed, and the engine would make it the live one. Returns
    entries for ``done`` by partition. ``check`` may raise; ``TryAgain`` comes while an engine does not say that it has
    ended: the copy stays then, and this is to be called again.
    """
    done = job.result.get("done", {})
    swapped: dict[str, Any] = {}
    for partition, staged in staging.of(job):
        is_open = str(partition) not in done
        if is_open and staged.is_complete and not staged.is_live:
            control.end(_owner(job, partition), "swap", _order(job, partition), check)
        check()
        if is_open and staged.is_live:
            swapped[str(partition)] = {**_UNMEASURED, "generation": staged.generation, "how": "worker"}
        staged.discard()
    for staged in staging.former(job):
        # An engine ends what it was ordered for a task that it has lost.
        check()
        staged.discard()
    for partition in job.result.get("in_memory", []):
        if str(partition) in done:
            continue
        if control.end(_owner(job, partition), "rebuild", _order(job, partition), check) == "swapped":
            swapped[str(partition)] = {**_UNMEASURED, "how": "engine"}
    return swapped


def clear(job: Job) -> None:
    """Settle a job that has ended, and say in its row what was swapped by then. Raises ``TryAgain``."""
    swapped = settle(job, lambda: None)
    if not swapped:
        return
    job.result = {**job.result, "done": {**job.result.get("done", {}), **swapped}}
    reason = f"{job.reason} When it was cleared up: {changed(job)}"
    Job.objects.filter(pk=job.pk).update(result=job.result, reason=reason)
    states.ping(job.pk)


def changed(job: Job) -> str | None:
    """Say how many partitions have a new store, None while none has."""
    count = len(job.result.get("done", {}))
    return f"{count} of {len(job.partitions)} partitions had been swapped already." if count else None


def _owner(job: Job, partition: int) -> control.Owner:
    return control.Owner(job.application, job.store, partition)


def _order(job: Job, partition: int) -> str:
    """Return the id by which the engine knows a partition's order, whichever attempt places it."""
    return f"{job.pk}:{partition}"


def _rebuild(work: Work, owner: control.Owner) -> dict[str, Any]:
    partition = owner.partition
    body = {"job": _order(work.job, partition)}
    # Step 1
    place = staging.locate(work, owner)
    if place is None:
        began = time.monotonic()
        # Before it is ordered: an attempt that comes later has nothing else to know it by.
        work.remember(in_memory=sorted({*work.job.result.get("in_memory", []), partition}))
        answer = control.carry_through(
            work, owner, "rebuild", body, done="swapped", progress=lambda seen: _follow(work, partition, seen)
        )
        return {
            "position": answer.get("position"),
            "records": None,
            "seconds": round(time.monotonic() - began, 1),
            "how": "engine",
        }
    if place.is_live:
        return {**_UNMEASURED, "generation": place.generation, "how": "worker"}
    try:
        # Steps 2 and 3
        built = _build(work, place)
        # Step 4
        body["generation"] = place.generation
        answer = control.carry_through(
            work, owner, "swap", body, done="swapped", progress=lambda seen: _follow(work, partition, seen)
        )
    except TryAgain:
        # A finished copy is worth keeping for the next attempt, half a copy is not.
        if not place.is_complete:
            place.discard()
        raise
    return {**built, "position": answer.get("position"), "generation": place.generation, "how": "worker"}


def _build(work: Work, place: staging.Place) -> dict[str, Any]:
    """Build the copy, unless an earlier attempt has."""
    if place.is_complete:
        return {"records": None, "seconds": None}
    began = time.monotonic()
    built = build_copy(work, place)
    seconds = time.monotonic() - began
    work.check()
    place.complete()
    work.report(place.partition, phase="verifying", position=built.position, now=True)
    return {"records": built.records, "bytes": built.bytes, "seconds": round(seconds, 2)}


def build_copy(work: Work, place: staging.Place | staging.Copy, *, until: int | None = None) -> Built:
    """Build the staged copy up to ``until`` or the changelog's end, with progress in offset slots. Also for other kinds."""
    place.prepare()
    began = time.monotonic()

    def progress(restoring: Restoring) -> None:
        elapsed = time.monotonic() - began
        rate = restoring.records / elapsed if elapsed > 0 else None
        phase = "applying" if restoring.phase == "done" else restoring.phase
        work.report(
            place.partition,
            start=restoring.start,
            position=restoring.position,
            end=restoring.end,
            phase=phase,
            rate_per_second=round(rate, 1) if rate else None,
        )

    work.report(place.partition, phase="fetching", now=True)
    try:
        return restore.build_generation(
            place.spec,
            place.changelog,
            place.partition,
            place.staged,
            client=kafka_settings(),
            until=until,
            progress=progress,
            cancelled=work.must_stop,
        )
    except restore.Cancelled:
        work.check()
        raise Cancelled from None
    except Retry as error:
        raise TryAgain(str(error)) from error
    except (StatehouseError, OSError) as error:
        raise Failed(f"The copy of partition {place.partition} could not be built: {error}") from error


def _follow(work: Work, partition: int, seen: dict[str, Any]) -> None:
    known = {key: seen[key] for key in ("position", "end") if seen.get(key) is not None}
    work.report(partition, phase=str(seen.get("phase")), **known)


def _sum(values: Any) -> Any:
    found = list(values)
    return None if not found or None in found else sum(found)
