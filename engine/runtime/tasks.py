"""The tasks of this instance: given by the group, taken over by the restorer, started, stopped and taken back here.

Owner: the loop; its thread only. Implements `membership.Listener`: what it does in a callback is commit and close,
never restore. Other threads see the tasks through `published`, a tuple that is replaced as a whole.
"""

import contextlib
import logging
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from confluent_kafka import TopicPartition

from engine.errors import Fatal, RebuildTask, Retry, StatehouseError
from engine.records import RawBatch
from engine.runtime.active_task import ActiveTask, TaskParts
from engine.runtime.blueprint import Blueprint
from engine.runtime.commit import Committer
from engine.runtime.consumer import Consumer
from engine.runtime.record_queue import Place
from engine.runtime.restorer import Restorer
from engine.runtime.standby import Standby
from engine.runtime.take_over import TakeOver, TaskStores
from engine.runtime.task import TaskContext

log = logging.getLogger(__name__)

Notify = Callable[..., None]


class Tasks:
    """All tasks assigned to this instance, running or on their way."""

    def __init__(
        self, blueprint: Blueprint, parts: TaskParts, restorer: Restorer, poll_records: int, notify: Notify
    ) -> None:
        self._blueprint = blueprint
        self._parts = parts
        self._restorer = restorer
        self._notify = notify
        # A queue that waits for its neighbours is not filled beyond this.
        self._waiting_max = 2 * poll_records
        self.consumer: Consumer
        self.committer: Committer
        self.by_id: dict[str, ActiveTask] = {}
        self._by_place: dict[Place, ActiveTask] = {}
        self.take_overs: dict[str, TakeOver] = {}
        # Whether what leaves here stays as a standby.
        self.keeps_standbys = False
        # Rewound since the last poll ended.
        self._rewound: set[str] = set()
        self.leaving = False
        # Whether a turn failed in its middle: what was not committed is to be undone, and must not be committed before that.
        self.undo_due = False
        self.published: tuple[ActiveTask, ...] = ()

    def running(self) -> list[ActiveTask]:
        """Tasks that process."""
        return [t for t in self.by_id.values() if t.state == "running"]

    @property
    def standbys(self) -> tuple[Standby, ...]:
        """The standbys held here; one whose task is assigned here is about to be promoted. Any thread."""
        return self._restorer.standbys.published

    def places(self) -> list[Place]:
        """Every input and changelog partition of the tasks and standbys here. Any thread."""
        found = [place for task in self.published for place in task.places]
        held = [(task.sub_topology, task.partition) for task in self.published]
        held += [(standby.sub_topology, standby.partition) for standby in self.standbys]
        for sub_topology, partition in held:
            changelogs = (self._blueprint.changelog(s) for s in self._blueprint.specs(sub_topology).values())
            found += [(changelog, partition) for changelog in changelogs if changelog is not None]
        return found

    @property
    def restore_pids(self) -> tuple[int, ...]:
        """The processes that restore beside this one. Any thread."""
        return self._restorer.processes.pids

    # -- what the group says (in its callbacks) -----------------------------------------------------------------------

    def tasks_assigned(self, tasks: list[str]) -> None:
        """Begin to take these over; an instance that leaves begins nothing."""
        if self.leaving:
            return
        for name in tasks:
            if name not in self.by_id:
                self._begin(name)
        self._notify("rebalance", f"assigned {len(tasks)} tasks: {', '.join(sorted(tasks)) or 'none'}", tasks=tasks)
        self._publish()

    def tasks_revoked(self, tasks: list[str]) -> None:
        """Commit, then close these: another member may start them when this returns."""
        clean = False
        try:
            if not self.undo_due:
                clean = self._commit_before(tasks)
            if not clean:
                self.roll_back()
        finally:
            # Whatever failed above is the loop's to mend; these tasks are another member's from now on.
            self._close_each(tasks, clean=clean, stays=True)
        self._notify("rebalance", f"revoked {len(tasks)} tasks: {', '.join(sorted(tasks)) or 'none'}", tasks=tasks)

    def _commit_before(self, tasks: list[str]) -> bool:
        try:
            if any(self._is_running(name) for name in tasks):
                self.committer.commit(self.running())
        except (RebuildTask, Retry) as error:
            log.warning("the commit before tasks were revoked failed: %s", error)
            return False
        return True

    def tasks_lost(self, tasks: list[str]) -> None:
        """Close these without committing, and undo the transaction that they took part in."""
        self._close_each(tasks, clean=False, stays=True)
        self._notify("fenced", f"lost {len(tasks)} tasks: another member has them", tasks=tasks)
        self.roll_back()

    # -- between polls ------------------------------------------------------------------------------------------------

    def collect(self) -> bool:
        """Start what the restorer has finished; returns whether a commit is due because of it."""
        finished = deque(self._restorer.finished())
        try:
            return self._collect(finished)
        finally:
            # What stops the engine leaves the others to be closed, or nobody could open them in this process again.
            for wanted in finished:
                wanted.close(clean=True)

    def _collect(self, finished: deque[TakeOver]) -> bool:
        started = False
        while finished:
            wanted = finished.popleft()
            task = self.by_id.get(wanted.task)
            if task is None or self.take_overs.get(wanted.task) is not wanted:
                wanted.close(clean=True)
                continue
            del self.take_overs[wanted.task]
            for note in wanted.notes:
                log.warning("task %s: %s", wanted.task, note)
                self._notify("error", note, task=wanted.task)
            if wanted.error is not None:
                self._failed(task, wanted.error)
                continue
            try:
                self._start(task, wanted)
            except (RebuildTask, Retry) as error:
                # Processors may read their stores as they begin, and find one damaged.
                wanted.close(clean=False)
                self._failed(task, error)
                continue
            started = True
        if started:
            self._publish()
        return started

    def settle(self, batches: list[RawBatch]) -> list[RawBatch]:
        """Those of the polled batches that count, called after each poll.

        A membership callback within the poll may have rewound a task. Which of its records were fetched before that and
        which after cannot be told any more, so none counts and its inputs are read again.
        """
        if not self._rewound:
            return batches
        places = set()
        for name in self._rewound:
            task = self.by_id.get(name)
            if task is not None and task.state == "running":
                places.update(task.places)
                self.consumer.unassign(task.places)
                self.consumer.assign(TopicPartition(*q.place, q.received) for q in task.inputs.by_place.values())
        self._rewound.clear()
        return [raw for raw in batches if (raw.topic, raw.partition) not in places]

    def route(self, batches: Iterable[RawBatch]) -> None:
        """Hand each batch to its task; what belongs to no task any more is dropped."""
        for raw in batches:
            task = self._by_place.get((raw.topic, raw.partition))
            if task is None:
                continue
            queue = task.accept(raw)
            if queue is not None and queue.waiting > self._waiting_max and not queue.paused:
                self.consumer.pause(queue.place)
                queue.paused = True

    def resume(self, task: ActiveTask) -> None:
        """Fetch again what was paused because it waited."""
        for queue in task.inputs.by_place.values():
            if queue.paused and queue.waiting <= self._waiting_max // 2:
                self.consumer.resume(queue.place)
                queue.paused = False

    def before_poll(self) -> None:
        """A rewind before a poll is complete when it begins."""
        self._rewound.clear()

    # -- undoing ------------------------------------------------------------------------------------------------------

    def roll_back(self) -> None:
        """Abort: every running task goes back to what was committed, or is taken over anew where its stores cannot."""
        self.undo_due = True
        if self.committer.abort():
            for task in self.running():
                if task.behind:
                    self.retake(task.id, "its stores did not take the last commit")
                else:
                    self._rewind(task, task.rollback())
        else:
            for task in self.running():
                self.retake(task.id, "the outcome of the last commit is unknown")
        self.undo_due = False

    def retake(self, name: str, why: str) -> None:
        """Close a task without committing and take it over again from what the group and the changelogs say."""
        log.warning("task %s is taken over again: %s", name, why)
        self._close_each([name], clean=False)
        self._begin(name)
        self._publish()

    def retake_by_place(self, place: Place, why: str) -> None:
        """Take over the task that reads `place` again."""
        task = self._by_place.get(place)
        if task is not None:
            self.retake(task.id, why)

    def close_all(self, *, clean: bool) -> None:
        """Close every task; none begins any more."""
        self.leaving = True
        with contextlib.ExitStack() as closing:  # every one, whatever the disk says of another
            for name in self.by_id:
                closing.callback(self._close, name, clean=clean)
        self._publish()

    def _close_each(self, names: Iterable[str], *, clean: bool, stays: bool = False) -> None:
        """Close these, all of them; raises only what stops the engine.

        A store that does not close well is judged when it is opened the next time. Its task has left all the same: were
        the others kept because of it, two members would have them.
        """
        try:
            with contextlib.ExitStack() as closing:
                for name in names:
                    closing.callback(self._close_told, name, clean=clean, stays=stays)
        finally:
            self._publish()

    def _close_told(self, name: str, *, clean: bool, stays: bool) -> None:
        try:
            self._close(name, clean=clean, stays=stays)
        except (RebuildTask, Retry) as error:
            log.warning("task %s was closed with less than it had: %s", name, error)
            self._notify("error", str(error), task=name)

    # -- one task -----------------------------------------------------------------------------------------------------

    def _begin(self, name: str) -> None:
        shape = self._blueprint.tasks.get(name)
        if shape is None:
            raise Fatal(f"task {name} was assigned, which this topology does not have: was the tasks topic changed?")
        plan = self._blueprint.plans[shape.sub_topology]
        task = ActiveTask(name, shape.sub_topology, shape.partition, plan, list(shape.places), self._parts)
        wanted = TakeOver(
            **self._described(name, task.context), places=list(shape.places), resets=self._blueprint.resets
        )
        task.move("restoring")
        self.by_id[name] = task
        self.take_overs[name] = wanted
        self._restorer.submit(wanted)

    def _described(self, name: str, context: TaskContext) -> dict[str, Any]:
        """What `TaskStores` wants to know of a task."""
        shape = self._blueprint.tasks[name]
        specs = self._blueprint.specs(shape.sub_topology)
        changelogs = {store: self._blueprint.changelog(spec) for store, spec in specs.items()}
        return {
            "task": name,
            "sub_topology": shape.sub_topology,
            "partition": shape.partition,
            "context": context,
            "specs": specs,
            "changelogs": changelogs,
        }

    def _start(self, task: ActiveTask, wanted: TakeOver) -> None:
        restored = sum(r.records for r in wanted.restores)
        task.restores = {r.store_name: r for r in wanted.restores}
        # Stores that were a standby's know that one's context.
        task.context = wanted.context
        task.start(wanted.committed, wanted.stores)
        for place in task.places:
            self._by_place[place] = task
        begins = (TopicPartition(p[0], p[1], c.offset) for p, c in wanted.committed.items())
        self.consumer.assign(begins, wanted.ends)
        log.info("task %s runs; %d records restored", task.id, restored)
        for restoring in wanted.restores:
            if restoring.records:
                text = f"restored {restoring.records} records of {restoring.store_name} from offset {restoring.start}"
                self._notify("restore-ended", text, task=task.id, store=restoring.store_name, records=restoring.records)
        self._notify("task-assigned", f"task {task.id} runs", task=task.id)

    def _failed(self, task: ActiveTask, error: Exception) -> None:
        if isinstance(error, RebuildTask | Retry):
            log.warning("task %s is taken over again: %s", task.id, error)
            self.by_id.pop(task.id)
            self._begin(task.id)
            return
        raise error

    def _rewind(self, task: ActiveTask, offsets: list[TopicPartition]) -> None:
        """Read on from the committed offsets: un-assigning drops what was fetched beyond them."""
        self.consumer.unassign(task.places)
        self.consumer.assign(offsets)
        self._rewound.add(task.id)
        for queue in task.inputs.by_place.values():
            queue.paused = False

    def stand_by(self, name: str) -> None:
        """Hold a standby of a task that another instance has."""
        shape = self._blueprint.tasks[name]
        context = TaskContext(self._parts.application_id, name, shape.partition, self._parts.wall_clock)
        self._restorer.standbys.hold(Standby(**self._described(name, context)))

    def can_stand_by(self, name: str) -> bool:
        """Whether a task has anything that a standby could follow."""
        specs = self._blueprint.specs(self._blueprint.tasks[name].sub_topology)
        return any(self._blueprint.changelog(spec) is not None for spec in specs.values())

    def _close(self, name: str, *, clean: bool, stays: bool = False) -> None:
        """Close a task; with `stays` its open stores remain here as a standby, if this instance has such."""
        stays = stays and self.keeps_standbys and not self.leaving
        task = self.by_id.pop(name, None)
        wanted = self.take_overs.pop(name, None)
        if wanted is not None:
            self._restorer.cancel(wanted, stays=stays)
        if task is None:
            return
        if task.state == "running":
            for place in task.places:
                self._by_place.pop(place, None)
            self.consumer.unassign(task.places)
            if stays:
                self._stay(task)
        task.close(clean=clean)
        self._notify("task-revoked", f"task {name} closed", task=name)

    def _stay(self, task: ActiveTask) -> None:
        """Turn a running task into a standby, in place; one whose stores do not let that be is closed as usual."""
        try:
            former = TaskStores(**self._described(task.id, task.context), stores=task.release())
        except StatehouseError as error:
            log.warning("task %s does not stay as a standby: %s", task.id, error)
            return
        if self.can_stand_by(task.id):
            self._restorer.standbys.hold(Standby.of(former))
        else:
            former.close(clean=True)

    def _is_running(self, name: str) -> bool:
        task = self.by_id.get(name)
        return task is not None and task.state == "running"

    def _publish(self) -> None:
        self.published = tuple(self.by_id.values())
