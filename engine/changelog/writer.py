"""Takes the changelog records of a task's stores to the producer, and learns which position they bring each store to.

Step 1 of a commit. Owner: the loop; its thread only.
"""

from collections.abc import Callable, Iterable
from typing import Any, Protocol

from engine.stores.contract import ChangelogRecord


class ChangelogProducer(Protocol):
    """Where changelog records go."""

    def send_changelog(
        self,
        topic: str,
        partition: int,
        records: list[ChangelogRecord],
        acked: Callable[[int], None],
        headers: Any = None,
    ) -> None:
        """Queue records of one partition, values with `headers`; `acked` gets the last one's offset once delivered."""


class Logged(Protocol):
    """An open store with its changelog."""

    store: Any
    changelog: str | None
    logged: bool
    acked: int | None
    drained_total: int


def write(stores: Iterable[Logged], partition: int, producer: ChangelogProducer) -> int:
    """Drain every store into its changelog partition; returns the number of records."""
    total = 0
    for opened in stores:
        records = opened.store.drain_changelog()
        if not records or opened.changelog is None or not opened.logged:
            continue
        opened.acked = None
        producer.send_changelog(opened.changelog, partition, records, _acknowledge(opened), _headers(opened.store))
        opened.drained_total += len(records)
        total += len(records)
    return total


def _headers(store: Any) -> Any:
    """The headers that Kafka Streams gives every value of this kind of store (a suppress buffer's format version)."""
    return getattr(store.spec, "changelog_headers", None)


def _acknowledge(opened: Logged) -> Callable[[int], None]:
    def acked(offset: int) -> None:
        opened.acked = offset

    return acked
