"""How copies of a store lie on disk or in memory: RocksDB's own figures, asked of the owners on demand.

The route runs on the service's event loop; figures are read on its threads, for they touch files' metadata. A partition
that did not answer is in `sources` with its error, as in a page of entries.
"""

import asyncio
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from engine.query import limits, reader
from engine.query.answers import answered
from engine.query.fanout import bounded_gather, refused_source
from engine.query.metadata import Member
from engine.query.params import number, single_values
from engine.query.ports import StoreHandle
from engine.query.refusal import Refusal
from engine.query.routes_entries import is_local, spec_of
from engine.query.routing import Ask
from engine.query.service_parts import Parts

_PARAMETERS = frozenset({"partition", "from", "limit", "local", "max_lag"})


def routes(parts: Parts) -> list[Route]:
    """The route."""
    return [Route("/v1/stores/{store}/rocksdb", StorageRoute(parts).storage, methods=["GET"])]


class StorageRoute:
    """The handler; its state is the service's parts."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def storage(self, request: Request) -> Response:
        """One line a partition, of its owner's copy; `next` is the partition that further ones begin with."""
        spec = spec_of(self._parts, request)
        given = single_values(request.query_params.multi_items(), _PARAMETERS)
        partition, local, router = number(given, "partition", minimum=0), is_local(request, given), self._parts.router
        limit = number(given, "limit", minimum=1, maximum=limits.STORAGE_PARTITIONS_MAX)
        limit = limit or limits.STORAGE_PARTITIONS_DEFAULT
        if partition is not None:
            partitions = [router.check_partition(spec.name, partition)]
        else:
            held = router.held_here(spec.name) if local else range(router.partition_count(spec.name))
            first = number(given, "from", minimum=0) or 0
            partitions = [each for each in held if each >= first]
        max_lag = number(given, "max_lag", minimum=0)
        self._parts.queries.add()
        found = await bounded_gather(
            lambda each=each: self._of(spec.name, each, local=local, max_lag=max_lag)  # type: ignore[misc]
            for each in partitions[:limit]
        )
        return answered(
            {
                "copies": [copy for copy, _ in found if copy is not None],
                "sources": [source for _, source in found],
                "next": partitions[limit] if len(partitions) > limit else None,
            }
        )

    async def _of(
        self, store: str, partition: int, *, local: bool, max_lag: int | None
    ) -> tuple[dict[str, Any] | None, dict[str, Any]]:
        instance_id = self._parts.instance.instance_id

        async def read_here(handle: StoreHandle) -> tuple[dict[str, Any], dict[str, Any]]:
            loop = asyncio.get_running_loop()
            shown = await loop.run_in_executor(self._parts.threads, copy_of, instance_id, handle)
            return shown, reader.source(instance_id, handle)

        async def ask_there(member: Member) -> tuple[dict[str, Any], dict[str, Any]]:
            parameters = {"partition": str(partition), "local": "true"}
            if max_lag is not None:
                parameters["max_lag"] = str(max_lag)
            answer = await self._parts.forwarder.ask(member, f"/v1/stores/{store}/rocksdb", parameters)
            source = answer["sources"][0]
            if source["error"] is not None:
                raise Refusal(source["error"]["code"], source["error"]["message"])
            return answer["copies"][0], source

        try:
            ask = Ask(store, partition, read_here, ask_there, max_lag=max_lag, local=local)
            return await self._parts.router.answer(ask)
        except Refusal as refusal:
            return None, refused_source(partition, refusal)


def copy_of(instance: str, handle: StoreHandle) -> dict[str, Any]:
    """One copy: `rocksdb` is null for a store in memory, whose bound is `max_bytes` (null: none)."""
    spec = handle.spec
    return {
        "partition": handle.partition,
        "task": handle.task,
        "instance": instance,
        "role": handle.role,
        "backend": spec.backend,
        "bytes": handle.bytes,
        "keys_estimate": handle.keys_estimate,
        "max_bytes": spec.max_bytes,
        "rocksdb": handle.rocksdb(),
    }
