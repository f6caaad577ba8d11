"""The status records of an instance (docs/contracts.md, section 1). Called on the reporter's thread, twice a second.

It reads what the loop publishes whole and never waits for it, so a loop that is busy with one slow record is still seen.
Nothing is invented: what is not known is None.
"""

import os
import socket
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import psutil

from engine.config import EngineConfig
from engine.control import status
from engine.hosting import budgets, work
from engine.hosting.caches import Caches
from engine.hosting.handles import Handle, InstanceView
from engine.hosting.sampler import Sampler
from engine.query.service import QueryService
from engine.runtime.active_task import ActiveTask
from engine.runtime.blueprint import Blueprint
from engine.runtime.commit import Committer
from engine.runtime.handlers import PolicyHandlers
from engine.runtime.loop import Loop
from engine.runtime.membership import Membership
from engine.runtime.record_queue import Place, RecordQueue
from engine.runtime.standby import Standby
from engine.runtime.tasks import Tasks
from engine.stores import memory_budget

# Rates look back this far.
RATE_SECONDS = 5.0


class Rate:
    """How fast a counter grows, over the last seconds. One thread."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, float]] = deque()

    def per_second(self, value: float, now: float) -> float | None:
        """Note `value` and return its growth per second; None at first, and never below 0."""
        if self._seen and value < self._seen[-1][1]:
            self._seen.clear()
        self._seen.append((now, value))
        while len(self._seen) > 2 and now - self._seen[0][0] > RATE_SECONDS:  # noqa: PLR2004 - two points make a rate
            self._seen.popleft()
        began, first = self._seen[0]
        return round((value - first) / (now - began), 1) if now > began else None


class Report:
    """Collects the records of one instance."""

    def __init__(
        self,
        *,
        blueprint: Blueprint,
        instance_id: str,
        config: EngineConfig,
        started_at: int,
        state: Callable[[], tuple[Any, str | None]],
        last_error: Callable[[], tuple[int, str] | None],
        loop: Loop,
        tasks: Tasks,
        committer: Committer,
        membership: Membership,
        handlers: PolicyHandlers,
        view: InstanceView,
        sampler: Sampler,
        member_id: Callable[[], str | None],
    ) -> None:
        self._blueprint = blueprint
        self._common: dict[str, Any] = {"application": blueprint.application_id, "instance": instance_id}
        self._config = config
        self._started_at = started_at
        self._state = state
        self._last_error = last_error
        self._loop = loop
        self._tasks = tasks
        self._committer = committer
        self._membership = membership
        self._handlers = handlers
        self._view = view
        self._sampler = sampler
        self._member_id = member_id
        self.service: QueryService | None = None
        self._process = psutil.Process()
        self._host = socket.gethostname()[:200]
        self._rates: dict[Any, Rate] = {}
        self._caches = Caches()
        self._took_ms = 0.0

    def collect(self) -> Sequence[status.StatusRecord]:
        """All records of this instance, as of now."""
        began = time.monotonic()
        published = self._tasks.published
        records: list[status.StatusRecord] = [self._topology()]
        records += [self._task(task, began) for task in published]
        owned = {task.id for task in published}
        records += [self._standby(standby) for standby in self._tasks.standbys if standby.task not in owned]
        records += [self._store(handle) for handle in self._view.handles()]
        records.append(self._instance(published, began))
        self._took_ms = round((time.monotonic() - began) * 1000, 2)
        return records

    def _topology(self) -> status.StatusRecord:
        return status.TopologyStatus(
            **self._common, hash=self._blueprint.topology.hash, description=dict(self._view.topology())
        )

    def _instance(self, published: tuple[ActiveTask, ...], now: float) -> status.StatusRecord:
        state, reason = self._state()
        busy = work.share(self._rate("busy", 1000 * self._loop.busy_seconds, now))
        error = self._last_error()
        memory, disk = self._memory(published), self._disk()
        bounds = budgets.budgets(
            disk=disk,
            disk_bytes=self._sampler.disk_bytes,
            disk_free_bytes_min=self._config.disk_free_bytes_min,
            rss_bytes=memory.rss_bytes or 0,
            uncommitted_bytes=self._loop.uncommitted_bytes,
            uncommitted_bytes_max=self._config.uncommitted_bytes_max,
            stores=[opened for task in published for opened in task.stores.values()],
        )
        return status.InstanceStatus(
            **self._common,
            state=state,
            reason=reason,
            started_at=self._started_at,
            guarantee=self._config.guarantee,  # type: ignore[arg-type]
            topology_hash=self._blueprint.topology.hash,
            host=self._host,
            pid=os.getpid(),
            address=self.service.address if self.service is not None else None,
            member_id=self._member_id(),
            tasks=sorted(self._membership.tasks),
            rates=status.Rates(
                in_per_second=self._rate("in", self._loop.processed_total, now) or 0.0,
                processed_total=self._loop.processed_total,
                commits_total=self._committer.commits_total,
                commit_ms_p50=self._committer.percentile_ms(0.5),
                commit_ms_p99=self._committer.percentile_ms(0.99),
                busy_ratio=busy,
            ),
            work=work.of_tasks(published, self._rate, now),
            counters=status.Counters(
                skipped_total=self._handlers.skipped_total,
                dead_lettered_total=self._handlers.dead_lettered_total,
                dropped_total=sum(t.context.dropped_total for t in published),
                query_total=self.service.queries.total if self.service is not None else 0,
            ),
            memory=memory,
            disk=disk,
            pressure=budgets.pressure(bounds),
            budgets=bounds,
            caches=self._caches.look(),
            last_error=None if error is None else status.LastError(at=error[0], message=error[1][:4_000]),
            record_ms=self._took_ms,
        )

    def _memory(self, published: tuple[ActiveTask, ...]) -> status.Memory:
        budget = memory_budget.usage()
        stores = [o for task in published for o in task.stores.values()]
        stores += [o for standby in self._tasks.standbys for o in list(standby.stores.values())]
        in_memory = [o for o in stores if o.spec.backend != "rocksdb"]
        bounds = [o.spec.max_bytes for o in in_memory if o.spec.max_bytes is not None]
        return status.Memory(
            rss_bytes=self._process.memory_info().rss + sum(map(_rss, self._tasks.restore_pids)),
            block_cache_bytes=budget["block_cache_bytes"],
            block_cache_limit_bytes=budget["block_cache_limit_bytes"],
            memtable_bytes=budget["memtable_bytes"],
            memtable_limit_bytes=budget["memtable_limit_bytes"],
            uncommitted_bytes=self._loop.uncommitted_bytes,
            in_memory_bytes=sum(o.size_bytes or 0 for o in in_memory),
            in_memory_limit_bytes=sum(bounds) if in_memory and len(bounds) == len(in_memory) else None,
        )

    def _disk(self) -> status.Disk:
        return status.Disk(state_dir_bytes=self._sampler.state_dir_bytes, free_bytes=self._sampler.free_bytes)

    def _task(self, task: ActiveTask, now: float) -> status.StatusRecord:
        running = task.state == "running"
        return status.TaskStatus(
            **self._common,
            task=task.id,
            partition=task.partition,
            role="active",
            state=task.state,  # type: ignore[arg-type]
            reason="waits for a swap" if task.held else None,
            stream_time=task.context.stream_time if running and task.context.stream_time >= 0 else None,
            inputs=[self._input(task, place, now) for place in task.places],
        )

    def _standby(self, standby: Standby) -> status.StatusRecord:
        return status.TaskStatus(
            **self._common,
            task=standby.task,
            partition=standby.partition,
            role="standby",
            state="running" if standby.caught_up else "restoring",
            reason=standby.error,
        )

    def _input(self, task: ActiveTask, place: Place, now: float) -> status.Input:
        queue: RecordQueue | None = task.inputs.by_place.get(place)
        committed = task.committed.get(place)
        position = None if queue is None else max(queue.shown, queue.position)
        end = self._sampler.ends.get(place)
        # The end was looked at before the position moved on: a lag is never negative.
        lag = None if position is None or end is None else max(0, end - position)
        return status.Input(
            topic=place[0],
            partition=place[1],
            position=position,
            committed=committed.offset if committed is not None else None,
            begin=self._sampler.begins.get(place),
            end=end,
            lag=lag,
            lag_ms=0 if lag == 0 else None,
            rate_per_second=None if queue is None else self._rate(("in", task.id, place), queue.position, now),
        )

    def _store(self, handle: Handle) -> status.StatusRecord:
        restoring = handle.restoring
        position, lag, records = _progress(handle)
        return status.StoreStatus(
            **self._common,
            task=handle.task if handle.task != "global" else "0_0",
            store=handle.spec.name,
            partition=handle.partition,
            role=handle.role,  # type: ignore[arg-type]
            store_kind=handle.spec.kind,  # type: ignore[arg-type]
            backend="rocksdb" if handle.spec.backend == "rocksdb" else "memory",
            phase=handle.phase,  # type: ignore[arg-type]
            generation=handle.opened.generation if handle.opened is not None else None,
            changelog=self._blueprint.changelog(handle.spec),
            start=handle.start,
            position=position,
            end=handle.end,
            snapshot_end=restoring.end if restoring is not None else None,
            lag=lag,
            restored_records=records,
            rate_per_second=_restore_rate(handle) if restoring is not None else None,
            cause=restoring.cause if restoring is not None and (restoring.records or not handle.running) else None,
            restore_started_at=int(restoring.began_at * 1000) if restoring is not None else None,
            restore_ended_at=int(restoring.ended_at * 1000) if restoring is not None and restoring.ended_at else None,
            keys_estimate=handle.keys_estimate,
            bytes=handle.bytes,
            written_since_start=handle.opened.drained_total if handle.opened is not None else 0,
        )

    def _rate(self, what: Any, value: float, now: float) -> float | None:
        return self._rates.setdefault(what, Rate()).per_second(value, now)


def _rss(pid: int) -> int:
    """Memory of a process that restores for this one; 0 once it has ended."""
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0


def _progress(handle: Handle) -> tuple[int | None, int | None, int]:
    """Position, lag and restored records, none of which goes back while one restore lasts.

    After its process was killed it goes on from what was on disk, which readers are told; in reports the furthest that was
    reached stands until it is passed.
    """
    restoring, position, end, lag = handle.restoring, handle.position, handle.end, handle.lag
    if restoring is None or handle.running or position is None:
        return position, lag, restoring.records if restoring is not None else 0
    restoring.shown = furthest, records = max(restoring.shown, (position, restoring.records))
    return furthest, lag if lag is None or end is None else min(lag, max(0, end - furthest)), records


def _restore_rate(handle: Handle) -> float | None:
    restoring = handle.restoring
    if restoring is None:
        return None
    took = (restoring.ended_at or time.time()) - restoring.began_at
    return round(restoring.records / took, 1) if took > 0 else None


def as_json(records: Sequence[status.StatusRecord]) -> dict[str, Any]:
    """Records as `/v1/instance` shows them."""
    found: dict[str, Any] = {"instance": None, "tasks": [], "stores": []}
    for record in records:
        if isinstance(record, status.InstanceStatus):
            found["instance"] = msgspec.to_builtins(record)
        elif isinstance(record, status.TaskStatus):
            found["tasks"].append(msgspec.to_builtins(record))
        elif isinstance(record, status.StoreStatus):
            found["stores"].append(msgspec.to_builtins(record))
    return found
