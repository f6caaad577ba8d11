"""The largest entries of a store, as far as a bounded look goes: the route, and the reading of one partition.

No index knows sizes, so rows are walked from the beginning and the largest kept; the answer says how many of how many
were looked at. Values are not decoded and not sent. The route runs on the service's event loop, reading on its threads.
"""

import asyncio
import heapq
import time
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from engine.query import limits, reader
from engine.query.answers import answered
from engine.query.encoding import Codec, codec
from engine.query.fanout import bounded_gather, refused_source
from engine.query.metadata import Member
from engine.query.params import number, single_values
from engine.query.ports import Scan, StoreHandle
from engine.query.refusal import Refusal
from engine.query.routes_entries import is_local, spec_of
from engine.query.routing import Ask
from engine.query.service_parts import Parts
from engine.query.views import view_of
from engine.stores.contract import CommittedRow
from engine.topology.stores import StoreSpec

_PARAMETERS = frozenset({"partition", "limit", "rows", "local", "max_lag", "key_format"})
_CHUNK_ROWS = 1_000


def routes(parts: Parts) -> list[Route]:
    """The route."""
    return [Route("/v1/stores/{store}/largest", LargestRoute(parts).largest, methods=["GET"])]


class LargestRoute:
    """The handler; its state is the service's parts."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def largest(self, request: Request) -> Response:
        """The largest entries among those looked at, the largest first."""
        spec = spec_of(self._parts, request)
        given = single_values(request.query_params.multi_items(), _PARAMETERS)
        limit = number(given, "limit", minimum=1, maximum=limits.LARGEST_ENTRIES_MAX) or limits.LARGEST_ENTRIES_DEFAULT
        partition, local, router = number(given, "partition", minimum=0), is_local(request, given), self._parts.router
        if partition is not None:
            partitions = [router.check_partition(spec.name, partition)]
        else:
            partitions = router.held_here(spec.name) if local else list(range(router.partition_count(spec.name)))
        share = max(limits.LARGEST_ROWS_MAX // max(len(partitions), 1), limits.LARGEST_PARTITION_ROWS_MIN)
        rows = number(given, "rows", minimum=1, maximum=limits.LARGEST_ROWS_MAX) or share
        keys = codec(spec.key_serde, given.get("key_format"), "key_format")
        look = _Look(self._parts, spec, keys, limit, rows, given.get("key_format"))
        max_lag = number(given, "max_lag", minimum=0)
        self._parts.queries.add()
        parts = await bounded_gather(
            lambda each=each: look.of(each, local=local, max_lag=max_lag)  # type: ignore[misc]
            for each in partitions
        )
        entries = sorted((entry for part in parts for entry in part["entries"]), key=lambda each: -each["size"])
        sources = [part["source"] for part in parts]
        estimates = [source["count"] for source in sources]
        return answered(
            {
                "entries": entries[:limit],
                "scanned": sum(source["scanned"] or 0 for source in sources),
                "approximate": sum(estimates) if estimates and None not in estimates else None,
                "complete": all(source["complete"] for source in sources),
                "sources": sources,
            }
        )


class _Look:
    """One question, put to partition after partition."""

    def __init__(
        self, parts: Parts, spec: StoreSpec, keys: Codec, limit: int, rows: int, key_format: str | None
    ) -> None:
        self._parts, self._spec, self._keys = parts, spec, keys
        self._limit, self._rows, self._key_format = limit, rows, key_format

    async def of(self, partition: int, *, local: bool, max_lag: int | None) -> dict[str, Any]:
        """Look through one partition; a refusal is its source's error, never an empty answer."""
        instance_id = self._parts.instance.instance_id

        async def read_here(handle: StoreHandle) -> dict[str, Any]:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(
                self._parts.threads, largest_of, instance_id, handle, self._keys, self._limit, self._rows
            )

        async def ask_there(member: Member) -> dict[str, Any]:
            parameters = {"partition": partition, "local": "true", "limit": self._limit, "rows": self._rows}
            if max_lag is not None:
                parameters["max_lag"] = max_lag
            if self._key_format is not None:
                parameters["key_format"] = self._key_format
            texts = {name: str(value) for name, value in parameters.items()}
            answer = await self._parts.forwarder.ask(member, f"/v1/stores/{self._spec.name}/largest", texts)
            source = answer["sources"][0]
            if source["error"] is not None:
                raise Refusal(source["error"]["code"], source["error"]["message"])
            return {"entries": answer["entries"], "source": source}

        try:
            ask = Ask(self._spec.name, partition, read_here, ask_there, max_lag=max_lag, local=local)
            return await self._parts.router.answer(ask)
        except Refusal as refusal:
            unknown = {"scanned": None, "complete": False, "count": None}
            return {"entries": [], "source": {**refused_source(partition, refusal), **unknown}}


def largest_of(instance: str, handle: StoreHandle, keys: Codec, limit: int, rows_max: int) -> dict[str, Any]:
    """Walk a partition's rows, at most `rows_max` of them and for a second, and keep the `limit` largest values."""
    answered_by = reader.source(instance, handle)
    view = view_of(handle.spec.kind, handle.committed())
    kept: list[tuple[int, int, CommittedRow]] = []
    scanned, after, until = 0, None, time.monotonic() + limits.LARGEST_SECONDS_MAX
    complete = False
    while scanned < rows_max and time.monotonic() < until:
        wanted = min(_CHUNK_ROWS, rows_max - scanned)
        rows, more = view.scan(Scan(lower=None, upper=None, limit=wanted, bytes_max=limits.PAGE_BYTES_MAX, after=after))
        for row in rows:
            scanned += 1
            # Of equals the first stays: `scanned` never repeats, so rows themselves are not compared.
            item = (len(row.value), -scanned, row)
            if len(kept) < limit:
                heapq.heappush(kept, item)
            elif item > kept[0]:
                heapq.heapreplace(kept, item)
        if not more or not rows:
            complete = True
            break
        after = rows[-1].cursor
    entries = [_shown(row, handle, keys) for _, _, row in sorted(kept, reverse=True)]
    source = {**answered_by, "scanned": scanned, "complete": complete, "count": handle.keys_estimate}
    return {"entries": entries, "source": source}


def _shown(row: CommittedRow, handle: StoreHandle, keys: Codec) -> dict[str, Any]:
    bounds = {"start": row.start, "end": row.end}
    return {
        "key": keys.to_json(row.key),
        "size": len(row.value),
        "timestamp": row.timestamp,
        "partition": handle.partition,
        "window": bounds if handle.spec.kind == "window" else None,
        "session": bounds if handle.spec.kind == "session" else None,
    }
