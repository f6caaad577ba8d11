"""What a window of lag samples says: OK, WARN, STALL or STOP, with the reason in words. Pure functions.

In the manner of Burrow: the rules look at how position and lag moved over a window, so there is no threshold to set.
Rates are records per second; times are ms; an ETA is seconds, ``"never"`` (at this rate) or None (not known).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Status = Literal["OK", "WARN", "STALL", "STOP", "UNKNOWN"]
Eta = float | Literal["never"] | None

# Worst last; UNKNOWN is not good news and not bad news, so anything known outranks it save OK.
SEVERITY: dict[str, int] = {"OK": 0, "UNKNOWN": 1, "WARN": 2, "STALL": 3, "STOP": 4}

# Fewer samples can not tell a trend from chance.
_SAMPLES_MIN = 4
_SPAN_MS_MIN = 5_000
# Not moving for less than this may be one long commit.
_STILL_MS = 10_000
# More samples than this are thinned before the trend test, which compares each with each.
_TREND_SAMPLES = 12
# The two-sided 95 % point of the normal distribution.
_SIGNIFICANT = 1.96
# A lag that the current rate clears within this time is the pulse of commits, not a backlog.
_PULSE_SECONDS = 5.0
_SILENT_MS = 10_000


class Sample(NamedTuple):
    """One measure: when, the next offset to be processed, the end, and the lag (all may be unknown but the time)."""

    at: int
    position: int | None
    end: int | None
    lag: int | None


@dataclass(frozen=True, slots=True)
class Finding:
    """What a window says. ``lag_per_second`` is how the lag changes (below 0 = it shrinks)."""

    status: Status
    reason: str
    lag_per_second: float | None = None
    eta: Eta = None


# A partition that nobody moves has one of two causes, and both are seen at its instance.
_STALL_REMEDY = (
    "See its instance's last error: a record that always fails, or a call that does not return, stands in the way."
)
_CAUGHT_UP = Finding("OK", "Caught up.", 0.0, 0.0)


def judge(  # noqa: PLR0911 - a list of rules, the first that holds decides
    window: Sequence[Sample],
    now_ms: int,
    *,
    committed: int | None = None,
    begin: int | None = None,
    owner_is_busy: bool = False,
) -> Finding:
    """Judge one partition by its samples, oldest first.

    ``owner_is_busy``: its instance does process records, so a partition that stands still may only wait for its turn.
    """
    if committed is not None and begin is not None and committed < begin:
        return Finding(
            "STOP",
            f"The committed offset {committed:,} is below the beginning of the topic ({begin:,}): records were deleted before they were read. "
            "Lengthen the topic's retention and rebuild what depends on it.",
            eta="never",
        )
    if window and window[-1].lag == 0:
        return _CAUGHT_UP
    known = [sample for sample in window if sample.lag is not None]
    if not known:
        return Finding("UNKNOWN", "The lag is not known yet.")
    last = known[-1]
    lag = last.lag or 0
    if lag == 0:
        return _CAUGHT_UP
    if now_ms - last.at > _SILENT_MS:
        silence = f"No report for {_seconds(now_ms - last.at)}; {waited(lag)}. See whether its instance still runs."
        return Finding("STOP", silence, eta=None)
    span_ms = last.at - known[0].at
    if len(known) < _SAMPLES_MIN or span_ms < _SPAN_MS_MIN:
        return Finding("UNKNOWN", f"{lag:,} behind; measuring how fast that changes.")
    slope = slope_per_second(known)
    if last.position is not None and all(sample.position == last.position for sample in known) and span_ms >= _STILL_MS:
        if owner_is_busy:
            words = f"Falling behind: no movement for {_seconds(span_ms)} while {waiting(lag)}; its instance is busy with others."
            return Finding("WARN", words, slope, "never")
        stands = f"No movement for {_seconds(span_ms)} while {waiting(lag)}. {_STALL_REMEDY}"
        return Finding("STALL", stands, slope, "never")
    if any(sample.lag == 0 for sample in known):
        return Finding("OK", f"Keeps up: it was caught up within the last {_seconds(span_ms)}.", slope, eta(lag, slope))
    return _by_trend(known, lag, slope)


def _by_trend(known: Sequence[Sample], lag: int, slope: float) -> Finding:
    trend = mann_kendall([sample.lag or 0 for sample in known])
    done = _processing_rate(known)
    if trend > _SIGNIFICANT and lag > (known[0].lag or 0):
        return Finding("WARN", f"Falling behind: {records(lag)}, {slope:+,.0f}/s, never at this rate.", slope, "never")
    if trend < -_SIGNIFICANT and slope < 0:
        left = eta(lag, slope)
        return Finding("OK", f"Catching up: {records(lag)}, {slope:+,.0f}/s, {words_of(left)}.", slope, left)
    if done and lag / done <= _PULSE_SECONDS:
        return Finding("OK", f"Keeps up, {lag / done:.1f} s behind.", slope, eta(lag, slope))
    return Finding("OK", f"Steady at {records(lag)} behind.", slope, "never")


def slope_per_second(samples: Sequence[Sample]) -> float:
    """Return the least-squares slope of the lag."""
    times = [(sample.at - samples[0].at) / 1000 for sample in samples]
    lags = [sample.lag or 0 for sample in samples]
    mean_t, mean_l = sum(times) / len(times), sum(lags) / len(lags)
    spread = sum((t - mean_t) ** 2 for t in times)
    return (
        sum((t - mean_t) * (value - mean_l) for t, value in zip(times, lags, strict=True)) / spread if spread else 0.0
    )


def mann_kendall(values: Sequence[int]) -> float:
    """Return the Mann-Kendall z: how surely the values rise (above 1.96) or fall, whatever their noise looks like.

    Source: H. B. Mann, "Nonparametric tests against trend", Econometrica 13 (1945), without the correction for ties.
    """
    if len(values) > _TREND_SAMPLES:
        step = (len(values) - 1) / (_TREND_SAMPLES - 1)
        values = [values[round(index * step)] for index in range(_TREND_SAMPLES)]
    count = len(values)
    score = sum((values[j] > values[i]) - (values[j] < values[i]) for i in range(count) for j in range(i + 1, count))
    deviation = math.sqrt(count * (count - 1) * (2 * count + 5) / 18)
    return (score - math.copysign(1, score)) / deviation if score else 0.0


def eta(lag: int, lag_per_second: float | None) -> Eta:
    """Return the seconds until the lag is 0 at this rate."""
    if lag == 0:
        return 0.0
    if lag_per_second is None:
        return None
    return round(lag / -lag_per_second, 1) if lag_per_second < 0 else "never"


def slowest(etas: Iterable[Eta]) -> Eta:
    """Return the whole's ETA: its slowest part decides; one unknown part makes it unknown."""
    found = list(etas)
    if "never" in found:
        return "never"
    if not found or None in found:
        return None
    return max(value for value in found if isinstance(value, int | float))


def records(count: int) -> str:
    """Return so many records in words."""
    return f"{count:,} record{'' if count == 1 else 's'}"


def waiting(count: int) -> str:
    """Return that so many records wait, in words."""
    return f"{records(count)} wait{'s' if count == 1 else ''}"


def waited(count: int) -> str:
    """Return that so many records waited when that was last known, in words."""
    return f"{records(count)} {'was' if count == 1 else 'were'} waiting"


def words_of(left: Eta) -> str:
    """Say an ETA."""
    if left is None:
        return "time left unknown"
    if left == "never":
        return "never at this rate"
    return f"{_seconds(int(left * 1000))} left"


def worst(
    findings: Iterable[tuple[str, str]], when_none: tuple[str, str] = ("UNKNOWN", "Nothing has been reported yet.")
) -> dict[str, str]:
    """Return the worst (status, reason) as a verdict; the first of equals."""
    status, reason = max(findings, key=lambda each: SEVERITY[each[0]], default=when_none)
    return {"status": status, "reason": reason}


def _processing_rate(samples: Sequence[Sample]) -> float | None:
    first, last = samples[0], samples[-1]
    if first.position is None or last.position is None or last.at <= first.at:
        return None
    return max(last.position - first.position, 0) / ((last.at - first.at) / 1000)


def _seconds(ms: int) -> str:
    seconds = ms / 1000
    if seconds < 90:  # noqa: PLR2004 - people say "80 seconds", then "2 minutes"
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"  # noqa: PLR2004 - and "90 minutes"
