"""What a rule can look for, and what of it holds now. Pure functions of the board's states.

A finding is about one thing: a topic or store of an application (all partitions together, the worst decides), or an
instance. What is not known does not hold: an unknown lag neither fires nor resolves by itself, ``None`` says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from console.lag import verdicts
from console.observe.store_shapes import primary

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from console.models import AlertRule
    from console.observe.board import State

# condition -> what people choose
CONDITIONS: dict[str, str] = {
    "lag-records": "lag in records is over",
    "lag-time": "lag in time is over",
    "verdict": "the verdict is at least",
    "restore": "a restore runs longer than",
    "unreachable": "an instance is unreachable",
}
VERDICTS = ("WARN", "STALL", "STOP")


class Thing(NamedTuple):
    """What an alert is about."""

    application: str
    kind: str
    name: str


class Finding(NamedTuple):
    """Whether the condition holds (None: not known), with the measure and words for people."""

    holds: bool | None
    value: int | None
    words: str


def findings(rule: AlertRule, states: Iterable[State], now_ms: int) -> dict[Thing, Finding]:
    """Return what the rule sees in each thing that it is about."""
    found: dict[Thing, Finding] = {}
    for state in states:
        if rule.application not in {"", state.id}:
            continue
        seen = _LOOKS[rule.condition](rule, state, now_ms)
        found |= {thing: finding for thing, finding in seen if rule.subject in {"", thing.name}}
    return found


def _places(state: State) -> dict[Thing, list[tuple[int, tuple[str, str, int | None]]]]:
    """Return each topic and store with (partition, (verdict, reason, lag_ms))."""
    places: dict[Thing, list[tuple[int, tuple[str, str, int | None]]]] = {}
    for (kind, name, partition), row in state.lag.items():
        places.setdefault(Thing(state.id, kind, name), []).append((partition, (row[0], row[1], row[4])))
    return places


def _records(rule: AlertRule, state: State, _now_ms: int) -> Iterator[tuple[Thing, Finding]]:
    lags: dict[Thing, list[int | None]] = {}
    for copies in state.tasks.values():
        for copy in copies:
            if copy.role == "active" and copy.instance not in state.unreachable:
                for each in copy.inputs:
                    lags.setdefault(Thing(state.id, "input", each.topic), []).append(each.lag)
    for store, partitions in state.stores.items():
        for copies_of in partitions.values():
            serving = primary(copies_of, state.unreachable)
            if serving is not None:
                lags.setdefault(Thing(state.id, "store", store), []).append(serving.lag)
    for thing, found in lags.items():
        total = sum(lag for lag in found if lag is not None)
        over = total > (rule.threshold or 0)
        # A sum of what is known is a lower bound: it can be over the threshold, but not below it for certain.
        holds = True if over else None if None in found else False
        yield thing, Finding(holds, total, verdicts.waiting(total))


def _time(rule: AlertRule, state: State, _now_ms: int) -> Iterator[tuple[Thing, Finding]]:
    for thing, rows in _places(state).items():
        known = [(row[2], partition) for partition, row in rows if row[2] is not None]
        if not known:
            yield thing, Finding(None, None, "how long records wait is not known")
            continue
        longest, partition = max(known)
        over = longest > (rule.threshold or 0)
        holds = True if over else None if len(known) < len(rows) else False
        yield thing, Finding(holds, longest, f"partition {partition} is {words_of_ms(longest)} behind")


def _verdict(rule: AlertRule, state: State, _now_ms: int) -> Iterator[tuple[Thing, Finding]]:
    wanted = verdicts.SEVERITY[rule.verdict or "WARN"]
    for thing, rows in _places(state).items():
        partition, (verdict, reason, _) = max(rows, key=lambda each: verdicts.SEVERITY[each[1][0]])
        at_least = verdicts.SEVERITY[verdict] >= wanted
        holds = True if at_least else None if any(row[0] == "UNKNOWN" for _, row in rows) else False
        yield thing, Finding(holds, verdicts.SEVERITY[verdict], f"{verdict}, partition {partition}: {reason}")


def _restore(rule: AlertRule, state: State, now_ms: int) -> Iterator[tuple[Thing, Finding]]:
    for store, partitions in state.stores.items():
        running = [
            (max(now_ms - record.restore_started_at, 0), partition)
            for partition, copies in partitions.items()
            for record in copies
            if record.phase != "done" and record.restore_started_at is not None
        ]
        longest, partition = max(running, default=(0, 0))
        words = (
            f"the restore of partition {partition} runs for {words_of_ms(longest)}" if running else "nothing restores"
        )
        yield Thing(state.id, "store", store), Finding(longest > (rule.threshold or 0), longest, words)


def _unreachable(_rule: AlertRule, state: State, now_ms: int) -> Iterator[tuple[Thing, Finding]]:
    for name in state.instances:
        silent = state.unreachable.get(name)
        value = None if silent is None else max(now_ms - silent["since"], 0)
        words = "it reports" if silent is None else str(silent["reason"])
        yield Thing(state.id, "instance", name), Finding(silent is not None, value, words)


_LOOKS = {
    "lag-records": _records,
    "lag-time": _time,
    "verdict": _verdict,
    "restore": _restore,
    "unreachable": _unreachable,
}


def words_of_ms(ms: int) -> str:
    """Say a length of time in one unit."""
    for limit, size, unit in (
        (1_000, 1, "ms"),
        (90_000, 1_000, "s"),
        (5_400_000, 60_000, "min"),
        (172_800_000, 3_600_000, "h"),
    ):
        if ms < limit:
            return f"{ms / size:.0f} {unit}"
    return f"{ms / 86_400_000:.0f} d"


def words_of_rule(rule: AlertRule) -> str:
    """Say what a rule looks for, in a sentence."""
    about = {"restore": rule.subject or "any store", "unreachable": rule.subject or "any instance"}.get(
        rule.condition, rule.subject or "any topic or store"
    )
    measure = {
        "lag-records": f"{rule.threshold or 0:,} records",
        "lag-time": words_of_ms(rule.threshold or 0),
        "restore": words_of_ms(rule.threshold or 0),
        "verdict": rule.verdict,
    }.get(rule.condition, "")
    lasting = f" for {words_of_ms(rule.for_seconds * 1_000)}" if rule.for_seconds else ""
    return (
        f"{about} of {rule.application or 'any application'}: {CONDITIONS[rule.condition]} {measure}".rstrip() + lasting
    )
