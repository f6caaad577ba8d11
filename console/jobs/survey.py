"""What a dry run finds out: where partitions are, how long their changelogs are, how fast the last restore went."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from confluent_kafka import Consumer, KafkaException, TopicPartition

from console.models import Job, Restore
from console.observe import store_shapes
from console.observe.topic import kafka_settings

if TYPE_CHECKING:
    from console.observe.board import State

_OFFSETS_TIMEOUT_S = 5.0


def places(state: State, store: str, partitions: list[int]) -> tuple[list[dict[str, Any]], list[str]]:
    """Return where each partition is, and what stands against working on it now."""
    found, problems = [], []
    copies = store_shapes.all_partitions(state, store)
    for partition in partitions:
        record = store_shapes.primary(copies[partition], state.unreachable)
        what = store_shapes.partition_state(record, state)
        instance = state.instances.get(record.instance) if record else None
        if record is None or what == "moving":
            problems.append(f"Partition {partition} is moving to another instance: try again when it has arrived.")
        elif what != "running":
            problems.append(f"Partition {partition} is {what}: try again when it is running.")
        if record is not None and record.role == "global":
            problems.append(
                f"Partition {partition} belongs to a global table, which has no owner: restart the instance instead."
            )
        found.append(
            {
                "partition": partition,
                "task": record.task if record else None,
                "instance": record.instance if record else None,
                "host": instance.host if instance else None,
                "changelog": record.changelog if record else None,
                "backend": record.backend if record else None,
                "bytes_now": record.bytes if record else None,
                "free_bytes": instance.disk.free_bytes if instance else None,
            }
        )
    return found, problems


def offsets(changelog: str, partitions: list[int]) -> dict[int, tuple[int, int]]:
    """Return partition -> (begin, end) of a changelog, asked of Kafka now. Raises ``KafkaException``."""
    consumer = Consumer(
        {
            **kafka_settings(),
            "group.id": "statehouse-dry-run",
            "enable.auto.commit": False,
            "allow.auto.create.topics": False,
            "log_level": 2,
        }
    )
    try:
        return {
            partition: consumer.get_watermark_offsets(TopicPartition(changelog, partition), timeout=_OFFSETS_TIMEOUT_S)
            for partition in partitions
        }
    finally:
        consumer.close()


def offsets_or_problem(changelog: str, partitions: list[int]) -> tuple[dict[int, tuple[int, int]], list[str]]:
    """Return the offsets, or none and why."""
    try:
        return offsets(changelog, partitions), []
    except (KafkaException, OSError, ValueError) as error:
        return {}, [f"Kafka does not say how long the changelog {changelog} is: {error}. Try again."]


def measured_rate(application: str, store: str) -> tuple[float | None, str | None]:
    """Return the last measured restore rate (records/s) and where it comes from: this store's, else the application's."""
    done = Restore.objects.filter(
        application_id=application, outcome=Restore.DONE, rate_per_second__gt=0, records__gt=0
    )
    jobs = Job.objects.filter(application=application, kind="rebuild", state="succeeded")
    for restores, rebuilds in ((done.filter(store=store), jobs.filter(store=store)), (done, jobs)):
        job = rebuilds.order_by("-ended_at").first()
        restore = restores.order_by("-ended_at").first()
        if (
            job is not None
            and job.ended_at
            and job.result.get("rate_per_second")
            and (restore is None or restore.ended_at is None or job.ended_at > restore.ended_at)
        ):
            return float(job.result["rate_per_second"]), f"job #{job.number}"
        if restore is not None:
            return restore.rate_per_second, f"restore #{restore.pk}"
    return None, None
