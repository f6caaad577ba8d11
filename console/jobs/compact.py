"""Compact: RocksDB's compaction of store partitions, in the engine, with the sizes before and after."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from console.jobs import control, survey

if TYPE_CHECKING:
    from console.jobs.work import Work
    from console.models import Job
    from console.observe.board import State


def preview(state: State, store: str, partitions: list[int], _arguments: dict[str, Any]) -> dict[str, Any]:
    """Return what would be compacted."""
    found, problems = survey.places(state, store, partitions)
    in_memory = [each["partition"] for each in found if each["backend"] == "memory"]
    if in_memory:
        problems.append(f"Partition {in_memory[0]} is in memory: there is nothing to compact.")
    bytes_now = [each["bytes_now"] for each in found]
    known = sum(bytes_now) if None not in bytes_now else None
    return {
        "partitions": [{**each, "how": "engine"} for each in found],
        "totals": {"bytes_now": known, "disk_bytes": known, "seconds_estimate": None},
        "effects": [
            "RocksDB rewrites its files; the content stays what it is, and the task goes on.",
            "While it runs, up to the store's size is needed in addition, and the disk is busy.",
        ],
        "problems": problems,
    }


def run(work: Work) -> dict[str, Any]:
    """Compact one partition after the other."""
    job = work.job
    partitions: dict[str, Any] = dict(job.result.get("partitions", {}))
    for partition in job.partitions:
        if str(partition) in partitions:
            continue
        work.check()
        work.report(partition, phase="compacting")
        owner = control.Owner(job.application, job.store, partition)
        answer = control.carry_through(work, owner, "compact", {"job": f"{job.pk}:{partition}"}, done="done")
        partitions[str(partition)] = {
            key: answer.get(key) for key in ("bytes_before", "bytes_after", "levels_before", "levels_after")
        }
        work.remember(partitions=partitions)
        work.report(partition, phase="done", now=True)
    before = [each["bytes_before"] for each in partitions.values()]
    after = [each["bytes_after"] for each in partitions.values()]
    return {
        "partitions": partitions,
        "bytes_before": None if None in before else sum(before),
        "bytes_after": None if None in after else sum(after),
    }


def changed(job: Job) -> str | None:
    """Say how many partitions have been compacted, None while none has."""
    count = len(job.result.get("partitions", {}))
    return f"{count} of {len(job.partitions)} partitions had been compacted already." if count else None
