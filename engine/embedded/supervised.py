"""One part under supervision: its state, its process, its restarts.

waiting ─► starting ─► serving ─► done          (a task or a step that ended with 0; a step goes there from starting)
              ▲  │        │
              │  ▼        ▼
            backing off ◄─┘                     (the process has ended and should not have)

any ─► stopped
"""

import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from enum import Enum

from engine.embedded.part import Kind, Part
from engine.embedded.process import Process

BACK_OFF_FIRST_SECONDS = 1.0
BACK_OFF_MAX_SECONDS = 30.0
# Having served so long, a part that dies starts again at the shortest back-off.
STEADY_SECONDS = 30.0
# A part without a probe counts as serving when it has lived so long.
SETTLE_SECONDS = 1.5
PROBE_PAUSE_SECONDS = 0.05


class State(Enum):
    """Where a part is; see the drawing above."""

    WAITING = "waiting"
    STARTING = "starting"
    SERVING = "serving"
    BACKING_OFF = "backing off"
    DONE = "done"
    STOPPED = "stopped"


ALLOWED: dict[State, frozenset[State]] = {
    State.WAITING: frozenset({State.STARTING, State.STOPPED}),
    State.STARTING: frozenset({State.SERVING, State.DONE, State.BACKING_OFF, State.STOPPED}),
    State.SERVING: frozenset({State.DONE, State.BACKING_OFF, State.STOPPED}),
    State.BACKING_OFF: frozenset({State.STARTING, State.STOPPED}),
    State.DONE: frozenset({State.STOPPED}),
    State.STOPPED: frozenset(),
}

# Told of each change of state, after it has happened.
Listener = Callable[["Supervised"], None]


class Supervised:
    """Owned by the supervisor's thread. :meth:`step` never blocks; probes run in ``probing``, one at a time."""

    def __init__(self, part: Part, probing: Executor, listener: Listener, *, lend: tuple[int, ...] = ()) -> None:
        self.part = part
        self.state = State.WAITING
        self.restarts = 0
        self.exit_code: int | None = None
        self.back_off_seconds = 0.0
        self.started_at = 0.0
        self.serving_at = 0.0
        self.process: Process | None = None
        self.refused: OSError | None = None  # why no process could be made of it
        self._probing = probing
        self._probe: Future[bool] | None = None
        self._not_before = 0.0
        self._listener = listener
        self._lend = lend

    @property
    def name(self) -> str:
        """The part's role."""
        return self.part.name

    @property
    def satisfied(self) -> bool:
        """Tell whether parts that come after this one may start."""
        return self.state is State.DONE or (self.state is State.SERVING and self.part.kind is not Kind.STEP)

    @property
    def pid(self) -> int | None:
        """The process id of the part itself, while it runs."""
        return self.process.pid if self.process and self.process.exit_code is None else None

    def start(self) -> None:
        """Run the part's command; what the system refuses is tried again later, as if the part had ended."""
        self.started_at = time.monotonic()
        self._probe = None
        self._not_before = 0.0
        self._become(State.STARTING)
        try:
            self.process, self.refused = Process(self.part.command, lend=self._lend), None
        except OSError as error:
            self.process, self.refused = None, error
            self._back_off()

    def step(self) -> None:
        """Look at the process and the clock, and change state accordingly."""
        if self.state is State.BACKING_OFF:
            if time.monotonic() >= self._not_before:
                self.restarts += 1
                self.start()
            return
        if self.state not in {State.STARTING, State.SERVING} or self.process is None:
            return
        if not self.process.running():
            self._ended(self.process)
        elif self.state is State.STARTING and self._serves():
            self.serving_at = time.monotonic()
            self._become(State.SERVING)

    def stop(self) -> None:
        """Ask the process to end; don't wait."""
        if self.state is not State.STOPPED:
            self._become(State.STOPPED)
        if self.process:
            self.process.stop()

    def ended(self) -> bool:
        """Tell whether no process of this part runs any more."""
        return self.process is None or not self.process.running()

    def _ended(self, process: Process) -> None:
        """Decide what the end of the process means."""
        self.exit_code = process.exit_code
        if self.part.kind is not Kind.SERVICE and self.exit_code == 0:
            self._become(State.DONE)
            return
        self._back_off()

    def _back_off(self) -> None:
        steady = self.state is State.SERVING and time.monotonic() - self.serving_at > STEADY_SECONDS
        if steady or not self.back_off_seconds:
            self.back_off_seconds = BACK_OFF_FIRST_SECONDS
        else:
            self.back_off_seconds = min(self.back_off_seconds * 2, BACK_OFF_MAX_SECONDS)
        self._not_before = time.monotonic() + self.back_off_seconds
        self._become(State.BACKING_OFF)

    def _serves(self) -> bool:
        """Tell whether the part serves, from the last finished probe; start the next one when due."""
        if self.part.kind is Kind.STEP:
            return False
        now = time.monotonic()
        if self.part.ready is None:
            return now - self.started_at >= SETTLE_SECONDS
        if self._probe is not None:
            if not self._probe.done():
                return False
            # A probe that raises has found no answer; what it raises is the client library's affair.
            yes = self._probe.exception() is None and self._probe.result()
            self._probe = None
            self._not_before = now + PROBE_PAUSE_SECONDS
            return yes
        if now >= self._not_before:
            self._probe = self._probing.submit(self.part.ready)
        return False

    def _become(self, state: State) -> None:
        if state not in ALLOWED[self.state]:
            raise RuntimeError(f"{self.name} can't go from {self.state.value} to {state.value}")
        self.state = state
        self._listener(self)
