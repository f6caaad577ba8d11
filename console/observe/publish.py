"""Writing the latest status to Redis, in pipelines, and telling the sockets. Called by the observer's main thread only.

Redis is a copy. When it was away or was emptied, the copy is written anew from memory under a new epoch, which tells
web processes to drop what they have parsed. Only the holder of the lock writes: a second observer is a warm spare. While
Redis is away an observer stays which of the two it was.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import redis

from console import limits
from console.live import groups
from console.observe import keys

if TYPE_CHECKING:
    from console.live.pings import Pinger
    from console.observe.latest import Changes, Latest

_CHUNK = 1_000
_LOCK_MS = 5_000
_RATES_KEPT = 150


class Publisher:
    """Owns the keys of ``console.observe.keys``. Every method may raise ``redis.RedisError``: nothing was lost, call again."""

    def __init__(self, client: Any, pinger: Pinger, run: str) -> None:
        self._client = client
        self._pinger = pinger
        self._run = run.encode()
        self._rebuilds = 0
        self._revision = time.time_ns() // 1_000_000
        self._holds_lock = False
        # Whether another observer had the lock when Redis last answered.
        self.is_spare = False
        self._rebuilt = False
        self._documents: dict[str, dict[str, str]] = {}

    @property
    def _epoch(self) -> bytes:
        return b"%s.%d" % (self._run, self._rebuilds)

    def invalidate(self) -> None:
        """Have the next ``flush`` write everything anew."""
        self._rebuilt = False

    def hold_lock(self) -> bool:
        """Take or keep the lock; False while another observer has it."""
        if self._client.set(keys.LOCK, self._run, nx=True, px=_LOCK_MS) or self._client.get(keys.LOCK) == self._run:
            self._client.pexpire(keys.LOCK, _LOCK_MS)
            self._holds_lock = True
        else:
            self._holds_lock = self._rebuilt = False
        self.is_spare = not self._holds_lock
        return self._holds_lock

    def release(self) -> None:
        """Give the lock up at once, so that a successor need not wait."""
        if self._holds_lock and self._client.get(keys.LOCK) == self._run:
            self._client.delete(keys.LOCK)
        self._holds_lock = False

    def flush(self, latest: Latest, documents: dict[str, dict[str, str]], *, at_ms: int) -> bool:
        """Write what changed, and the documents (key -> JSON) of each application; then ping.

        Return False when nothing was written because another observer has the lock. Changes are taken from ``latest`` and
        given back when Redis fails.
        """
        if not self._holds_lock:
            return False
        if not self._rebuilt or self._client.get(keys.EPOCH) != self._epoch:
            self.rebuild(latest)
        taken = latest.take()
        # What was still concluded about an application of which nothing is left would put its name back for ever.
        documents = {application: texts for application, texts in documents.items() if application in latest.apps}
        touched = set(taken.changed) | set(taken.removed) | set(documents)
        for application, texts in documents.items():
            self._documents.setdefault(application, {}).update(texts)
        if not touched:
            return True
        try:
            self._write(latest, taken, documents, touched)
        except redis.RedisError:
            latest.restore(taken)
            self._rebuilt = False
            raise
        for application in touched:
            self._pinger.send(
                [groups.of_application(application), groups.OVERVIEW],
                {"type": "status.changed", "application": application, "at": at_ms},
            )
        return True

    def rebuild(self, latest: Latest) -> None:
        """Write everything anew under a new epoch; readers see the old state or the new one, never half."""
        latest.take()
        # What goes away here leaves no trace in the changes, so readers may not go on from what they have.
        self._rebuilds += 1
        known = {name.decode() for name in self._client.smembers(keys.APPS)}
        for application, entries in latest.apps.items():
            building = keys.app(application) + ":building"
            self._client.delete(building)
            items = [(key, entry.raw) for key, entry in entries.items()]
            for first in range(0, len(items), _CHUNK):
                self._client.hset(building, mapping=dict(items[first : first + _CHUNK]))
            self._revision += 1
            with self._client.pipeline(transaction=True) as pipe:
                if items:
                    pipe.rename(building, keys.app(application))
                else:
                    pipe.delete(keys.app(application))
                pipe.delete(keys.changes(application))
                for key, document in self._documents.get(application, {}).items():
                    pipe.set(key, document)
                pipe.set(keys.revision(application), self._revision)
                pipe.execute()
        with self._client.pipeline(transaction=True) as pipe:
            for gone in known - set(latest.apps):
                pipe.delete(
                    *(make(gone) for make in (keys.app, keys.changes, keys.revision, keys.health, keys.lag, keys.rates))
                )
                pipe.srem(keys.APPS, gone)
            if latest.apps:
                pipe.sadd(keys.APPS, *latest.apps)
            pipe.set(keys.EPOCH, self._epoch)
            pipe.execute()
        self._rebuilt = True

    def _write(self, latest: Latest, taken: Changes, documents: dict[str, dict[str, str]], touched: set[str]) -> None:
        for application in touched:
            self._revision += 1
            entries = latest.apps.get(application, {})
            changed = [key for key in taken.changed.get(application, ()) if key in entries]
            removed = list(taken.removed.get(application, ()))
            with self._client.pipeline(transaction=True) as pipe:
                for first in range(0, len(changed), _CHUNK):
                    pipe.hset(
                        keys.app(application),
                        mapping={key: entries[key].raw for key in changed[first : first + _CHUNK]},
                    )
                if removed:
                    pipe.hdel(keys.app(application), *removed)
                if changed or removed:
                    pipe.zadd(keys.changes(application), dict.fromkeys(changed + removed, self._revision))
                    pipe.zremrangebyrank(keys.changes(application), 0, -keys.CHANGES_KEPT - 1)
                for key, document in documents.get(application, {}).items():
                    pipe.set(key, document)
                pipe.sadd(keys.APPS, application)
                pipe.set(keys.revision(application), self._revision)
                pipe.execute()

    def rate(self, application: str, at_ms: int, in_per_second: float) -> None:
        """Append to the recent input rate; each observer's would be there twice, so only the holder of the lock does."""
        if not self._holds_lock:
            return
        with self._client.pipeline(transaction=False) as pipe:
            pipe.lpush(keys.rates(application), json.dumps([at_ms, round(in_per_second, 1)]))
            pipe.ltrim(keys.rates(application), 0, _RATES_KEPT - 1)
            pipe.execute()

    def heartbeat(self, beat: dict[str, Any]) -> None:
        """Say that we are alive and how far we are. It expires, so that a dead observer's beat is not read for ever."""
        if self._holds_lock:
            self._client.set(keys.HEARTBEAT, json.dumps(beat), px=60 * limits.HEARTBEAT_INTERVAL_MS)

    def forget(self, application: str) -> None:
        """Remove an application of which nothing is left; without the lock it goes when Redis is written anew."""
        self._documents.pop(application, None)
        if not self._holds_lock:
            return
        self._client.srem(keys.APPS, application)
        self._client.delete(
            *(make(application) for make in (keys.app, keys.changes, keys.revision, keys.health, keys.lag, keys.rates))
        )
