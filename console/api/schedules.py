"""Handlers of schedules: list, make, pause, resume, delete."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from console.api.errors import CODES, ApiError
from console.jobs import schedules
from console.jobs.commands import Refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from console.api.dispatch import Call

_FIELDS = {"kind", "application", "store", "partitions", "cron", "why", "arguments"}


def listing(call: Call) -> dict[str, Any]:
    """All schedules, those that run next first."""
    return {"schedules": schedules.listing(call.query.get("application"))}


def create(call: Call) -> tuple[int, dict[str, Any]]:
    """Make one."""
    body = call.body()
    unknown = sorted(set(body) - _FIELDS)
    if unknown:
        raise ApiError("bad-request", f"Unknown field {unknown[0]!r}. Use: {', '.join(sorted(_FIELDS))}.")
    for name in ("kind", "application", "store", "cron"):
        if not isinstance(body.get(name), str):
            raise ApiError("bad-request", f"{name} must be text.")
    partitions, arguments, why = body.get("partitions", []), body.get("arguments", {}), body.get("why", "")
    if not isinstance(partitions, list) or any(
        isinstance(each, bool) or not isinstance(each, int) for each in partitions
    ):
        raise ApiError("bad-request", "partitions must be a list of whole numbers; empty means all.")
    if not isinstance(arguments, dict) or not isinstance(why, str):
        raise ApiError("bad-request", "arguments must be an object, and why text.")
    made = _done(
        lambda: schedules.create(
            call.user,
            kind=body["kind"],
            application=body["application"],
            store=body["store"],
            partitions=partitions,
            when=body["cron"],
            why=why,
            arguments=arguments,
            **call.origin,
        )
    )
    return 201, {"schedule": schedules.described(made)}


def pause(call: Call) -> dict[str, Any]:
    """Let one rest."""
    found = _done(lambda: schedules.pause(call.user, call.path["schedule"], **call.origin))
    return {"schedule": schedules.described(found)}


def resume(call: Call) -> dict[str, Any]:
    """Let one run again."""
    found = _done(lambda: schedules.resume(call.user, call.path["schedule"], **call.origin))
    return {"schedule": schedules.described(found)}


def delete(call: Call) -> dict[str, Any]:
    """Delete one; the jobs that it has made stay."""
    _done(lambda: schedules.delete(call.user, call.path["schedule"], **call.origin))
    return {"deleted": call.path["schedule"]}


def _done(do: Callable[[], Any]) -> Any:
    try:
        return do()
    except Refused as error:
        raise ApiError(error.code if error.code in CODES else "bad-request", error.words) from error
