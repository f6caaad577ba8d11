"""Durations as people write them (`hours=1, grace_minutes=10`), read into whole milliseconds."""

from __future__ import annotations

from datetime import timedelta

from engine.errors import ConfigError

UNITS_MS = {
    "weeks": 604_800_000,
    "days": 86_400_000,
    "hours": 3_600_000,
    "minutes": 60_000,
    "seconds": 1_000,
    "milliseconds": 1,
    "ms": 1,
}


def to_ms(value: float | timedelta, unit: str, what: str) -> int:
    """`value` in `unit` (or a timedelta) as whole milliseconds; ConfigError when it is no duration, or not whole."""
    if isinstance(value, timedelta):
        return value // timedelta(milliseconds=1)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ConfigError(f"{what} is {value!r}: give a number or a datetime.timedelta")
    ms = value * UNITS_MS[unit]
    if ms != ms // 1:
        raise ConfigError(f"{what} of {value} {unit} is not a whole number of milliseconds")
    return int(ms)


def read_durations(what: str, given: dict[str, float | timedelta], first: str, *others: str) -> dict[str, int | None]:
    """Sum keywords into one figure in ms for each of `first` and `others`; None where nothing was given.

    `first` is the part that bare units speak of: with `first="size"`, `hours=1, minutes=30` and `size_ms=5400000` are
    the same. Every other part needs its prefix: `grace_minutes=10`. A part's own name takes ms or a timedelta:
    `grace=timedelta(minutes=10)`. Raises ConfigError for a word that is none of these.
    """
    parts = (first, *others)
    found: dict[str, int | None] = dict.fromkeys(parts)
    for word, value in given.items():
        prefix, _, unit = word.rpartition("_")
        if word in parts:
            part, unit = word, "ms"
        elif unit in UNITS_MS and (prefix in parts or not prefix):
            part = prefix or first
        else:
            units = ", ".join(UNITS_MS)
            prefixes = ", ".join(f"{p}_…" for p in others)
            raise ConfigError(f"{what}: {word!r} is not known: use {units}, also as {first}_…, {prefixes}")
        found[part] = (found[part] or 0) + to_ms(value, unit, f"{what}: {word}")
    return found
