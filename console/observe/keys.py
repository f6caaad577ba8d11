"""Names of everything kept in Redis, and the client to reach it. The observer writes, web processes read.

statehouse:apps                 set of application ids
statehouse:app:<app>            hash: kafka key -> JSON as it stood in the status topic
statehouse:changes:<app>        sorted set: kafka key -> revision of its last change (also of its removal)
statehouse:rev:<app>            revision of the last change of anything about the application
statehouse:health:<app>         JSON: instances that are unreachable, tasks that have been seen
statehouse:lag:<app>            JSON: rates and verdicts of each partition
statehouse:rates:<app>          list: [at, in_per_second], newest first
statehouse:epoch                the observer's run that wrote all this, and how often it has written all of it anew; a new
                                one means: read everything again
statehouse:observer             JSON: the heartbeat
statehouse:observer:lock        the run that may write
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import redis
from django.conf import settings

if TYPE_CHECKING:
    from typing import Any

APPS = "statehouse:apps"
EPOCH = "statehouse:epoch"
HEARTBEAT = "statehouse:observer"
LOCK = "statehouse:observer:lock"

# So many changes and removals of an application are remembered; a web process that has missed as many reads everything.
CHANGES_KEPT = 200_000

# Redis answers within a millisecond or is not there; a page must not wait for it.
TIMEOUT_S = 2.0


def app(name: str) -> str:
    """The latest records."""
    return f"statehouse:app:{name}"


def changes(name: str) -> str:
    """What changed at which revision."""
    return f"statehouse:changes:{name}"


def revision(name: str) -> str:
    """The revision."""
    return f"statehouse:rev:{name}"


def health(name: str) -> str:
    """What the observer concluded about instances."""
    return f"statehouse:health:{name}"


def lag(name: str) -> str:
    """Rates and verdicts."""
    return f"statehouse:lag:{name}"


def rates(name: str) -> str:
    """The recent input rate."""
    return f"statehouse:rates:{name}"


@functools.cache
def client(url: str | None = None) -> Any:
    """Return this process's client (its type stubs mix sync and async answers, hence Any); it keeps bytes as bytes, and fails within seconds when Redis is away."""
    return redis.Redis.from_url(
        url or settings.REDIS_URL,
        socket_timeout=TIMEOUT_S,
        socket_connect_timeout=TIMEOUT_S,
        health_check_interval=30,
    )
