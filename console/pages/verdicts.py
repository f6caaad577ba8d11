"""What is wrong, in words, worst first: the lines at the top of a page.

The words are the observer's; this module says in which colour they stand and where to look next.
"""

from __future__ import annotations

from typing import Any

from console.pages import links

# A status that is missing here is drawn neutral, never green.
LEVELS = {"OK": "ok", "WARN": "warn", "STALL": "bad", "STOP": "bad"}
WORDS = {"OK": "OK", "WARN": "warning", "STALL": "stalled", "STOP": "stopped"}


def level(verdict: dict[str, Any] | str | None) -> str:
    """Return ok, warn, bad or unknown for a verdict or its status."""
    status = verdict.get("status") if isinstance(verdict, dict) else verdict
    return LEVELS.get(status or "", "unknown")


def words(verdict: dict[str, Any] | str | None) -> str:
    """Return a verdict's status as a word for people."""
    status = verdict.get("status") if isinstance(verdict, dict) else verdict
    return WORDS.get(status or "", "measuring")


def copy_word(row: dict[str, Any]) -> str:
    """Return the word for a copy of a store partition: a standby says how far behind it is, as it is judged at once."""
    if row["role"] != "standby" or level(row["verdict"]) == "warn":
        return words(row["verdict"])
    if level(row["verdict"]) == "unknown" or row["lag"] is None:
        return "not known"
    return f"{row['lag']:,} behind" if row["lag"] else "caught up"


def application_word(verdict: dict[str, Any]) -> str:
    """Return the word for a whole application: one lost instance has not stopped it."""
    return "in trouble" if level(verdict) == "bad" else words(verdict)


def lines(problems: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the notes of ``snapshot.overview()["problems"]``, each with a link to where it can be understood."""
    return [{"level": level(each["status"]), "words": each["words"]} | _target(each) for each in problems]


def own(verdict: dict[str, Any], href: str = "", link: str = "") -> list[dict[str, Any]]:
    """Return the note of one verdict, or none when it is well."""
    if level(verdict) in {"ok", "unknown"}:
        return []
    return [{"level": level(verdict), "words": verdict["reason"], "href": href, "link": link}]


def _target(problem: dict[str, Any]) -> dict[str, str]:
    app, store, page = problem.get("application"), problem.get("store"), problem.get("page")
    if page == "lag" and app:
        return {"href": links.to("lag-of", app), "link": "to its lag"}
    if page == "ownership" and app:
        return {"href": links.to("ownership", app), "link": "to who owned what"}
    if page == "restores":
        return {"href": links.to("restores"), "link": "to restores"}
    if page == "store" and app and store:
        return {"href": links.to("store-partitions", app, store), "link": "to the store"}
    if app:
        return {"href": links.to("application", app), "link": "to the application"}
    return {"href": "", "link": ""}
