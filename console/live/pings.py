"""Telling sockets that something changed, from synchronous processes (the observer, Celery workers).

Pings carry no data: whoever hears one reads the state. So a dropped ping costs half a second at most (sockets also look
by themselves), and a failed one is only counted.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from typing import TYPE_CHECKING, Any

from channels.layers import get_channel_layer  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from collections.abc import Iterable

logger = logging.getLogger(__name__)

# More unfinished pings than this and Redis is away: further ones would only pile up.
_PENDING_MAX = 50


class Pinger:
    """Owns one thread with an event loop, so that Channels keeps its connections. ``send`` may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pid = 0
        self._pending = 0
        self.failed_total = 0

    def send(self, groups: Iterable[str], message: dict[str, Any]) -> None:
        """Send the message to each group; returns at once and never raises."""
        with self._lock:
            if self._pending >= _PENDING_MAX:
                self.failed_total += 1
                return
            self._pending += 1
            # Celery forks: a thread of the parent does not run in the child.
            if self._loop is None or self._pid != os.getpid():
                self._start()
            loop = self._loop
        assert loop is not None  # noqa: S101 - for the type checker; _start has set it
        asyncio.run_coroutine_threadsafe(self._send(list(groups), message), loop)

    def _start(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._pid = os.getpid()
        self._pending = 1
        threading.Thread(target=self._loop.run_forever, name="pings", daemon=True).start()

    async def _send(self, groups: list[str], message: dict[str, Any]) -> None:
        try:
            layer = get_channel_layer()
            for group in groups:
                await layer.group_send(group, message)
        except Exception as error:  # noqa: BLE001 - whatever Redis does, the caller's work goes on
            self.failed_total += 1
            logger.debug("ping-failed: %s", error)
        finally:
            with self._lock:
                self._pending -= 1

    def close(self) -> None:
        """Stop the thread."""
        with self._lock:
            loop, self._loop = self._loop, None
        if loop is not None and self._pid == os.getpid():
            loop.call_soon_threadsafe(loop.stop)


pinger = Pinger()
