"""Handlers of snapshots: which there are, a page of one, deleting one. They are made by jobs of that kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from console import limits
from console.api.errors import CODES, ApiError
from console.browse import past
from console.browse.entries import Unavailable
from console.jobs import commands

if TYPE_CHECKING:
    from collections.abc import Callable

    from console.api.dispatch import Call


def listing(call: Call) -> dict[str, Any]:
    """The snapshots of a store, newest first."""
    return {"snapshots": past.listing(call.path["app"], call.path["store"])}


def show(call: Call) -> dict[str, Any]:
    """One snapshot."""
    return {"snapshot": past.described(_asked(lambda: past.find(**_path(call))))}


def entries(call: Call) -> dict[str, Any]:
    """One page of a snapshot's entries."""
    call.number("limit", limits.PAGE_ENTRIES_DEFAULT, limits.PAGE_ENTRIES_MAX)
    return dict(_asked(lambda: past.page(**_path(call), params=call.query)))


def delete(call: Call) -> dict[str, Any]:
    """Delete one: its files go too."""
    try:
        commands.delete_snapshot(call.user, **_path(call), **call.origin)
    except commands.Refused as error:
        raise ApiError(error.code if error.code in CODES else "bad-request", error.words) from error
    return {"deleted": call.path["snapshot"]}


def _path(call: Call) -> dict[str, str]:
    return {name: call.path[name] for name in ("app", "store", "snapshot")}


def _asked(ask: Callable[[], Any]) -> Any:
    try:
        return ask()
    except Unavailable as error:
        raise ApiError(
            error.code, error.words, status=error.status, retryable=error.retryable, state=error.state
        ) from error
