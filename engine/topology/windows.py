"""Window definitions: how event time is cut, for aggregations and for joins. Plain values; nothing here keeps state.

Names, rules and arithmetic are Kafka Streams' own (`org.apache.kafka.streams.kstream`); only the default grace is said
here: 0 unless given. Every `of` takes durations as keywords: `hours=1`, `size_ms=…`, `grace_minutes=10`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from enum import Enum

from engine.errors import ConfigError
from engine.topology.durations import read_durations

Duration = float | timedelta


class EmitStrategy(Enum):
    """When a windowed aggregation emits: at each update, or once when the window has closed (KIP-825).

    Write `EmitStrategy.on_window_close`; with parentheses, as in Java, it means the same.
    """

    on_window_update = "update"
    on_window_close = "close"

    def __call__(self) -> EmitStrategy:
        """Return the strategy itself, so that Java's spelling works too."""
        return self


def _given(first: str, value: Duration | None, durations: dict[str, Duration]) -> dict[str, Duration]:
    """The keywords, with the positional duration under its part's name."""
    return durations if value is None else {first: value, **durations}


def _grace(what: str, grace_ms: int | None) -> int:
    """The grace, 0 unless given; never negative."""
    if grace_ms is not None and grace_ms < 0:
        raise ConfigError(f"{what}: the grace is {grace_ms} ms: it cannot be negative")
    return grace_ms or 0


def _needed(what: str, part: str, value: int | None) -> int:
    """A part that has no default."""
    if value is None:
        raise ConfigError(f"{what}: the {part} is missing: give it, e.g. minutes=5 or {part}_ms=300000")
    return value


@dataclass(frozen=True)
class TimeWindows:
    """Windows of a fixed size, aligned to the epoch: tumbling, or hopping when they advance by less than their size.

    A window holds `start <= timestamp < start + size_ms`. It closes when stream time reaches its end plus `grace_ms`.
    """

    size_ms: int
    advance_ms: int
    grace_ms: int = 0

    def __post_init__(self) -> None:
        """Refuse windows that cannot be."""
        if self.size_ms <= 0:
            raise ConfigError(f"TimeWindows: the size is {self.size_ms} ms: it must be larger than zero")
        if not 0 < self.advance_ms <= self.size_ms:
            raise ConfigError(
                f"TimeWindows: the advance is {self.advance_ms} ms: it must be larger than zero and at most the size,"
                f" {self.size_ms} ms"
            )
        _grace("TimeWindows", self.grace_ms)

    @classmethod
    def of(cls, size: Duration | None = None, **durations: Duration) -> TimeWindows:
        """Windows of a size (`hours=1`, or `size_ms=…`), with `grace_…` (0 unless given) and `advance_…` (the size)."""
        parts = read_durations("TimeWindows", _given("size", size, durations), "size", "advance", "grace")
        size_ms = _needed("TimeWindows", "size", parts["size"])
        advance_ms = parts["advance"]
        return cls(size_ms, size_ms if advance_ms is None else advance_ms, _grace("TimeWindows", parts["grace"]))

    def advance_by(self, advance: Duration | None = None, **durations: Duration) -> TimeWindows:
        """The same windows, starting every `advance` (`minutes=1`, `advance_ms=…`): hopping windows."""
        parts = read_durations("TimeWindows", _given("advance", advance, durations), "advance")
        return replace(self, advance_ms=_needed("TimeWindows", "advance", parts["advance"]))

    def grace(self, grace: Duration | None = None, **durations: Duration) -> TimeWindows:
        """The same windows, open for late records for `grace` after their end (`minutes=10`, `grace_ms=…`)."""
        parts = read_durations("TimeWindows", _given("grace", grace, durations), "grace")
        return replace(self, grace_ms=_needed("TimeWindows", "grace", parts["grace"]))

    @property
    def tumbling(self) -> bool:
        """Whether each timestamp falls in exactly one window."""
        return self.advance_ms == self.size_ms

    @property
    def retention_ms(self) -> int:
        """How long a store must keep a window at least: size plus grace."""
        return self.size_ms + self.grace_ms

    def starts_for(self, timestamp: int) -> range:
        """Starts of the windows that hold `timestamp`, ascending; none before 0, as in Kafka Streams."""
        first = max(0, timestamp - self.size_ms + self.advance_ms) // self.advance_ms * self.advance_ms
        return range(first, timestamp + 1, self.advance_ms)

    def windows_for(self, timestamp: int) -> list[tuple[int, int]]:
        """The windows that hold `timestamp`, as (start inclusive, end exclusive), ascending."""
        return [(start, start + self.size_ms) for start in self.starts_for(timestamp)]


@dataclass(frozen=True)
class SlidingWindows:
    """Windows of records at most `difference_ms` apart, both ends inclusive (KIP-450).

    Each record ends one window and starts another one a millisecond after itself. A window closes when stream time
    passes its end plus `grace_ms`.
    """

    difference_ms: int
    grace_ms: int = 0

    def __post_init__(self) -> None:
        """Refuse windows that cannot be."""
        if self.difference_ms < 0:
            raise ConfigError(f"SlidingWindows: the difference is {self.difference_ms} ms: it cannot be negative")
        _grace("SlidingWindows", self.grace_ms)

    @classmethod
    def of(cls, difference: Duration | None = None, **durations: Duration) -> SlidingWindows:
        """Windows of a time difference (`minutes=5`, or `difference_ms=…`), with `grace_…` (0 unless given)."""
        parts = read_durations("SlidingWindows", _given("difference", difference, durations), "difference", "grace")
        difference_ms = _needed("SlidingWindows", "difference", parts["difference"])
        return cls(difference_ms, _grace("SlidingWindows", parts["grace"]))

    def grace(self, grace: Duration | None = None, **durations: Duration) -> SlidingWindows:
        """The same windows, open for late records for `grace` after their end (`minutes=10`, `grace_ms=…`)."""
        parts = read_durations("SlidingWindows", _given("grace", grace, durations), "grace")
        return replace(self, grace_ms=_needed("SlidingWindows", "grace", parts["grace"]))

    @property
    def size_ms(self) -> int:
        """The time difference: what a windowed key's end is computed from."""
        return self.difference_ms

    @property
    def retention_ms(self) -> int:
        """How long a store must keep a window at least: twice the difference, plus grace."""
        return 2 * self.difference_ms + self.grace_ms


@dataclass(frozen=True)
class SessionWindows:
    """Sessions: records of a key that are at most `gap_ms` apart. A session's end is its last timestamp, inclusive."""

    gap_ms: int
    grace_ms: int = 0

    def __post_init__(self) -> None:
        """Refuse windows that cannot be."""
        if self.gap_ms <= 0:
            raise ConfigError(f"SessionWindows: the gap is {self.gap_ms} ms: it must be larger than zero")
        _grace("SessionWindows", self.grace_ms)

    @classmethod
    def of(cls, gap: Duration | None = None, **durations: Duration) -> SessionWindows:
        """Sessions with an inactivity gap (`minutes=30`, or `gap_ms=…`), with `grace_…` (0 unless given)."""
        parts = read_durations("SessionWindows", _given("gap", gap, durations), "gap", "grace")
        return cls(_needed("SessionWindows", "gap", parts["gap"]), _grace("SessionWindows", parts["grace"]))

    def grace(self, grace: Duration | None = None, **durations: Duration) -> SessionWindows:
        """The same sessions, open for late records for `grace` more (`minutes=10`, `grace_ms=…`)."""
        parts = read_durations("SessionWindows", _given("grace", grace, durations), "grace")
        return replace(self, grace_ms=_needed("SessionWindows", "grace", parts["grace"]))

    @property
    def retention_ms(self) -> int:
        """How long a store must keep a session at least: gap plus grace."""
        return self.gap_ms + self.grace_ms


@dataclass(frozen=True)
class JoinWindows:
    """Which records of two streams meet: `left.timestamp - before_ms <= right.timestamp <= left.timestamp + after_ms`.

    Both ends are inclusive, and one of them may be negative as long as the window is not empty.
    """

    before_ms: int
    after_ms: int
    grace_ms: int = 0

    def __post_init__(self) -> None:
        """Refuse windows that cannot be."""
        if self.size_ms < 0:
            raise ConfigError(
                f"JoinWindows: before ({self.before_ms} ms) and after ({self.after_ms} ms) add up to less than zero"
            )
        _grace("JoinWindows", self.grace_ms)

    @classmethod
    def of(cls, difference: Duration | None = None, **durations: Duration) -> JoinWindows:
        """Windows of a time difference to both sides (`minutes=5`, or `difference_ms=…`), with `grace_…` (0 unless given).

        `before_…` and `after_…` set one side; a side that nothing speaks of is 0.
        """
        parts = read_durations(
            "JoinWindows", _given("difference", difference, durations), "difference", "before", "after", "grace"
        )
        both, before, after = parts["difference"], parts["before"], parts["after"]
        if both is None and before is None and after is None:
            _needed("JoinWindows", "difference", None)
        if both is not None and both < 0:
            raise ConfigError(f"JoinWindows: the difference is {both} ms: it cannot be negative")
        default = both or 0
        return cls(
            default if before is None else before,
            default if after is None else after,
            _grace("JoinWindows", parts["grace"]),
        )

    def before(self, before: Duration | None = None, **durations: Duration) -> JoinWindows:
        """The same windows, where the right record may be up to `before` older than the left one."""
        parts = read_durations("JoinWindows", _given("before", before, durations), "before")
        return replace(self, before_ms=_needed("JoinWindows", "before", parts["before"]))

    def after(self, after: Duration | None = None, **durations: Duration) -> JoinWindows:
        """The same windows, where the right record may be up to `after` newer than the left one."""
        parts = read_durations("JoinWindows", _given("after", after, durations), "after")
        return replace(self, after_ms=_needed("JoinWindows", "after", parts["after"]))

    def grace(self, grace: Duration | None = None, **durations: Duration) -> JoinWindows:
        """The same windows, open for late records for `grace` after their end (`minutes=10`, `grace_ms=…`)."""
        parts = read_durations("JoinWindows", _given("grace", grace, durations), "grace")
        return replace(self, grace_ms=_needed("JoinWindows", "grace", parts["grace"]))

    @property
    def size_ms(self) -> int:
        """The span of the window: before plus after."""
        return self.before_ms + self.after_ms

    @property
    def retention_ms(self) -> int:
        """How long the join's stores must keep a record: the span plus grace."""
        return self.size_ms + self.grace_ms
