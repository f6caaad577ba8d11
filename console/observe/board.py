"""The latest status as web processes see it: parsed once, then brought up to date by what changed.

One board a process, shared by views and sockets of all threads; ``read`` is cheap when nothing changed. It never
writes. When Redis is away it answers with what it last knew, and says so.
"""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import redis

from console import limits
from console.observe import keys
from engine.control import status

_REFRESH_MS = 100
_CHUNK = 1_000

LagRow = tuple[str, str, float | None, float | str | None, int | None, str | None]
_CAUGHT_UP: LagRow = ("OK", "Caught up.", 0.0, 0.0, 0, "caught-up")
NOT_JUDGED: LagRow = ("UNKNOWN", "The lag is not known yet.", None, None, None, None)


@dataclass(slots=True)
class State:
    """One application's latest records, by what they describe. Replaced as a whole, never changed: safe to read anywhere."""

    id: str
    revision: int = 0
    instances: dict[str, status.InstanceStatus] = field(default_factory=dict)
    tasks: dict[str, list[status.TaskStatus]] = field(default_factory=dict)
    stores: dict[str, dict[int, list[status.StoreStatus]]] = field(default_factory=dict)
    topology: status.TopologyStatus | None = None
    unreachable: dict[str, dict[str, Any]] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)
    # task -> how often it moved lately, where that is too often
    flapping: dict[str, int] = field(default_factory=dict)
    # (kind, name, partition) -> (status, reason, lag_per_second, eta, lag_ms, how that is known)
    lag: dict[tuple[str, str, int], LagRow] = field(default_factory=dict)
    rates: list[list[float]] = field(default_factory=list)
    # What has been made of this state, by what it is: a state never changes, so it is made once for all who ask.
    made: dict[tuple[str, str], Any] = field(default_factory=dict)


@dataclass(slots=True)
class Board:
    """Every application's state, and how fresh it is."""

    applications: dict[str, State] = field(default_factory=dict)
    observer: dict[str, Any] = field(default_factory=dict)
    revision: int = 0


class Reader:
    """Keeps the parsed records of each application; all methods may be called from any thread."""

    def __init__(self, client: Any = None) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._epoch: bytes | None = None
        self._records: dict[str, dict[str, status.StatusRecord]] = {}
        self._revisions: dict[str, int] = {}
        self._board = Board()
        self._read_at = 0.0

    def read(self, *, fresh: bool = False) -> Board:
        """Return the board, at most 100 ms old (``fresh``: read now)."""
        with self._lock:
            if not fresh and (time.monotonic() - self._read_at) * 1000 < _REFRESH_MS:
                return self._board
            client = self._client or keys.client()
            try:
                self._refresh(client)
            except redis.RedisError as error:
                self._board.observer = _observer(
                    None, f"Redis does not answer ({type(error).__name__}): live values are not known."
                )
            self._read_at = time.monotonic()
            return self._board

    def _refresh(self, client: Any) -> None:
        epoch, names, beat = (
            client.pipeline(transaction=False).get(keys.EPOCH).smembers(keys.APPS).get(keys.HEARTBEAT).execute()
        )
        if epoch != self._epoch:
            self._records, self._revisions = {}, {}
            self._epoch = epoch
        applications = {}
        found = sorted(name.decode() for name in names)
        revisions = client.mget([keys.revision(name) for name in found]) if found else []
        for name, revision in zip(found, revisions, strict=True):
            wanted, known = int(revision or 0), self._revisions.get(name)
            if known == wanted and name in self._board.applications:
                applications[name] = self._board.applications[name]
                continue
            applications[name] = self._application(client, name, known, wanted)
        self._board = Board(applications, _observer(beat), sum(self._revisions.values()))

    def _application(self, client: Any, name: str, known: int | None, wanted: int) -> State:
        if known is None:
            self._records[name] = {}
            self._merge(name, client.hgetall(keys.app(name)))
        else:
            changed = client.zrangebyscore(keys.changes(name), f"({known}", "+inf")
            for first in range(0, len(changed), _CHUNK):
                chunk = changed[first : first + _CHUNK]
                self._merge(name, dict(zip(chunk, client.hmget(keys.app(name), chunk), strict=True)))
        self._revisions[name] = wanted
        health, lag, rates = (
            client.pipeline(transaction=False)
            .get(keys.health(name))
            .get(keys.lag(name))
            .lrange(keys.rates(name), 0, -1)
            .execute()
        )
        return _state(name, wanted, self._records[name], health, lag, rates)

    def _merge(self, name: str, raw: dict[bytes, bytes | None]) -> None:
        records = self._records[name]
        for key, value in raw.items():
            if value is None:
                records.pop(key.decode(), None)
                continue
            try:
                records[key.decode()] = status.decode(key, value)
            except status.StatusError:
                # The observer checked it; a console that is older than the observer may still not know it.
                records.pop(key.decode(), None)


def _state(
    name: str,
    revision: int,
    records: dict[str, status.StatusRecord],
    health: bytes | None,
    lag: bytes | None,
    rates: list[bytes],
) -> State:
    state = State(name, revision)
    for record in records.values():
        if isinstance(record, status.InstanceStatus):
            state.instances[record.instance] = record
        elif isinstance(record, status.TaskStatus):
            state.tasks.setdefault(record.task, []).append(record)
        elif isinstance(record, status.StoreStatus):
            state.stores.setdefault(record.store, {}).setdefault(record.partition, []).append(record)
        elif isinstance(record, status.TopologyStatus):
            state.topology = record
    if health:
        document = json.loads(health)
        state.unreachable, state.owners = document["unreachable"], document["owners"]
        state.flapping = document.get("flapping", {})
    if lag:
        document = json.loads(lag)
        for kind, topic, partitions in document["caught_up"]:
            state.lag |= {(kind, topic, partition): _CAUGHT_UP for partition in partitions}
        for kind, topic, partition, *row in document["rows"]:
            # An observer of the former version wrote neither the time lag nor how it was got.
            state.lag[(kind, topic, partition)] = (*row, *NOT_JUDGED[len(row) :])
    state.rates = [json.loads(each) for each in reversed(rates)]
    return state


def _observer(beat: bytes | None, problem: str | None = None) -> dict[str, Any]:
    """Return how fresh everything is; stale unless a heartbeat says otherwise."""
    now_ms = time.time_ns() // 1_000_000
    document = json.loads(beat) if beat else {}
    at = document.get("at")
    stale = at is None or now_ms - at > limits.STALE_MS
    if stale and problem is None:
        problem = (
            "The observer is not running, or cannot reach Kafka. Start it with: manage.py observe"
            if at is None
            else "The observer has stopped reporting."
        )
    return {
        "at": at,
        "stale": stale,
        "position": document.get("position"),
        "lag": document.get("lag"),
        "skipped": sum(document.get("skipped", {}).get(reason, 0) for reason in ("bad_key", "invalid", "unknown_kind")),
        "problem": problem or document.get("problem"),
    }


reader = Reader()
