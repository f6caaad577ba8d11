"""The origin check of WebSockets: browsers send cookies to any origin's socket, so the origin must be ours, exactly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from channels.security.websocket import WebsocketDenier  # type: ignore[import-untyped]
from django.conf import settings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Application = Callable[[dict[str, Any], Any, Any], Awaitable[None]]


class OriginCheck:
    """Refuses a handshake whose ``Origin`` is missing, repeated, or not in STATEHOUSE_ALLOWED_ORIGINS letter by letter.

    Channels' own validator takes a missing port for "any" and host wildcards; this one compares whole origins.
    """

    def __init__(self, application: Application) -> None:
        self.application = application

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Pass on, or deny with 403."""
        origins = [value.decode("latin-1") for name, value in scope.get("headers", []) if name == b"origin"]
        if len(origins) == 1 and origins[0] in settings.ALLOWED_ORIGINS:
            await self.application(scope, receive, send)
            return
        await WebsocketDenier()(scope, receive, send)
