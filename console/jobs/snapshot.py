"""Snapshot: a store as its changelog had it before an offset, or at a time, built on the host of its first partition's owner.

    1. ask that owner where its state lies and how the store is laid out
    2. settle the offset that each partition goes up to, and write it into the row: attempts must not differ
    3. build each partition into ``snapshots/<job>.staging/<partition>``
    4. describe it, name it ``snapshots/<job>``, and make its row
The engine reads what lies there (docs/decisions/0010). A delivery that died leaves whole partitions, which the next one
keeps, and a half one, which it builds anew. Snapshots go after ``SNAPSHOT_KEEP_SECONDS``, or when somebody deletes them.
"""

from __future__ import annotations

import os
import shutil
import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from console import limits
from console.browse import changelog_facts
from console.browse.changelog_facts import KafkaAway
from console.jobs import control, rebuild, staging, survey
from console.jobs.work import Cancelled, Failed, LeaseLost, TryAgain
from console.models import Job, Snapshot
from console.observe import store_shapes
from console.observe.board import reader
from engine.changelog import snapshot_files
from engine.changelog.snapshot_files import SnapshotFile

if TYPE_CHECKING:
    from console.jobs.work import Work
    from console.observe.board import State

_ARGUMENTS = {"as_of_offset", "as_of_time", "keep_hours"}
_HOURS_MAX = limits.SNAPSHOT_KEEP_SECONDS_MAX // 3600


def refuse(arguments: dict[str, Any]) -> str | None:
    """Say what is wrong with the arguments, if anything."""
    unknown = sorted(set(arguments) - _ARGUMENTS)
    if unknown:
        return f"A snapshot has no argument {unknown[0]!r}. Use as_of_offset or as_of_time, and keep_hours."
    if ("as_of_offset" in arguments) == ("as_of_time" in arguments):
        return "Say as of when: as_of_offset (of one partition) or as_of_time (ms since 1970, the records' own time)."
    for name, highest in (("as_of_offset", 2**62), ("as_of_time", 10**15), ("keep_hours", _HOURS_MAX)):
        value = arguments.get(name, 1)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= highest:
            return f"{name} is a whole number from 0 to {highest}."
    return "keep_hours must be at least 1." if arguments.get("keep_hours", 1) < 1 else None


def preview(state: State, store: str, partitions: list[int], arguments: dict[str, Any]) -> dict[str, Any]:
    """Return what would be read, up to where, what it takes, and what compaction has left of it."""
    shown = rebuild.preview(state, store, partitions, {})
    # Built from Kafka alone, so one host does for all partitions, whoever owns them.
    first = shown["partitions"][0]
    shown["partitions"] = [{**each, "host": first["host"], "how": "worker"} for each in shown["partitions"]]
    changelog = first["changelog"]
    facts: dict[str, Any] = {}
    if changelog is not None:
        try:
            facts = changelog_facts.settings_of(changelog)
            until = _until(changelog, shown["partitions"], arguments)
        except KafkaAway as error:
            shown["problems"].append(f"Kafka does not say what the changelog {changelog} has: {error}. Try again.")
        except Failed as error:
            shown["problems"].append(str(error))
        else:
            for each in shown["partitions"]:
                each["until"] = until[each["partition"]]
                each["records_estimate"] = max(each["until"] - each["begin"], 0)
            shown["totals"]["records_estimate"] = sum(each["records_estimate"] for each in shown["partitions"])
    keep = arguments.get("keep_hours", limits.SNAPSHOT_KEEP_SECONDS // 3600)
    shown["facts"] = facts
    shown["effects"] = [
        f"A copy is built from the changelog on {first['host'] or 'the host of its owner'}, beside the store; nothing else changes.",
        f"It can be browsed and compared with the present for {keep} hours, then it is removed.",
        *changelog_facts.limits_in_words(facts),
    ]
    if "as_of_time" in arguments:
        shown["effects"].append(
            "Times are the records' own (of the events that changed the store). Each partition goes up to its first record "
            "that is stamped at that time or later."
        )
    return shown


def run(work: Work) -> dict[str, Any]:
    """Build it, and make its row."""
    job = work.job
    try:
        return _run(work)
    except LeaseLost:
        raise  # the files are another worker's by now
    except (Cancelled, Failed):
        kept = job.result.get("directory")
        if kept:
            remove(Path(kept), job.application, str(job.pk))
        raise


def _run(work: Work) -> dict[str, Any]:
    # Step 1
    job = work.job
    owner = control.Owner(job.application, job.store, job.partitions[0])
    found = staging.store_of(work, owner)
    instance = owner.instance()
    if instance.host != settings.HOST_NAME:
        raise Failed(
            f"Partition {owner.partition} has moved to {instance.host} since the dry run. Start the job again."
        )
    if not found.get("changelog"):
        raise Failed("The store has no changelog (logging is off), so nothing is known of its past.")
    application = _application(Path(str(found["directory"])), job.application, job.store)
    directory = Path(str(job.result.get("directory") or snapshot_files.directory_of(application, str(job.pk))))
    changelog = str(found["changelog"])
    # Step 2
    if "until" not in job.result:
        until, facts = _settled(changelog, job.partitions, job.arguments)
        work.remember(
            directory=str(directory),
            instance=instance.instance,
            until={str(partition): offset for partition, offset in until.items()},
            facts=facts,
        )
    # Step 3
    if not directory.is_dir():
        spec = snapshot_files.spec_of(job.store, found["spec"])
        if spec.retain_duplicates:
            raise Failed("The store keeps every put of a key and time (it is a join's buffer); it cannot be browsed.")
        for partition in job.partitions:
            if str(partition) not in job.result.get("built", {}):
                built = _build(work, directory, partition, spec, changelog)
                work.remember(built={**job.result.get("built", {}), str(partition): built})
            work.report(partition, phase="done", now=True)
        # Step 4
        work.check()
        positions = {int(partition): built["position"] for partition, built in job.result["built"].items()}
        count = len(_known_partitions(job.application, job.store))
        _name(directory, SnapshotFile(job.store, changelog, count, positions, dict(found["spec"])))
    return _made(work, directory)


def _build(work: Work, directory: Path, partition: int, spec: Any, changelog: str) -> dict[str, Any]:
    staged = directory.with_name(directory.name + snapshot_files.STAGING)
    staged.mkdir(mode=snapshot_files.DIRECTORY_MODE, parents=True, exist_ok=True)
    until = int(work.job.result["until"][str(partition)])
    began = time.monotonic()
    place = staging.Copy(staged / str(partition), spec, changelog, partition)
    built = rebuild.build_copy(work, place, until=until)
    if built.begin > until:
        raise Failed(
            f"The changelog of partition {partition} begins at offset {built.begin:,} by now, behind {until:,}: what lay "
            "before has been deleted."
        )
    return {
        "begin": built.begin,
        "position": until,
        "records": built.records,
        "bytes": _size(place.staged),
        "seconds": round(time.monotonic() - began, 2),
    }


def _name(directory: Path, described: SnapshotFile) -> None:
    """Describe it and give it its name: from here on it is whole, and the engine finds it."""
    staged = directory.with_name(directory.name + snapshot_files.STAGING)
    snapshot_files.write(staged, described)
    staged.rename(directory)
    handle = os.open(directory.parent, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _made(work: Work, directory: Path) -> dict[str, Any]:
    """Make the row: once, for its id is the job's."""
    job = work.job
    now = timezone.now()
    keep_s = int(job.arguments.get("keep_hours", 0)) * 3600 or limits.SNAPSHOT_KEEP_SECONDS
    partitions = [
        {"partition": int(partition), **{name: built[name] for name in ("begin", "position", "records", "bytes")}}
        for partition, built in sorted(job.result["built"].items(), key=lambda each: int(each[0]))
    ]
    as_of = (
        {"offset": job.arguments["as_of_offset"]}
        if "as_of_offset" in job.arguments
        else {"time_ms": job.arguments["as_of_time"]}
    )
    snapshot, _ = Snapshot.objects.get_or_create(
        id=job.pk,
        defaults={
            "number": job.number,
            "application": job.application,
            "store": job.store,
            "instance": job.result["instance"],
            "host": settings.HOST_NAME,
            "directory": str(directory),
            "partitions": partitions,
            "as_of": as_of,
            "facts": job.result["facts"],
            "bytes": sum(each["bytes"] for each in partitions),
            "why": job.why,
            "created_by": job.created_by,
            "created_at": now,
            "expires_at": now + timedelta(seconds=keep_s),
        },
    )
    return {
        "snapshot": str(snapshot.pk),
        "records": sum(each["records"] for each in partitions),
        "bytes": snapshot.bytes,
        "partitions": {str(each["partition"]): each for each in partitions},
    }


def _settled(changelog: str, partitions: list[int], arguments: dict[str, Any]) -> tuple[dict[int, int], dict[str, Any]]:
    """Return the offset that each partition goes up to, and the changelog's settings."""
    offsets, problems = survey.offsets_or_problem(changelog, partitions)
    if problems:
        raise TryAgain(problems[0])
    rows = [{"partition": each, "begin": offsets[each][0], "end": offsets[each][1]} for each in partitions]
    try:
        return _until(changelog, rows, arguments), changelog_facts.settings_of(changelog)
    except KafkaAway as error:
        raise TryAgain(str(error)) from error


def _until(changelog: str, rows: list[dict[str, Any]], arguments: dict[str, Any]) -> dict[int, int]:
    """Return the offset before which each partition ends. Raises ``Failed`` where there is nothing to go by."""
    if "as_of_offset" in arguments and len(rows) > 1:
        raise Failed("Offsets are a partition's own: choose one partition, or ask as of a time.")
    if any(each["begin"] is None for each in rows):
        raise Failed("Kafka does not say where the changelog begins and ends. Try again.")
    if "as_of_offset" in arguments:
        wanted, row = int(arguments["as_of_offset"]), rows[0]
        if not row["begin"] <= wanted <= row["end"]:
            raise Failed(
                f"Partition {row['partition']} of the changelog has the offsets {row['begin']:,} to {row['end']:,}: "
                "what lies before is deleted, and what lies behind is not written yet. Choose one of them."
            )
        return {row["partition"]: wanted}
    found = changelog_facts.offsets_at(changelog, [each["partition"] for each in rows], int(arguments["as_of_time"]))
    # No record at that time or later: everything that there is was written before.
    return {each["partition"]: _or(found[each["partition"]], each["end"]) for each in rows}


def _or(offset: int | None, otherwise: int) -> int:
    return otherwise if offset is None else offset


def _known_partitions(application: str, store: str) -> list[int]:
    state = reader.read(fresh=True).applications.get(application)
    return sorted(store_shapes.all_partitions(state, store)) if state is not None else []


def _application(store: Path, application: str, name: str) -> Path:
    """Return the application's directory, from the store's: ``…/<application>/<task>/<store>``, and really there."""
    directory = store.parent.parent
    if not store.is_absolute() or store.name != name or directory.name != application:
        raise Failed(f"The engine named a directory that is not one of store {name}'s: {store}. Nothing was touched.")
    if not directory.is_dir():
        raise Failed(f"The worker does not see {directory}. Run it on the engine's host, with the same mounts.")
    return directory.resolve()


def clear(job: Job) -> None:
    """Remove the files of a job that did not come to its end, or of a snapshot that is over; note that they are gone."""
    snapshot = Snapshot.objects.filter(pk=job.pk).first()
    if job.state == "succeeded" and (snapshot is None or not _is_over(snapshot)):
        return
    if job.result.get("directory"):
        remove(Path(str(job.result["directory"])), job.application, str(job.pk))
    if snapshot is not None:
        Snapshot.objects.filter(pk=job.pk, removed_at__isnull=True).update(removed_at=timezone.now())


def _is_over(snapshot: Snapshot) -> bool:
    return snapshot.deleted_at is not None or snapshot.expires_at <= timezone.now()


def over() -> list[Job]:
    """Return the jobs whose snapshots are over and still have files."""
    now = timezone.now()
    gone = Snapshot.objects.filter(Q(deleted_at__isnull=False) | Q(expires_at__lte=now), removed_at__isnull=True)
    return list(Job.objects.filter(pk__in=gone.values("pk")))


def remove(directory: Path, application: str, snapshot: str) -> None:
    """Remove a snapshot's files, staged or whole. What is not a snapshot's directory is left alone."""
    if (
        directory.name == snapshot
        and directory.parent.name == snapshot_files.FOLDER
        and directory.parent.parent.name == application
    ):
        shutil.rmtree(directory.with_name(snapshot + snapshot_files.STAGING), ignore_errors=True)
        shutil.rmtree(directory, ignore_errors=True)


def _size(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.iterdir() if path.is_file())
