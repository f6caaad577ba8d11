"""Reading snapshots: `GET /v1/snapshots/{snapshot}/entries`, with the parameters and the answer of a store's entries.

A snapshot's files lie in this instance's state directory (`engine.changelog.snapshot_files`). One thread opens them, reads
them and closes those that nobody has asked for in a while: a reader of the past never takes a thread from the present.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from engine.changelog import snapshot_files
from engine.changelog.snapshot_files import SnapshotFile
from engine.errors import ConfigError, StatehouseError
from engine.partitioning import partition_for
from engine.query import cursor as cursors
from engine.query import params, reader
from engine.query.answers import answered
from engine.query.cursor import Cursor
from engine.query.limits import (
    FILTER_ROWS_MAX,
    FILTER_SECONDS_MAX,
    PAGE_BYTES_MAX,
    SNAPSHOT_IDLE_SECONDS,
    SNAPSHOT_STORES_OPEN_MAX,
)
from engine.query.params import Question
from engine.query.refusal import Refusal, bad_request, not_found
from engine.query.routing import refuse_unplaced
from engine.serdes.windowed import placing_bytes
from engine.stores import open_store
from engine.topology.stores import StoreSpec


class _NoTask:
    """What a store sees of its task when there is none."""

    timestamp = -1

    def dropped(self, count: int) -> None:
        """Nothing is put, so nothing is dropped."""


@dataclass
class _Opened:
    """One partition of a snapshot, as the reader takes a store partition. `lag` is None: the past is not behind."""

    spec: StoreSpec
    partition: int
    position: int
    store: Any
    used_at: float
    role: str = "snapshot"
    lag: None = None

    def committed(self) -> Any:
        """The view of its rows."""
        return self.store.committed()


class Snapshots:
    """The snapshots below one application's directory.

    `specs` are the topology's stores: their serdes decode. `placing_topic` and `key_partitions` are the query service's:
    see `Instance`.
    """

    def __init__(
        self,
        application: Path,
        instance_id: str,
        specs: Callable[[], Mapping[str, StoreSpec]],
        placing_topic: Callable[[str], str | None],
        key_partitions: Callable[[str], int | None],
    ) -> None:
        self._application = application
        self._instance_id = instance_id
        self._specs = specs
        self._placing_topic = placing_topic
        self._key_partitions = key_partitions
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="snapshot-reader")
        self._opened: dict[tuple[str, int], _Opened] = {}

    def routes(self) -> list[Route]:
        """The route, for the query service."""
        return [Route("/v1/snapshots/{snapshot}/entries", self._entries, methods=["GET"])]

    def close(self) -> None:
        """Close what is open and end the thread."""
        self._thread.submit(self._close, time.monotonic() + SNAPSHOT_IDLE_SECONDS)
        self._thread.shutdown()

    async def _entries(self, request: Request) -> Response:
        loop = asyncio.get_running_loop()
        name, pairs = request.path_params["snapshot"], request.query_params.multi_items()
        page = await loop.run_in_executor(self._thread, self._page, name, pairs)
        # A deleted snapshot takes disk as long as its files are open.
        loop.call_later(SNAPSHOT_IDLE_SECONDS + 1, self._close_later)
        return answered(page)

    def _close_later(self) -> None:
        if not self._thread._shutdown:  # noqa: SLF001 - the pool says it nowhere else
            self._thread.submit(self._close, time.monotonic())

    def _page(self, snapshot: str, pairs: list[tuple[str, str]]) -> dict[str, Any]:
        described, spec = self._described(snapshot)
        question = params.parse(spec, pairs)
        entries: list[dict[str, Any]] = []
        sources: list[dict[str, Any]] = []
        following: Cursor | None = None
        size, scanned, until = 0, 0, time.monotonic() + FILTER_SECONDS_MAX
        spread = described.partition_count
        if question.exact is not None and question.partition is None:
            refuse_unplaced(question.store, self._placing_topic(question.store))
            # Topics may have got more partitions since.
            spread = min(spread, self._key_partitions(question.store) or spread)
        for partition in _partitions(question, described, placing_bytes(spec.key_serde, question.exact or b""), spread):
            looked_enough = sources and (scanned >= FILTER_ROWS_MAX or time.monotonic() > until)
            if (
                len(entries) >= question.limit
                or size >= PAGE_BYTES_MAX
                or (question.where is not None and looked_enough)
            ):
                following = Cursor(partition, None)
                break
            after = None
            if question.cursor is not None and question.cursor.partition == partition:
                after = question.cursor.after
            opened = self._open(snapshot, partition, spec, described)
            part = reader.page(self._instance_id, opened, question, question.limit - len(entries), after)
            entries += part.entries
            sources.append(part.source)
            size += part.size
            scanned += part.scanned
            if part.cursor is not None:
                following = part.cursor
                break
        written = cursors.write(following, question.digest) if following is not None else None
        page: dict[str, Any] = {"entries": entries, "cursor": written, "sources": sources}
        return page if question.where is None else {**page, "scanned": scanned}

    def _described(self, snapshot: str) -> tuple[SnapshotFile, StoreSpec]:
        try:
            described = snapshot_files.read(snapshot_files.directory_of(self._application, snapshot))
        except ConfigError as error:
            raise bad_request(str(error)) from error
        if described is None:
            raise not_found(f"snapshot {snapshot} does not lie at {self._instance_id}: it was deleted, or is elsewhere")
        live = self._specs().get(described.store)
        serdes = {} if live is None else {"key_serde": live.key_serde, "value_serde": live.value_serde}
        return described, described.spec().with_(**serdes)

    def _open(self, snapshot: str, partition: int, spec: StoreSpec, described: SnapshotFile) -> _Opened:
        self._close(time.monotonic())
        known = self._opened.pop((snapshot, partition), None)
        if known is None:
            while len(self._opened) >= SNAPSHOT_STORES_OPEN_MAX:
                self._opened.pop(next(iter(self._opened))).store.close()
            directory = snapshot_files.directory_of(self._application, snapshot) / str(partition)
            try:
                store = open_store(spec, directory, _NoTask(), read_only=True)
            except (StatehouseError, OSError) as error:
                raise Refusal(
                    "internal", f"the snapshot cannot be opened ({error}): delete it, take another"
                ) from error
            known = _Opened(spec, partition, described.positions[partition], store, 0.0)
        known.used_at = time.monotonic()
        self._opened[snapshot, partition] = known
        return known

    def _close(self, now: float) -> None:
        """Close what nobody has asked for lately; the least recently used come first."""
        for key, opened in list(self._opened.items()):
            if now - opened.used_at >= SNAPSHOT_IDLE_SECONDS:
                self._opened.pop(key).store.close()


def _partitions(question: Question, described: SnapshotFile, placing: bytes, spread: int) -> list[int]:
    """The partitions left to read, in the order of the answer; `placing` places a key among `spread` of them."""
    held = sorted(described.positions)
    if question.partition is not None:
        wanted = question.partition
    elif question.exact is not None:
        wanted = partition_for(placing, spread)
    else:
        order = held[::-1] if question.reverse else held
        if question.cursor is None:
            return order
        at = question.cursor.partition
        return [each for each in order if (each <= at if question.reverse else each >= at)]
    if wanted not in described.positions:
        of = ", ".join(map(str, held))
        raise bad_request(f"the snapshot is of partition {of}, and not of {wanted}: take one of that partition")
    return [wanted]
