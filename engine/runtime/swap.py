"""One replacement of a store under a running task: a rebuilt generation takes the place of the live one between two commits.

    opening ──> replaying ──> ready ──> holding ──> handed-over ──> swapped
        └───────────┴───────────┴───────────┴──> failed

The restorer's thread opens the new generation and follows the changelog with it. Once it is near the end the loop holds
the task after a commit, so that the changelog stands still; the new generation reaches the live store's position within
a fetch or two, and takes over. The old one is closed, and its files go when the new one has served a commit.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from engine.changelog.restore import Restoring
from engine.errors import Fatal, StatehouseError
from engine.runtime.active_task import ActiveTask, OpenStore

log = logging.getLogger(__name__)

TRANSITIONS = {
    "opening": {"replaying", "failed"},
    "replaying": {"ready", "failed"},
    "ready": {"holding", "failed"},
    "holding": {"handed-over", "failed"},
    "handed-over": {"swapped", "failed"},
    "swapped": set(),
    "failed": set(),
}


@dataclass
class Swap:
    """One replacement. `generation` names the staged directory; None rebuilds an in-memory store.

    `report(phase, position, end, error)` is called from the thread that makes the progress, and must not block.
    """

    task: ActiveTask
    store: str
    generation: str | None
    report: Callable[[str, int | None, int | None, str | None], None]
    cancelled: Callable[[], bool] = lambda: False
    phase: str = "opening"
    opened: OpenStore | None = None
    restoring: Restoring | None = None
    target: int | None = None  # the live store's position while the task is held
    error: str | None = None
    served: bool = field(default=False)

    def move(self, phase: str, error: str | None = None) -> None:
        """Enter another phase and say so; raises Fatal where the table has no such way."""
        if phase not in TRANSITIONS[self.phase]:
            raise Fatal(f"a swap of store {self.store} cannot go from {self.phase} to {phase}: a fault of the engine")
        self.phase, self.error = phase, error
        self.tell()

    def tell(self) -> None:
        """Report where it stands."""
        at = self.restoring
        if at is None:
            self.report(self.phase, None, None, self.error)
        else:
            self.report(self.phase, at.position, at.end, self.error)

    def discard(self) -> None:
        """Close the store that was not swapped in. Nobody will read it, and the task's live store is sound."""
        if self.opened is not None:
            try:
                self.opened.store.close()
            except StatehouseError as error:
                # RocksDB flushes here, maybe into a directory that is gone.
                log.warning("a store that was not swapped in could not be closed: %s", error)

    @property
    def ended(self) -> bool:
        """Whether nothing will happen any more."""
        return self.phase in {"swapped", "failed"}
