"""What has been made of an application's state, kept for as long as what it was made of is still the same.

A state's parts are replaced when they change and never changed in place, so "the same" is identity: a reading of ten
thousand partitions is made once and shared by all pages and sockets. When some of those partitions are reported anew,
what is made one by one (``each``) is made anew for those only.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Value = TypeVar("Value")
Key = TypeVar("Key")
_ABSENT = object()


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

    def each(
        self,
        what: str,
        sources: tuple[Mapping[Key, Any], ...],
        make: Callable[..., Value],
        *,
        parts: tuple[object, ...] = (),
        about: str = "",
    ) -> dict[Key, Value]:
        """Return ``make(key, element, …)`` by key, with the element that each source has there.

        Made anew only where an element is another object than before, or everywhere when one of the ``parts`` is. A value
        that comes out equal stays the same object, and when all do, so does the whole. All sources have the same keys; their
        order is that in which the first one had them when they were last added to or removed from.
        """
        key = ("each " + what, about)
        with self._lock:
            known = self._kept.get(key)
            if known is not None and _same(known[0], (*sources, *parts)):
                found: dict[Key, Value] = known[1]
                return found
            former_sources: tuple[Mapping[Key, Any], ...] = ({},) * len(sources)
            former: dict[Key, Value] = {}
            if known is not None and _same(known[0][len(sources) :], parts):
                former_sources, former = known[0][: len(sources)], known[1]  # type: ignore[assignment]
            value = _renewed(former, former_sources, sources, make)
            self._kept[key] = ((*sources, *parts), value)
            return value


def _renewed(
    former: dict[Key, Value],
    former_sources: tuple[Mapping[Key, Any], ...],
    sources: tuple[Mapping[Key, Any], ...],
    make: Callable[..., Value],
) -> dict[Key, Value]:
    """Return ``former`` brought up to date; the very same where nothing came out otherwise."""
    changed = {
        name
        for old, new in zip(former_sources, sources, strict=True)
        if old is not new
        for name, element in new.items()
        if old.get(name, _ABSENT) is not element
    }
    anew: dict[Key, Value] = {}
    for name in changed:
        value = make(name, *(source[name] for source in sources))
        if name not in former or former[name] != value:
            anew[name] = value
    if former.keys() == sources[0].keys():
        return {**former, **anew} if anew else former
    return {name: anew[name] if name in anew else former[name] for name in sources[0]}


def _same(one: tuple[object, ...], other: tuple[object, ...]) -> bool:
    return len(one) == len(other) and all(a is b for a, b in zip(one, other, strict=True))
