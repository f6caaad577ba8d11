"""Walks the checks in order; what depends on something that is away is not tried, and says so.

Used by the page, the API and ``manage.py self_check``. Takes up to some seconds when parts are away; the outcome is kept
for a moment, so that many readers cost no more than one.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from console.health import checks
from console.health.finding import BAD, OK, SKIPPED, WARN, Finding, Wrong

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)

_FRESH_S = 3.0


class Check(NamedTuple):
    """A check, and the names of those that it needs to be well."""

    name: str
    look: Callable[[], str]
    needs: tuple[str, ...] = ()


CHECKS = (
    Check("Database", checks.database),
    Check("Redis", checks.redis_answers),
    Check("Channel layer", checks.channel_layer, ("Redis",)),
    Check("Kafka", checks.kafka),
    Check("Status topic", checks.status_topic, ("Kafka",)),
    Check("Observer", checks.observer, ("Redis",)),
    Check("Workers", checks.workers, ("Redis",)),
    Check("Beat", checks.beat, ("Redis",)),
    Check("Engines", checks.engines_answer, ("Redis", "Observer")),
    Check("Token", checks.token, ("Redis",)),
    Check("Clocks", checks.clocks, ("Redis",)),
)
_lock = threading.Lock()
_last: tuple[float, dict[str, Any]] | None = None


def walk(table: tuple[Check, ...] = CHECKS) -> list[Finding]:
    """Make the checks, in order."""
    found: list[Finding] = []
    failed: set[str] = set()
    for check in table:
        away = [name for name in check.needs if name in failed]
        if away:
            found.append(Finding(check.name, SKIPPED, f"Not tried: it needs {away[0]}."))
            failed.add(check.name)
            continue
        finding = _made(check)
        if finding.level == BAD:
            failed.add(check.name)
        found.append(finding)
    return found


def outcome() -> dict[str, Any]:
    """Return ``{"at", "verdict", "words", "checks": [{"name", "level", "words", "remedy", "took_ms"}]}``."""
    global _last  # noqa: PLW0603 - the process's one memory of it
    with _lock:
        if _last is not None and time.monotonic() - _last[0] < _FRESH_S:
            return _last[1]
        found = walk()
        levels = {each.level for each in found}
        verdict = BAD if BAD in levels else WARN if WARN in levels else OK
        first = next((each for each in found if each.level == verdict), None)
        told = {
            "at": time.time_ns() // 1_000_000,
            "verdict": verdict,
            "words": "Everything that the console needs is there." if verdict == OK or first is None else first.words,
            "checks": [each.json() for each in found],
        }
        _last = (time.monotonic(), told)
        return told


def _made(check: Check) -> Finding:
    began = time.monotonic()
    level, remedy = OK, ""
    try:
        words = check.look()
    except Wrong as wrong:
        level, words, remedy = wrong.level, wrong.words, wrong.remedy
    except Exception as error:
        # A check that breaks must not hide the others.
        logger.exception("check-failed %s", check.name)
        level, words, remedy = BAD, f"The check itself failed: {type(error).__name__}.", "The console's log says more."
    return Finding(check.name, level, words, remedy, round((time.monotonic() - began) * 1000, 1))
