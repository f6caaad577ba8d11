"""The engines' addresses and token: who of an application can be asked. Used by ``browse`` and ``jobs``.

Addresses come from the status topic. Whoever may write there can name any address, and the token would be sent to it:
that topic is as trusted as the token (docs/architecture.md).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from django.conf import settings

from console.observe.board import reader
from console.observe.lateness import host_and_port

if TYPE_CHECKING:
    from engine.control.status import InstanceStatus


class NoToken(Exception):
    """The console has no token for engines; the message says how to give it one."""


def token() -> str:
    """Return the engines' token, read anew each time, so that a rotated file counts at once."""
    if not settings.ENGINE_TOKEN_FILE:
        raise NoToken(
            "ENGINE_TOKEN_FILE is not set. Point it at the file that the engines were given with --token-file."
        )
    try:
        found = Path(settings.ENGINE_TOKEN_FILE).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise NoToken(
            f"ENGINE_TOKEN_FILE cannot be read ({error.strerror}): let the console's user read it."
        ) from error
    if not found:
        raise NoToken("ENGINE_TOKEN_FILE is empty. Write the engines' token into it.")
    return found


def reachable(application: str) -> list[InstanceStatus]:
    """Return the instances that can be asked, running ones first."""
    state = reader.read().applications.get(application)
    if state is None:
        return []
    found = [
        record
        for name, record in sorted(state.instances.items())
        if name not in state.unreachable and record.state != "failed" and host_and_port(record.address)
    ]
    return sorted(found, key=lambda record: record.state != "running")
