"""How a store lies on disk and what its changelog still holds: asked of the engines and of Kafka, kept for some seconds.

A page that follows a store live asks with each update, and several readers may look at once: the answers are kept, so
neither engine nor Kafka is asked more often for them. What nobody tells stays None. Blocking; any thread.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from confluent_kafka import KafkaException

from console import limits
from console.browse import changelog_facts, entries
from console.browse.changelog_facts import KafkaAway
from console.observe.topic import kafka_settings
from engine.changelog.topics import Topics
from engine.errors import StatehouseError
from engine.query import questions

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

T = TypeVar("T")


class Kept(Generic[T]):
    """Answers that are kept for ``seconds``, refusals too: what has just failed is not tried twice a second."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._answers: dict[Hashable, tuple[float, T | Exception]] = {}

    def of(self, what: Hashable, ask: Callable[[], T], *refusals: type[Exception]) -> T:
        """Return the answer, or raise the refusal; of those that are asked for at once each may ask."""
        with self._lock:
            known = self._answers.get(what)
        if known is None or time.monotonic() - known[0] > self._seconds:
            found: T | Exception
            try:
                found = ask()
            except refusals as error:
                found = error
            known = time.monotonic(), found
            with self._lock:
                self._answers.pop(what, None)
                self._answers[what] = known
                while len(self._answers) > limits.KEPT_ANSWERS_MAX:
                    del self._answers[next(iter(self._answers))]
        if isinstance(known[1], Exception):
            raise known[1]
        return known[1]


_copies: Kept[dict[str, Any]] = Kept(limits.STORAGE_KEPT_S)
_changelogs: Kept[dict[str, Any]] = Kept(limits.CHANGELOG_KEPT_S)


def copies(app: str, store: str, params: dict[str, str]) -> dict[str, Any]:
    """Return the engine's answer of ``rocksdb`` (docs/contracts.md, section 2). Raises ``entries.Unavailable``."""
    what = (app, store, *sorted(params.items()))
    return _copies.of(what, lambda: entries.ask(app, store, questions.rocksdb(store, **params)), entries.Unavailable)


def changelog(topic: str, partitions: Sequence[int]) -> dict[str, Any]:
    """Return ``{"settings": {...}, "offsets": {partition: (begin, end)}}``. Raises ``KafkaAway``.

    Begin is the first offset that is there, end the high watermark: between them lie records, transaction markers and
    the gaps that compaction left.
    """

    def ask() -> dict[str, Any]:
        settings = changelog_facts.settings_of(topic)
        places = [(topic, each) for each in partitions]
        try:
            topics = Topics({**kafka_settings(), "log_level": 2})
            ends, begins = topics.end_offsets(places), topics.begin_offsets(places)
        except (StatehouseError, KafkaException, OSError, ValueError) as error:
            raise KafkaAway(str(error)) from error
        return {"settings": settings, "offsets": {place[1]: (begins[place], ends[place]) for place in places}}

    return _changelogs.of((topic, *partitions), ask, KafkaAway)


def cleanable(begin: int | None, end: int | None, keys: int | None) -> dict[str, Any]:
    """Return how much of a changelog partition can be superseded at most: an estimate, for Kafka does not tell.

    ``slots`` are the offsets between begin and end. No more than one for each key of the store can be of use, so the others
    are superseded records, deletions, transaction markers, or gaps: what there is to clean is at most that.
    """
    slots = None if begin is None or end is None else max(end - begin, 0)
    beyond = None if slots is None or keys is None else max(slots - keys, 0)
    share = None if beyond is None or not slots else beyond / slots
    return {
        "begin": begin,
        "end": end,
        "slots": slots,
        "keys_estimate": keys,
        "beyond": beyond,
        "share": share,
        "share_percent": None if share is None else 100 * share,
    }
