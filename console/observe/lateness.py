"""Which instances are silent, and which of those are gone: the three missed reports and the refused connection.

Owned by the observer's main thread; probes run on threads of their own. A silence is measured from the *arrival* of the
last report, on this machine's clock, so skewed clocks of engine hosts do no harm.

    reporting ──silent──▶ probed ──refused──▶ unreachable ──reports again──▶ reporting
                             └──accepts or cannot be probed, and three reports missed──▶ unreachable
    unreachable ──silent for INSTANCE_EXPIRY_MS──▶ expired (its rows go)
"""

from __future__ import annotations

import socket
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from console import limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from engine.control.status import InstanceStatus

Key = tuple[str, str]

# A silence this long is worth a look at the port: longer than a busy instance's interval of 500 ms and some delay.
_PROBE_AFTER_MS = 750
_PROBE_EVERY_MS = 400
_PROBES_AT_ONCE = 16
# The cadence is the widest of this many gaps, so that one quick report in between does not shorten it.
_GAPS = 3


@dataclass(slots=True)
class _Seen:
    incarnation: int
    address: tuple[str, int] | None
    arrived_ms: int
    gaps_ms: list[int] = field(default_factory=list)
    # A refusal means something only where a connection has been accepted before: the address may be another network's.
    has_accepted: bool = False
    refused: bool = False
    probed_ms: int = 0
    probe: Future[bool | None] | None = None
    unreachable_since_ms: int | None = None
    reason: str = ""


class Lateness:
    """``seen`` at each instance report, ``check`` several times a second, then read ``unreachable`` and ``expired``."""

    def __init__(self, connect: Callable[[tuple[str, int]], bool | None] | None = None) -> None:
        self._instances: dict[Key, _Seen] = {}
        self._connect = connect or accepts
        self._pool = ThreadPoolExecutor(_PROBES_AT_ONCE, thread_name_prefix="probe")

    def seen(self, record: InstanceStatus, arrived_ms: int) -> bool:
        """Note a report. Return True when the instance had been called unreachable."""
        key = (record.application, record.instance)
        old = self._instances.get(key)
        address = host_and_port(record.address)
        if old is None or old.incarnation != record.incarnation:
            self._instances[key] = _Seen(record.incarnation, address, arrived_ms)
            return old is not None and old.unreachable_since_ms is not None
        was = old.unreachable_since_ms is not None
        if not was:
            old.gaps_ms = [*old.gaps_ms[-(_GAPS - 1) :], max(arrived_ms - old.arrived_ms, 0)]
        old.arrived_ms, old.address = arrived_ms, address
        old.unreachable_since_ms, old.reason, old.refused, old.probed_ms = (
            None,
            "",
            False,
            arrived_ms if old.has_accepted else 0,
        )
        return was

    def forget(self, application: str, instance: str) -> None:
        """Drop an instance that ended."""
        self._instances.pop((application, instance), None)

    def excuse_all(self, now_ms: int) -> None:
        """Start every silence anew: the broker was away, so nobody could report. Who was unreachable is so still, but expires later."""
        for seen in self._instances.values():
            seen.arrived_ms = max(seen.arrived_ms, now_ms)

    def check(self, now_ms: int) -> set[str]:
        """Probe who is silent, decide who is unreachable; return the applications in which something changed."""
        changed = set()
        for key, seen in self._instances.items():
            silent_ms = now_ms - seen.arrived_ms
            self._collect(seen)
            if seen.unreachable_since_ms is None and (reason := self._verdict(seen, silent_ms)):
                seen.unreachable_since_ms, seen.reason = now_ms, reason
                changed.add(key[0])
            due = now_ms - seen.probed_ms >= _PROBE_EVERY_MS and (silent_ms >= _PROBE_AFTER_MS or not seen.has_accepted)
            if due and seen.address and seen.probe is None and seen.unreachable_since_ms is None:
                seen.probed_ms = now_ms
                seen.probe = self._pool.submit(self._connect, seen.address)
        return changed

    def unreachable(self, application: str) -> dict[str, tuple[int, str]]:
        """Return instance -> (since when, why in words)."""
        return {
            instance: (seen.unreachable_since_ms, seen.reason)
            for (app, instance), seen in self._instances.items()
            if app == application and seen.unreachable_since_ms is not None
        }

    def expired(self, now_ms: int) -> Iterator[Key]:
        """Yield the instances that have been silent so long that their rows go."""
        for key, seen in list(self._instances.items()):
            if now_ms - seen.arrived_ms >= limits.INSTANCE_EXPIRY_MS:
                yield key

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    @staticmethod
    def _collect(seen: _Seen) -> None:
        if seen.probe is None or not seen.probe.done():
            return
        answer = seen.probe.result()
        seen.probe = None
        if answer is True:
            seen.has_accepted, seen.refused = True, False
        elif answer is False:
            seen.refused = True

    @staticmethod
    def _verdict(seen: _Seen, silent_ms: int) -> str:
        if seen.refused and seen.has_accepted and silent_ms >= _PROBE_AFTER_MS:
            return f"refuses connections; its last report was {silent_ms / 1000:.1f} s ago"
        cadence_ms = max(seen.gaps_ms, default=limits.CADENCE_MS_MAX)
        patience_ms = max(limits.LATE_REPORTS * min(cadence_ms, limits.CADENCE_MS_MAX), limits.LATE_FLOOR_MS)
        # A busy instance may have just become idle and owe its next report only after the idle interval: where its port
        # still accepts, it gets that long.
        if seen.has_accepted and not seen.refused:
            patience_ms = max(patience_ms, limits.CADENCE_MS_MAX + limits.LATE_FLOOR_MS)
        if silent_ms >= patience_ms:
            return f"missed three reports; the last was {silent_ms / 1000:.1f} s ago"
        return ""


def host_and_port(address: str | None) -> tuple[str, int] | None:
    """Read ``http://host:port``; None for anything else, since the topic may hold anything."""
    try:
        parts = urlsplit(address or "")
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in {"http", "https"} or not parts.hostname or not port:
        return None
    return parts.hostname, port


def accepts(address: tuple[str, int]) -> bool | None:
    """Say whether the port accepts (True), refuses (False), or cannot be reached to tell (None). Sends nothing."""
    try:
        with socket.create_connection(address, timeout=limits.PROBE_TIMEOUT_S):
            return True
    except ConnectionRefusedError:
        return False
    except OSError:
        return None
