"""That workers and beat are there: workers say so themselves in Redis, beat is known by what it has had done.

    statehouse:worker:<host>   a worker that takes this host's jobs; expires when it has been silent
    statehouse:beat            when a periodic task last ran (ms): it needs beat to order it and a worker to do it

Celery's own remote control is off (settings), so nothing else would tell. The thread belongs to the worker's main process.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Any

import redis
from celery.signals import worker_ready, worker_shutting_down
from django.conf import settings

from console.observe import keys

if TYPE_CHECKING:
    from collections.abc import Iterable

logger = logging.getLogger(__name__)

_SAY_EVERY_S = 5.0
_FORGOTTEN_S = 20
_BEAT = "statehouse:beat"
_stop = threading.Event()


@worker_ready.connect  # type: ignore[untyped-decorator]
def begin(**_: Any) -> None:
    """Start to say that this worker is there."""
    _stop.clear()
    threading.Thread(target=_say, name="presence", daemon=True).start()


@worker_shutting_down.connect  # type: ignore[untyped-decorator]
def end(**_: Any) -> None:
    """Stop saying so."""
    _stop.set()


def _say() -> None:
    while not _stop.is_set():
        say()
        _stop.wait(_SAY_EVERY_S)


def say() -> None:
    """Say once that a worker of this host is there."""
    _write(_worker(settings.HOST_NAME), _FORGOTTEN_S)


def beat() -> None:
    """Note that a periodic task has run."""
    _write(_BEAT, None)


def workers(client: Any, hosts: Iterable[str]) -> set[str]:
    """Return those hosts of which a worker has lately said that it is there."""
    wanted = sorted(hosts)
    found = client.mget([_worker(host) for host in wanted]) if wanted else []
    return {host for host, at in zip(wanted, found, strict=True) if at is not None}


def beat_age_s(client: Any) -> float | None:
    """Return how long ago a periodic task last ran; None when none is known to have run."""
    at = client.get(_BEAT)
    return None if at is None else max(time.time() - int(at) / 1000, 0.0)


def _write(key: str, expires_s: int | None) -> None:
    try:
        keys.client().set(key, time.time_ns() // 1_000_000, ex=expires_s)
    except redis.RedisError as error:
        logger.info("presence-not-said: %s", error)


def _worker(host: str) -> str:
    return f"statehouse:worker:{host}"
