"""How the pages write numbers, times and states. Unknown (None) is a dash that says so, never 0.

Every filter takes what the snapshots hold (milliseconds, bytes, counts) and returns text or markup built with
``format_html``, so that names and messages from outside stay escaped.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from django import template
from django.utils.html import format_html

from console.lag.behind import WORDS as HOW_WORDS
from console.pages import hues

if TYPE_CHECKING:
    from django.utils.safestring import SafeString

register = template.Library()

# Older moments are told in years: of 2013 "5077 d ago" says little.
_DAYS_MAX = 730
UNKNOWN = format_html('<span class="faint" title="{}">{}</span>', "not known", "\N{EN DASH}")
SIZES = ["B", "kB", "MB", "GB", "TB", "PB"]
# state word -> tone; a word that is missing here is drawn neutral, never green
TONES = {
    "running": "ok", "ok": "ok", "done": "ok", "succeeded": "ok", "active": "ok", "caught up": "ok",
    "restoring": "busy", "starting": "busy", "rebalancing": "busy", "moving": "busy", "applying": "busy",
    "fetching": "busy", "verifying": "busy", "queued": "idle", "draining": "busy", "compacting": "busy", "comparing": "busy", "writing": "busy", "replaying": "busy", "waiting-for-commit": "busy", "swapped": "ok", "rebuilding": "busy",
    "firing": "bad", "pending": "busy", "resolved": "ok", "sent": "ok", "waiting": "busy", "sending": "busy",
    "warn": "warn", "suspended": "warn", "stopping": "warn", "stale": "warn", "cancelled": "warn", "cancelling": "warn", "lagging": "warn",
    "failed": "bad", "interrupted": "warn", "unassigned": "bad", "stall": "bad", "stop": "bad", "unreachable": "bad", "stalled": "bad", "bad": "bad",
}  # fmt: skip


@register.filter
def count(value: float | str | None) -> SafeString | str:
    """Write a number with thousands separators."""
    if value is None or value == "":
        return UNKNOWN
    return f"{round(float(value)):,}"


@register.filter
def size(value: float | None) -> SafeString | str:
    """Write bytes in decimal units."""
    if value is None:
        return UNKNOWN
    amount = float(value)
    for unit in SIZES:
        if abs(amount) < 1000 or unit == SIZES[-1]:  # noqa: PLR2004 - decimal units
            return f"{amount:,.0f} {unit}" if unit == "B" or abs(amount) >= 100 else f"{amount:,.1f} {unit}"  # noqa: PLR2004
        amount /= 1000
    return UNKNOWN


@register.filter
def rate(value: float | None) -> SafeString | str:
    """Write a rate per second."""
    if value is None:
        return UNKNOWN
    return f"{value:,.1f}/s" if 0 < abs(value) < 10 else f"{value:,.0f}/s"  # noqa: PLR2004 - below ten a tenth matters


@register.filter
def span(value: float | None) -> SafeString | str:
    """Write a length of time given in milliseconds."""
    if value is None:
        return UNKNOWN
    return duration_words(value)


@register.simple_tag
def behind(ms: float | None, how: str | None) -> SafeString | str:
    """Draw how far behind in time something is; how that was got shows on hover, a lower bound says that it is one."""
    if ms is None:
        return UNKNOWN
    words = f"{'≥ ' if how == 'at-least' else ''}{duration_words(ms)}"
    return format_html('<span class="nowrap" title="{}">{}</span>', HOW_WORDS.get(how or "", ""), words)


@register.filter
def seconds(value: float | None) -> SafeString | str:
    """Write a length of time given in seconds."""
    return span(None if value is None else value * 1000)


@register.filter
def share(value: float | None) -> SafeString | str:
    """Write a share of 0 to 1 in percent."""
    return UNKNOWN if value is None else f"{100 * value:.0f} %"


def duration_words(ms: float) -> str:
    """Return a length of time with at most two units."""
    if ms < 1000:  # noqa: PLR2004 - milliseconds in a second
        return f"{ms:,.0f} ms"
    seconds = ms / 1000
    if seconds < 60:  # noqa: PLR2004 - seconds in a minute
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"  # noqa: PLR2004
    minutes, seconds = divmod(round(seconds), 60)
    if minutes < 60:  # noqa: PLR2004 - minutes in an hour
        return f"{minutes} min {seconds:02d} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:  # noqa: PLR2004 - two days
        return f"{hours} h {minutes:02d} min"
    return f"{hours // 24} d {hours % 24} h"


@register.filter
def percent(value: float | None) -> SafeString | str:
    """Write a share given in percent; below 100 it never rounds up to 100."""
    if value is None:
        return UNKNOWN
    return f"{min(value, 99.9) if value < 100 else value:.{0 if value >= 100 else 1}f} %"  # noqa: PLR2004


@register.filter
def tone(word: str | None) -> str:
    """Return the tone (ok, busy, warn, bad, idle) of a state word."""
    return TONES.get((word or "").lower(), "idle")


@register.filter
def get(mapping: dict[str, Any] | None, key: str) -> Any:
    """Look a key up that is not a literal."""
    return (mapping or {}).get(key)


@register.filter
def hue(instance: str | None, palette: dict[str, int] | None) -> str:
    """Return the class of an instance's hue, from the page's palette or from its name alone."""
    if not instance:
        return ""
    return f"hue-{(palette or {}).get(instance, hues.preferred(instance))}"


@register.simple_tag
def state(word: str | None, *, tone_word: str | None = None, reason: str | None = None) -> SafeString:
    """Draw a state as word and colour; its reason shows on hover."""
    if not word:
        return format_html('<span class="state" title="{}">{}</span>', "not known", "unknown")
    return format_html('<span class="state state-{}" title="{}">{}</span>', tone(tone_word or word), reason or "", word)


@register.simple_tag
def when(at: float | None, empty: str = "") -> SafeString | str:
    """Draw a moment: relative for the eye, exact on hover; ``times.js`` keeps it moving."""
    if not at:
        return empty or UNKNOWN
    moment = datetime.fromtimestamp(float(at) / 1000, UTC)
    exact = moment.strftime("%Y-%m-%d %H:%M:%S UTC")
    iso = moment.isoformat(timespec="milliseconds")
    return format_html('<time datetime="{}" title="{}">{}</time>', iso, exact, ago(float(at)))


@register.simple_tag
def until(at: float | None, empty: str = "") -> SafeString | str:
    """Draw a moment that is still to come: how long until then, exact on hover."""
    if not at:
        return empty or UNKNOWN
    moment = datetime.fromtimestamp(float(at) / 1000, UTC)
    left_ms = float(at) - time.time() * 1000
    words = f"in {duration_words(left_ms)}" if left_ms > 0 else "now"
    return format_html('<span class="nowrap" title="{}">{}</span>', moment.strftime("%Y-%m-%d %H:%M:%S UTC"), words)


@register.simple_tag
def exact_time(at: float | None) -> SafeString | str:
    """Draw a moment as itself: window bounds are data, not news."""
    if at is None:
        return UNKNOWN
    try:
        moment = datetime.fromtimestamp(float(at) / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return str(at)
    iso, words = moment.isoformat(timespec="milliseconds"), moment.strftime("%Y-%m-%d %H:%M:%S")
    return format_html('<time class="exact nowrap" datetime="{}" title="{} ms">{}</time>', iso, at, words)


def ago(at_ms: float, now_ms: float | None = None) -> str:
    """Return how long ago a moment was, in one unit."""
    seconds = ((now_ms or time.time() * 1000) - at_ms) / 1000
    if seconds < 1:
        return "now" if seconds > -5 else "later"  # noqa: PLR2004 - clocks differ by a little
    for limit, divisor, unit in ((60, 1, "s"), (3600, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{int(seconds // divisor)} {unit} ago"
    days = int(seconds // 86_400)
    return f"{days} d ago" if days < _DAYS_MAX else f"{days // 365} y ago"


@register.simple_tag
def sheet() -> str:
    """Return the address of the style sheet."""
    from console.pages import sheet as sheets  # noqa: PLC0415 - its address needs the URLs, which need the views

    return sheets.address()


@register.inclusion_tag("parts/strip.html")
def strip(drawn: dict[str, Any], label: str = "partitions") -> dict[str, Any]:
    """Draw the partition strip (see ``console.pages.strips.drawn``)."""
    from console.pages import strips  # noqa: PLC0415 - strips needs the URLs, which need the views

    cells = drawn["cells"]
    dense = len(cells) > strips.TARGETS_MAX
    return {
        "cells": cells,
        "label": label,
        "map": drawn["map"],
        "dense": dense,
        "summary": strips.summary(cells) if dense else "",
        "href": drawn.get("href", ""),
    }


@register.inclusion_tag("parts/spark.html")
def spark(values: list[float] | None, label: str) -> dict[str, Any]:
    """Draw a small line of recent values; fewer than two are not a line."""
    known = [value for value in values or [] if value is not None]
    if len(known) < 2:  # noqa: PLR2004 - a line has two ends
        return {"path": "", "label": label}
    top = max(known) or 1
    step = 120 / (len(known) - 1)
    points = [f"{index * step:.1f} {23 - 22 * value / top:.1f}" for index, value in enumerate(known)]
    return {"path": "M" + " L".join(points), "label": label}


@register.inclusion_tag("parts/bar.html")
def bar(
    percent_done: float | None, since: float | None = None, look: str = "done", label: str = "progress"
) -> dict[str, Any]:
    """Draw progress: ``percent_done`` of the work known at the start, ``since`` percent for what was written meanwhile."""
    known = percent_done is not None
    done = min(max(percent_done or 0.0, 0.0), 100.0)
    # What was written since is drawn at least thick enough to be seen, and never so thick that it hides the rest.
    extra = min(max(since, 0.4), 20.0) if since else 0.0
    scale = 100 / (100 + extra)
    return {
        "known": known, "now": f"{done:.0f}", "label": label, "look": look,
        "done": f"{done * scale:.2f}%", "since_at": f"{100 * scale:.2f}%", "since": f"{extra * scale:.2f}%" if extra else "",
    }  # fmt: skip


@register.filter
def pluck(items: list[dict[str, Any]] | None, key: str) -> list[Any]:
    """Return one field of each item."""
    return [item.get(key) for item in items or []]


__all__ = ["register"]
