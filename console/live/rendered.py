"""Snapshots as bytes, built once for all sockets of the process that show the same topic."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import msgspec
from asgiref.sync import sync_to_async
from django.db import close_old_connections

from console import limits
from console.observe.board import reader

if TYPE_CHECKING:
    from console.live.topics import Topic

_encoder = msgspec.json.Encoder()
# What was seen to exist is looked at again after this, for those who are only told that something changed.
_EXISTS_S = 10.0
# Topics that nobody has asked for lately make room.
_KEPT = 200
# A snapshot that was begun this recently is as good as a new one.
_FRESH_S = limits.SNAPSHOT_INTERVAL_MS / 1000 * 0.8


class Rendered:
    """Belongs to one event loop."""

    def __init__(self) -> None:
        self._made: dict[str, tuple[float, str | None]] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def get(self, topic: Topic, *, bare: bool = False) -> tuple[str | None, float]:
        """Return the message (None when what it is about does not exist) and when, on the monotonic clock, it was begun."""
        seen_at, seen = self._made.get(topic.name, (0.0, None))
        now = time.monotonic()
        if bare and seen is not None and now - seen_at < _EXISTS_S:
            return await sync_to_async(_changed, thread_sensitive=False)(topic), now
        lock = self._locks.setdefault(topic.name, asyncio.Lock())
        async with lock:
            began, text = self._made.get(topic.name, (0.0, None))
            now = time.monotonic()
            if now - began < _FRESH_S:
                return text, began
            text = await sync_to_async(_build, thread_sensitive=False)(topic)
            self._made[topic.name] = (now, text)
        if len(self._made) > _KEPT:
            for name in sorted(self._made, key=lambda name: self._made[name][0])[: _KEPT // 2]:
                del self._made[name]
                self._locks.pop(name, None)
        return text, now


def _changed(topic: Topic) -> str:
    """Return the message without what it is about, which was seen to exist before."""
    observer = reader.read().observer
    at = time.time_ns() // 1_000_000
    head = {
        "type": "snapshot",
        "topic": topic.name,
        "at": at,
        "observer_at": observer["at"],
        "stale": observer["stale"],
    }
    return _encoder.encode({**head, "data": None}).decode()


def _build(topic: Topic) -> str | None:
    close_old_connections()
    try:
        data = topic.build()
    finally:
        close_old_connections()
    if data is None:
        return None
    observer = data["observer"]
    message = {
        "type": "snapshot",
        "topic": topic.name,
        "at": data["at"],
        "observer_at": observer["at"],
        "stale": observer["stale"],
        "data": data,
    }
    return _encoder.encode(message).decode()


def alive() -> str:
    """Return the heartbeat message. Synchronous."""
    observer = reader.read().observer
    message = {
        "type": "alive",
        "at": time.time_ns() // 1_000_000,
        "observer_at": observer["at"],
        "stale": observer["stale"],
    }
    return _encoder.encode(message).decode()
