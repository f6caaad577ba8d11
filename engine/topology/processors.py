"""The Processor API: what a user's own processor looks like, and the operation that runs it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any, ClassVar, NamedTuple, Protocol

from engine.errors import TopologyError
from engine.records import Record
from engine.topology.callables import NOTHING, check_callable
from engine.topology.operations import Operation


class PunctuationType(StrEnum):
    """Which clock a schedule follows: the records' own time, or the machine's."""

    STREAM_TIME = "stream-time"
    WALL_CLOCK_TIME = "wall-clock-time"


class RecordMetadata(NamedTuple):
    """Where the record being processed came from; offset -1 where that is not known."""

    topic: str
    partition: int
    offset: int


class Scheduled(Protocol):
    """A schedule that can be ended."""

    def cancel(self) -> None:
        """Stop calling; allowed from within the callback and more than once."""


class ProcessorContext(Protocol):
    """A processor's window on its task. Valid from `init` to `close`, on the task's thread only."""

    application_id: str
    task_id: str
    # None outside of `process`, as in a punctuation.
    record_metadata: RecordMetadata | None

    def forward(
        self,
        record: Any = None,
        value: Any = None,
        timestamp: int | None = None,
        child: str | None = None,
        headers: Any = None,
    ) -> None:
        """Send a record on before returning: a `Record`, or a key with `value` and `timestamp`; to all children or one.

        Without a timestamp it takes the one of the record being processed (in a punctuation: the punctuation's).
        """

    def schedule(
        self,
        interval_ms: int | timedelta,
        kind: PunctuationType | str,
        callback: Callable[[int], None],
        start_ms: int | None = None,
    ) -> Scheduled:
        """Call `callback(timestamp)` every `interval_ms` (or a timedelta), on a grid anchored at `start_ms` if given."""

    def state_store(self, name: str) -> Any:
        """The store of that name, which must be among those the processor was connected to."""

    def current_stream_time_ms(self) -> int:
        """Highest timestamp seen by the task; -1 before the first record."""

    def current_system_time_ms(self) -> int:
        """The wall clock; a test driver's moves only when told."""

    def commit(self) -> None:
        """Ask for a commit soon; it does not wait for it."""


class Processor:
    """Base of a user's processor: one instance a task, made anew when the task starts over, so state belongs in stores."""

    context: ProcessorContext

    def init(self, context: ProcessorContext) -> None:
        """Take the context; fetch stores and make schedules here. Overriders keep the context themselves."""
        self.context = context

    def process(self, record: Record) -> None:
        """Handle one record. Whatever it forwards goes all the way down before this returns."""
        raise NotImplementedError

    def close(self) -> None:
        """Let go of what the processor holds; stores are closed by the engine."""


def check_supplier(supplier: Any) -> Callable[[], Any]:
    """Return what makes a processor, a class or a function; raise TopologyError for anything else."""
    check_callable(supplier, "processor", NOTHING)
    if isinstance(supplier, type):
        check_processor(supplier)
    return supplier  # type: ignore[no-any-return]


def check_processor(made: Any) -> Any:
    """Return a processor, or the class of one; raise TopologyError for what has not its methods."""
    for method in ("init", "process"):
        if not callable(getattr(made, method, None)):
            raise TopologyError(f"the processor {made!r} has no method {method}: subclass engine.Processor")
    return made


@dataclass(frozen=True, eq=False)
class Process(Operation):
    """Run what `supplier()` makes. With `fixed_key` every forwarded record keeps its input's key."""

    prefix: ClassVar[str] = "KSTREAM-PROCESSOR-"
    label: ClassVar[str] = "process"
    # A processor may look at the task's clock and forward in the midst of its work: the task feeds it record by record.
    per_record: ClassVar[bool] = True
    supplier: Callable[[], Any]
    fixed_key: bool = False
