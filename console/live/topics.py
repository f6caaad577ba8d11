"""What a socket may ask for: a topic's name -> who may see it, which groups tell of changes, and what is sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from console.browse import watched
from console.live import groups
from console.observe import snapshot
from console.observe.choice import FIRST
from engine.errors import ConfigError
from engine.names import check_name

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic. ``build`` and ``exists`` are synchronous; ``build`` returns None for what does not exist.

    What is built is bounded: of wide tables the first rows (``choice.FIRST``), of long strips a packed one.
    """

    name: str
    action: str
    groups: tuple[str, ...]
    build: Callable[[], dict[str, Any] | None]
    exists: Callable[[], bool]
    application: str | None = None
    store: str | None = None


def parse(text: str) -> Topic | None:
    """Return the topic, or None for anything that is not one."""
    kind, _, rest = text.partition(":")
    try:
        if not rest:
            return _plain(kind) if text == kind else None
        if kind == "job":
            return Topic(
                text, "read-jobs", (groups.JOBS,), lambda: snapshot.job(rest), lambda: snapshot.job(rest) is not None
            )
        application, slash, store = rest.partition("/")
        check_name(application, "application")
        if kind == "entry":
            return _of_entry(text, application, store)
        if kind == "store":
            check_name(store, "store")
            heard = (groups.of_application(application), groups.JOBS)
            return Topic(
                text,
                "read-status",
                heard,
                lambda: snapshot.store(application, store, FIRST),
                lambda: snapshot.exists(application, store),
                application,
                store,
            )
        return None if slash else _of_application(kind, text, application)
    except ConfigError:
        return None


def _of_entry(text: str, application: str, rest: str) -> Topic | None:
    store, _, address = rest.partition("?")
    check_name(store, "store")
    params = watched.read_address(address)
    if params is None:
        return None
    heard = (groups.of_application(application),)
    return Topic(
        text,
        "browse",
        heard,
        lambda: watched.snapshot(application, store, params),
        _always,
        application,
        store,
    )


def _plain(kind: str) -> Topic | None:
    if kind == "overview":
        return Topic(kind, "read-status", (groups.OVERVIEW,), lambda: snapshot.overview(bounded=True), _always)
    if kind == "restores":
        return Topic(kind, "read-status", (groups.OVERVIEW,), snapshot.restores, _always)
    if kind == "jobs":
        return Topic(kind, "read-jobs", (groups.JOBS,), snapshot.jobs, _always)
    return None


def _of_application(kind: str, text: str, app: str) -> Topic | None:
    heard = (groups.of_application(app),)

    def exists() -> bool:
        return snapshot.exists(app)

    if kind == "app":
        return Topic(text, "read-status", heard, lambda: snapshot.application(app, FIRST), exists, app)
    if kind == "lag":
        return Topic(text, "read-status", heard, lambda: snapshot.lag(app, FIRST), exists, app)
    if kind == "restores":
        return Topic(text, "read-status", (*heard, groups.JOBS), lambda: snapshot.restores(app, FIRST), _always, app)
    if kind == "jobs":
        return Topic(text, "read-jobs", (groups.JOBS,), lambda: snapshot.jobs(app), _always, app)
    return None


def _always() -> bool:
    return True
