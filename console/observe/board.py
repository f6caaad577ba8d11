"""The latest status as web processes see it: parsed once, then brought up to date by what changed, part by part.

One board a process, shared by views and sockets of all threads; ``read`` is cheap when nothing changed. It never
writes. When Redis is away it answers with what it last knew, and says so.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import redis

from console import limits
from console.observe import keys
from console.observe.made import Made
from engine.control import status

_REFRESH_MS = 100
_CHUNK = 1_000

LagRow = tuple[str, str, float | None, float | str | None, int | None, str | None]
CAUGHT_UP: LagRow = ("OK", "Caught up.", 0.0, 0.0, 0, "caught-up")
NOT_JUDGED: LagRow = ("UNKNOWN", "The lag is not known yet.", None, None, None, None)


@dataclass(slots=True)
class State:
    """One application's latest records, by what they describe.

    Never changed, only replaced: safe to read anywhere. A part that did not change is the same object in the next state.
    """

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
    made: Made = field(default_factory=Made)


@dataclass(slots=True)
class Board:
    """Every application's state, and how fresh it is."""

    applications: dict[str, State] = field(default_factory=dict)
    observer: dict[str, Any] = field(default_factory=dict)
    revision: int = 0


@dataclass(slots=True)
class _Known:
    """What is kept of an application between two looks: its records by Kafka key, the documents as they were read, the state."""

    state: State
    records: dict[str, status.StatusRecord] = field(default_factory=dict)
    health: bytes | None = None
    lag: bytes | None = None
    lag_rows: tuple[Any, Any] | None = None


class Reader:
    """Keeps the parsed records of each application; all methods may be called from any thread."""

    def __init__(self, client: Any = None) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._epoch: bytes | None = None
        self._known: dict[str, _Known] = {}
        self._board = Board()
        self._read_at = 0.0

    def read(self, *, fresh: bool = False, newer_than: float = 0.0) -> Board:
        """Return the board, at most 100 ms old (``fresh``: read now), and read after ``newer_than`` on the monotonic clock."""
        with self._lock:
            began = time.monotonic()
            if not fresh and (began - self._read_at) * 1000 < _REFRESH_MS and self._read_at >= newer_than:
                return self._board
            client = self._client or keys.client()
            try:
                self._refresh(client)
            except redis.RedisError as error:
                self._board.observer = _observer(
                    None, f"Redis does not answer ({type(error).__name__}): live values are not known."
                )
            # From the beginning on: what was written meanwhile may have been missed.
            self._read_at = began
            return self._board

    def _refresh(self, client: Any) -> None:
        epoch, names, beat = (
            client.pipeline(transaction=False).get(keys.EPOCH).smembers(keys.APPS).get(keys.HEARTBEAT).execute()
        )
        if epoch != self._epoch:
            self._known, self._epoch = {}, epoch
        found = sorted(name.decode() for name in names)
        revisions = client.mget([keys.revision(name) for name in found]) if found else []
        for name, revision in zip(found, revisions, strict=True):
            # Put back when it is up to date: after an error in between everything is read anew.
            wanted, known = int(revision or 0), self._known.pop(name, None)
            if known is None or known.state.revision != wanted:
                raw = None if known is None else self._changes(client, name, known.state.revision)
                if known is None or raw is None:
                    known, raw = _Known(State(name)), client.hgetall(keys.app(name))
                self._look(client, known, raw, wanted)
            self._known[name] = known
        self._known = {name: self._known[name] for name in found}
        states = {name: known.state for name, known in self._known.items()}
        self._board = Board(states, _observer(beat), sum(state.revision for state in states.values()))

    def _changes(self, client: Any, name: str, since: int) -> dict[bytes, bytes | None] | None:
        """Return what has changed since a revision; None when that is so much that older changes may have been dropped."""
        changed = client.zrangebyscore(keys.changes(name), f"({since}", "+inf")
        if len(changed) >= keys.CHANGES_KEPT:
            return None
        found: dict[bytes, bytes | None] = {}
        for first in range(0, len(changed), _CHUNK):
            chunk = changed[first : first + _CHUNK]
            found |= zip(chunk, client.hmget(keys.app(name), chunk), strict=True)
        return found

    def _look(self, client: Any, known: _Known, raw: dict[bytes, bytes | None], revision: int) -> None:
        """Bring an application up to date."""
        name = known.state.id
        health, lag, rates = (
            client.pipeline(transaction=False)
            .get(keys.health(name))
            .get(keys.lag(name))
            .lrange(keys.rates(name), 0, -1)
            .execute()
        )
        edit = _Edit(known.state)
        for key, value in raw.items():
            edit.put(known.records, key.decode(), _decoded(key, value))
        state = edit.state(revision)
        if health != known.health:
            _read_health(state, health)
        if lag != known.lag:
            known.lag_rows = _read_lag(state, lag, known.lag_rows)
        state.rates = [_parse(each) for each in reversed(rates)]
        known.health, known.lag, known.state = health, lag, state


def _decoded(key: bytes, value: bytes | None) -> status.StatusRecord | None:
    try:
        return None if value is None else status.decode(key, value)
    except status.StatusError:
        # The observer checked it; a console that is older than the observer may still not know it.
        return None


class _Edit:
    """The next state in the making. A part is copied when it is first changed, so that the others stay the same objects."""

    def __init__(self, former: State) -> None:
        self._state = replace(former)
        self._former = former
        self._copied: set[str] = set()

    def state(self, revision: int) -> State:
        """Return the state."""
        self._state.revision = revision
        return self._state

    def put(self, records: dict[str, status.StatusRecord], key: str, record: status.StatusRecord | None) -> None:
        """Take a record that is new under its key, or None for one that is gone; ``records`` follow."""
        old = records.pop(key, None)
        if record is not None:
            records[key] = record
        what = record if record is not None else old
        if isinstance(what, status.InstanceStatus):
            self._of_instance(what.instance, record)
        elif isinstance(what, status.TopologyStatus):
            self._state.topology = record if isinstance(record, status.TopologyStatus) else None
        elif isinstance(what, status.TaskStatus):
            if self._state.tasks is self._former.tasks:
                self._state.tasks = dict(self._former.tasks)
            _put_copy(self._state.tasks, what.task, old, record)
        elif isinstance(what, status.StoreStatus):
            if isinstance(old, status.StoreStatus) and old.partition != what.partition:
                _put_copy(self._partitions(old.store), old.partition, old, None)
                old = None
            _put_copy(self._partitions(what.store), what.partition, old, record)
            if not self._state.stores[what.store]:
                del self._state.stores[what.store]

    def _of_instance(self, name: str, record: status.StatusRecord | None) -> None:
        if self._state.instances is self._former.instances:
            self._state.instances = dict(self._former.instances)
        if isinstance(record, status.InstanceStatus):
            self._state.instances[name] = record
        else:
            self._state.instances.pop(name, None)

    def _partitions(self, store: str) -> dict[int, list[status.StoreStatus]]:
        if self._state.stores is self._former.stores:
            self._state.stores = dict(self._former.stores)
        if store not in self._copied:
            self._copied.add(store)
            self._state.stores[store] = dict(self._former.stores.get(store, {}))
        return self._state.stores.setdefault(store, {})


def _put_copy(copies: dict[Any, list[Any]], place: str | int, old: object, new: object) -> None:
    """Replace a copy of a task or a store partition (None: there is none), in a list of its own."""
    there = copies.get(place, [])
    if old is None:
        changed = [*there, new] if new is not None else there
    else:
        changed = [each if each is not old else new for each in there if each is not old or new is not None]
    if changed:
        copies[place] = changed
    else:
        copies.pop(place, None)


_parse = msgspec.json.decode


def _read_health(state: State, health: bytes | None) -> None:
    document = _parse(health) if health else {"unreachable": {}, "owners": {}}
    for name in ("unreachable", "owners", "flapping"):
        found = document.get(name, {})
        if found != getattr(state, name):
            setattr(state, name, found)


def _read_lag(state: State, lag: bytes | None, former: tuple[Any, Any] | None) -> tuple[Any, Any]:
    """Read what was judged, unless it is as before; return it as it was read. Its time alone changes every two seconds."""
    document = _parse(lag) if lag else {"caught_up": [], "rows": []}
    found = (document["caught_up"], document["rows"])
    if found == former:
        return found
    # What is caught up is most of it, and most of that was so before.
    rows = dict(state.lag)
    before_of = {(kind, topic): set(partitions) for kind, topic, partitions in former[0]} if former else {}
    now_of = {(kind, topic): set(partitions) for kind, topic, partitions in found[0]}
    gone = [(*name, partition) for name, before in before_of.items() for partition in before - now_of.get(name, set())]
    for place in gone + [(kind, topic, partition) for kind, topic, partition, *_ in (former[1] if former else ())]:
        rows.pop(place, None)
    for name, now in now_of.items():
        rows |= dict.fromkeys([(*name, partition) for partition in now - before_of.get(name, set())], CAUGHT_UP)
    for kind, topic, partition, *row in found[1]:
        # An observer of the former version wrote neither the time lag nor how it was got.
        rows[(kind, topic, partition)] = (*row, *NOT_JUDGED[len(row) :])
    state.lag = rows
    return found


def _observer(beat: bytes | None, problem: str | None = None) -> dict[str, Any]:
    """Return how fresh everything is; stale unless a heartbeat says otherwise."""
    now_ms = time.time_ns() // 1_000_000
    document = _parse(beat) if beat else {}
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
