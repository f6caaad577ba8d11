"""What has been made of an application's state, kept for as long as what it was made of is still the same.

A state's parts are replaced when they change and never changed in place, so "the same" is identity: a reading of ten
thousand partitions is made once and shared by all pages and sockets, until one of those partitions is reported anew.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Value = TypeVar("Value")


class Made:
    """Handed on from one state of an application to the next; any thread. What it gives out must not be changed."""

    def __init__(self) -> None:
        # Held while something is made: others who want the same wait for it instead of making it as well.
        self._lock = threading.RLock()
        self._kept: dict[tuple[str, str], tuple[tuple[object, ...], Any]] = {}

    def of(
        self, what: str, parts: tuple[object, ...], make: Callable[[], Value], *, about: str = "", settle: bool = False
    ) -> Value:
        """Return ``make()``, or what it returned before when all ``parts`` are the very same objects.

        ``settle``: when the new value equals the former one, go on giving out the former, so that what is made of it
        in turn stays as well.
        """
        key = (what, about)
        with self._lock:
            known = self._kept.get(key)
            if known is not None and _same(known[0], parts):
                found: Value = known[1]
                return found
            value = make()
            if settle and known is not None and known[1] == value:
                value = known[1]
            self._kept[key] = (parts, value)
            return value


def _same(one: tuple[object, ...], other: tuple[object, ...]) -> bool:
    return len(one) == len(other) and all(a is b for a, b in zip(one, other, strict=True))
