"""A part of the stack as data: what to run, after what, and how to tell that it serves."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from engine.embedded.process import Command


class Kind(Enum):
    """What the end of a part's process means."""

    SERVICE = auto()  # must run as long as `up` does: its end is a fault, it is started again
    STEP = auto()  # must end with 0 before the parts that come after it start; may be run again
    TASK = auto()  # runs beside the others until it ends with 0; another end is a fault, it is started again


@dataclass(frozen=True, slots=True)
class Part:
    """One part. ``name`` is its role in ``up.json``; ``after`` names the parts that must serve before it starts."""

    name: str
    command: Command
    kind: Kind = Kind.SERVICE
    after: tuple[str, ...] = ()
    # Asked from another thread, again and again until it says yes; None: it serves as soon as it has lived a moment.
    ready: Callable[[], bool] | None = None
    application: str | None = None
    address: str | None = None
    start_seconds: float = 120.0
    # The end of the sentence when it does not start; the cause is the last line of its log.
    remedy: str = ""


def waves(parts: list[Part]) -> list[list[Part]]:
    """Sort parts by their dependencies: each wave depends only on earlier ones.

    Raises :class:`ValueError` when a part names one that is not there, or when they wait for each other in a circle.
    """
    names = {part.name for part in parts}
    for part in parts:
        unknown = set(part.after) - names
        if unknown:
            raise ValueError(f"{part.name} comes after {', '.join(sorted(unknown))}, which is no part")
    result: list[list[Part]] = []
    placed: set[str] = set()
    waiting = list(parts)
    while waiting:
        wave = [part for part in waiting if placed.issuperset(part.after)]
        if not wave:
            raise ValueError(f"these parts wait for each other: {', '.join(part.name for part in waiting)}")
        result.append(wave)
        placed.update(part.name for part in wave)
        waiting = [part for part in waiting if part.name not in placed]
    return result
