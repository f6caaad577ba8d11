"""One browser's socket: a snapshot at once, then one when something changed, at most twice a second; a heartbeat each second.

A snapshot replaces the one before, so whatever is dropped on the way heals with the next. Nothing is ever taken from the
browser: what it shows stands in the URL.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from asgiref.sync import sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer  # type: ignore[import-untyped]
from django.db import DatabaseError

from console import limits
from console.access import policy, session
from console.live import rendered, topics

if TYPE_CHECKING:
    from console.live.topics import Topic

logger = logging.getLogger(__name__)

NOT_SIGNED_IN, NOT_ALLOWED, NOT_FOUND, TOO_BIG = 4401, 4403, 4404, 1009
# How often a socket looks at its clock when nothing changes.
_TICK_S = 0.2
# Pings may be lost with Redis; the socket then looks by itself this often.
_LOOK_ANYWAY_MS = 2_000
# What a snapshot reads may be this much older than the snapshot (``observe.board``).
_BOARD_S = 0.1
_by_loop: dict[asyncio.AbstractEventLoop, rendered.Rendered] = {}


class LiveSocket(AsyncWebsocketConsumer):  # type: ignore[misc]  # Channels has no types
    """Owned by one connection; its ticker is the only one that sends."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.topic: Topic | None = None
        self._bare = False
        self._changed = True
        self._changed_at = 0.0
        self._ping = asyncio.Event()
        self._ticker: asyncio.Task[None] | None = None
        self._joined: list[str] = []

    async def connect(self) -> None:
        """Check who asks for what, then start sending. The origin has been checked before (``live.origin``)."""
        wanted = parse_qs(self.scope["query_string"].decode("latin-1")).get("topic", [""])
        self.topic = topics.parse(wanted[0]) if len(wanted) == 1 else None
        # A page that draws its regions again needs to know that something changed, not what: at ten thousand
        # partitions that is megabytes a second which nobody reads.
        self._bare = "data=none" in self.scope["query_string"].decode("latin-1").split("&")
        refusal = await self._refusal()
        if refusal is None and self.topic is None:
            refusal = NOT_FOUND
        await self.accept()
        # A close before `accept` reaches browsers as a bare failure; a code after it says what to do.
        if refusal is not None:
            await self.close(code=refusal)
            return
        assert self.topic is not None  # noqa: S101 - checked above
        for group in self.topic.groups:
            await self._join(group)
        self._ticker = asyncio.create_task(self._tick())

    async def disconnect(self, code: int) -> None:
        """Stop sending."""
        del code
        if self._ticker is not None:
            self._ticker.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._ticker
        for group in self._joined:
            with contextlib.suppress(Exception):
                await self.channel_layer.group_discard(group, self.channel_name)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Ignore what the browser says; end the socket of one that says too much."""
        if len(text_data or "") + len(bytes_data or b"") > limits.SOCKET_MESSAGE_BYTES_MAX:
            await self.close(code=TOO_BIG)

    async def status_changed(self, message: dict[str, Any]) -> None:
        """Hear a ping."""
        del message
        self._changed, self._changed_at = True, time.monotonic()
        self._ping.set()

    async def _join(self, group: str) -> None:
        try:
            await self.channel_layer.group_add(group, self.channel_name)
            self._joined.append(group)
        except Exception as error:  # noqa: BLE001 - without Redis there are no pings; the socket looks by itself and says "stale"
            logger.info("no-pings for %s: %s", group, error)

    async def _refusal(self) -> int | None:
        """Return the code to close with, or None while the session's user may see the topic."""
        user = await sync_to_async(session.user_of, thread_sensitive=False)(
            getattr(self.scope.get("session"), "session_key", None)
        )
        if user is None:
            return NOT_SIGNED_IN
        if self.topic is None:
            return None
        may = await sync_to_async(policy.allowed, thread_sensitive=False)(
            user, self.topic.action, self.topic.application, self.topic.store
        )
        return None if may else NOT_ALLOWED

    async def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        sent_at = alive_at = checked_at = -1e9
        checked_at = loop.time()
        while True:
            now = loop.time()
            try:
                if (now - checked_at) * 1000 >= limits.RIGHTS_INTERVAL_MS:
                    checked_at = now
                    if (refusal := await self._refusal()) is not None:
                        await self.close(code=refusal)
                        return
                since_ms = (now - sent_at) * 1000
                if (self._changed and since_ms >= limits.SNAPSHOT_INTERVAL_MS) or since_ms >= _LOOK_ANYWAY_MS:
                    sent_at, self._changed = now, False
                    if not await self._send_snapshot(loop):
                        return
                if (now - alive_at) * 1000 >= limits.ALIVE_INTERVAL_MS:
                    alive_at = now
                    await self.send(text_data=await sync_to_async(rendered.alive, thread_sensitive=False)())
            except DatabaseError as error:
                # Without the database rights can not be checked: say nothing rather than too much. The page turns stale.
                logger.warning("socket-waits: %s", error)
                checked_at = -1e9
                await asyncio.sleep(1)
            await self._wait(sent_at + limits.SNAPSHOT_INTERVAL_MS / 1000 - loop.time())

    async def _wait(self, seconds_until_due: float) -> None:
        """Wait for the next look: until a ping, or until what has changed meanwhile may be sent."""
        if self._changed:
            await asyncio.sleep(min(max(seconds_until_due, 0.0), _TICK_S))
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ping.wait(), _TICK_S)
        self._ping.clear()

    async def _send_snapshot(self, loop: asyncio.AbstractEventLoop) -> bool:
        assert self.topic is not None  # noqa: S101 - the ticker starts with a topic
        shared = _by_loop.get(loop)
        if shared is None:
            for other in [other for other in _by_loop if other.is_closed()]:
                del _by_loop[other]
            shared = _by_loop[loop] = rendered.Rendered()
        text, began = await shared.get(self.topic, bare=self._bare, heard_at=self._changed_at)
        if text is None:
            await self.close(code=NOT_FOUND)
            return False
        await self.send(text_data=text)
        # A shared snapshot may have been begun before the change that we were told of.
        self._changed = self._changed_at > (began if self._bare else began - _BOARD_S)
        return True
