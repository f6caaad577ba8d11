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
# Topics that nobody has asked for lately make room.
_KEPT = 200
# A snapshot that was begun this recently is as good as a new one.
_FRESH_S = limits.SNAPSHOT_INTERVAL_MS / 1000 * 0.8


class Rendered:
    """Belongs to one event loop."""

    def __init__(self) -> None:
        self._made: dict[str, tuple[float, str | None]] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def get(self, topic: Topic, *, bare: bool = False, heard_at: float = 0.0) -> tuple[str | None, float]:
        """Return the message (None when what it is about does not exist) and when, on the monotonic clock, it was begun.

        ``bare``: without what it is about; by then this process knows what was told at ``heard_at``, so that whoever asks
        for the page on hearing the message finds it there.
        """
        if bare:
            now = time.monotonic()
            return await sync_to_async(_changed, thread_sensitive=False)(topic, heard_at), now
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


def _changed(topic: Topic, heard_at: float) -> str | None:
    """Return the message without what it is about, or None when that does not exist."""
    close_old_connections()
    try:
        observer = reader.read(newer_than=heard_at).observer
        if not topic.exists():
            return None
    finally:
        close_old_connections()
    message = {
        "type": "snapshot",
        "topic": topic.name,
        "at": time.time_ns() // 1_000_000,
        "observer_at": observer["at"],
        "stale": observer["stale"],
        "data": None,
    }
    return _encoder.encode(message).decode()


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
