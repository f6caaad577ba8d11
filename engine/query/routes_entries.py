"""Routes that read entries: pages, multi-get, approximate counts. Run on the service's event loop."""

import asyncio
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from engine.query import params, reader
from engine.query.answers import answered
from engine.query.encoding import codec, exact
from engine.query.fanout import bounded_gather, part_of, refused_source
from engine.query.forwarding import FORWARDED
from engine.query.limits import INLINE_READS_MAX, MULTI_GET_KEYS_MAX
from engine.query.metadata import Member
from engine.query.params import flag, number, single_values
from engine.query.ports import StoreHandle
from engine.query.reader import Part
from engine.query.refusal import Refusal, bad_request, not_found
from engine.query.routing import Ask
from engine.query.service_parts import Parts
from engine.topology.stores import StoreSpec

_MULTI_GET = frozenset({"partition", "local", "max_lag", "key_format", "value_format"})
_COUNT = frozenset({"partition", "local", "max_lag"})


def routes(parts: Parts) -> list[Route]:
    """The routes below `/v1/stores/{store}` that read entries."""
    reads = EntryRoutes(parts)
    return [
        Route("/v1/stores/{store}/entries", reads.entries, methods=["GET"]),
        Route("/v1/stores/{store}/multi-get", reads.multi_get, methods=["POST"]),
        Route("/v1/stores/{store}/count", reads.count, methods=["GET"]),
    ]


def spec_of(parts: Parts, request: Request) -> StoreSpec:
    """The store that the path names; refuses one that the topology does not have."""
    name = request.path_params["store"]
    specs = parts.instance.specs()
    if name not in specs:
        known = ", ".join(sorted(specs)) or "none"
        raise not_found(f"application {parts.instance.application_id} has no store {name[:60]!r}: it has {known}")
    return specs[name]


def is_local(request: Request, given: dict[str, str]) -> bool:
    """Whether only this instance may answer: as asked, and always for a request that has been forwarded once."""
    return flag(given, "local") or FORWARDED in request.headers


class EntryRoutes:
    """The handlers; their state is the service's parts."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def entries(self, request: Request) -> Response:
        """One page of a store."""
        question = params.parse(spec_of(self._parts, request), request.query_params.multi_items())
        if FORWARDED in request.headers and not question.local:
            raise bad_request(f"a request with the header {FORWARDED} must say local=true")
        self._parts.queries.add()
        return answered(await self._parts.pages.answer(question))

    async def multi_get(self, request: Request) -> Response:
        """Several keys in one question, answered in their order."""
        spec = spec_of(self._parts, request)
        if spec.kind not in {"key-value", "versioned"}:
            raise bad_request(f"multi-get needs a key-value or versioned store; {spec.name} is a {spec.kind} store")
        given = single_values(request.query_params.multi_items(), _MULTI_GET)
        keys = _keys(await request.body())
        key_codec = codec(spec.key_serde, given.get("key_format"), "key_format")
        raw = [key_codec.from_json(key, f"keys[{index}]") for index, key in enumerate(keys)]
        fixed = number(given, "partition", minimum=0)
        router = self._parts.router
        wanted: dict[int, list[int]] = {}
        for index, key in enumerate(raw):
            partition = router.partition_of(spec.name, key) if fixed is None else fixed
            wanted.setdefault(router.check_partition(spec.name, partition), []).append(index)
        local, max_lag = is_local(request, given), number(given, "max_lag", minimum=0)
        lookup = _Lookup(self._parts, spec, given, keys, raw)
        self._parts.queries.add(len(keys))
        found = await bounded_gather(
            lambda partition=partition, indices=indices: lookup.of(partition, indices, local=local, max_lag=max_lag)  # type: ignore[misc]
            for partition, indices in sorted(wanted.items())
        )
        entries: list[Any] = [None] * len(keys)
        for indices, part in zip((indices for _, indices in sorted(wanted.items())), found, strict=True):
            for index, entry in zip(indices, part.entries, strict=True):
                entries[index] = entry
        return answered({"entries": entries, "sources": [part.source for part in found]})

    async def count(self, request: Request) -> Response:
        """About how many keys a store has; partitions that did not answer are named, not counted as 0."""
        spec = spec_of(self._parts, request)
        given = single_values(request.query_params.multi_items(), _COUNT)
        partition, local = number(given, "partition", minimum=0), is_local(request, given)
        router = self._parts.router
        if partition is not None:
            partitions = [router.check_partition(spec.name, partition)]
        else:
            partitions = router.held_here(spec.name) if local else list(range(router.partition_count(spec.name)))
        max_lag = number(given, "max_lag", minimum=0)
        self._parts.queries.add()
        counted = await bounded_gather(
            lambda each=each: self._count_of(spec, each, local=local, max_lag=max_lag)  # type: ignore[misc]
            for each in partitions
        )
        known = [source["count"] for source in counted if source.get("count") is not None]
        return answered(
            {
                "approximate": sum(known) if known or not counted else None,
                "complete": len(known) == len(counted),
                "sources": counted,
            }
        )

    async def _count_of(self, spec: StoreSpec, partition: int, *, local: bool, max_lag: int | None) -> dict[str, Any]:
        async def read_here(handle: StoreHandle) -> dict[str, Any]:
            return {**reader.source(self._parts.instance.instance_id, handle), "count": handle.keys_estimate}

        async def ask_there(member: Member) -> dict[str, Any]:
            parameters = {"partition": str(partition), "local": "true"}
            if max_lag is not None:
                parameters["max_lag"] = str(max_lag)
            answer = await self._parts.forwarder.ask(member, f"/v1/stores/{spec.name}/count", parameters)
            source: dict[str, Any] = answer["sources"][0]
            if source["error"] is not None:
                raise Refusal(source["error"]["code"], source["error"]["message"])
            return source

        try:
            return await self._parts.router.answer(
                Ask(spec.name, partition, read_here, ask_there, max_lag=max_lag, local=local)
            )
        except Refusal as refusal:
            return {**refused_source(partition, refusal), "count": None}


class _Lookup:
    """The keys of one multi-get, read partition by partition."""

    def __init__(self, parts: Parts, spec: StoreSpec, given: dict[str, str], keys: list[Any], raw: list[bytes]) -> None:
        self._parts = parts
        self._spec = spec
        self._given = given
        self._keys = keys
        self._raw = raw
        self._key_codec = codec(spec.key_serde, given.get("key_format"), "key_format")
        self._value_codec = codec(spec.value_serde, given.get("value_format"), "value_format")

    async def of(self, partition: int, indices: list[int], *, local: bool, max_lag: int | None) -> Part:
        """Read the keys at `indices`; a partition that refuses gives entries of which nothing is known."""
        instance_id = self._parts.instance.instance_id
        raw = [self._raw[index] for index in indices]

        async def read_here(handle: StoreHandle) -> Part:
            arguments = (instance_id, handle, raw, self._key_codec, self._value_codec)
            if len(raw) <= INLINE_READS_MAX:
                return reader.lookups(*arguments)
            return await asyncio.get_running_loop().run_in_executor(self._parts.threads, reader.lookups, *arguments)

        async def ask_there(member: Member) -> Part:
            body = exact({"keys": [self._keys[index] for index in indices]})
            parameters = {**self._given, "partition": str(partition), "local": "true"}
            path = f"/v1/stores/{self._spec.name}/multi-get"
            answer = part_of(await self._parts.forwarder.ask(member, path, parameters, body))
            if answer.source["error"] is not None:
                raise Refusal(answer.source["error"]["code"], answer.source["error"]["message"])
            if len(answer.entries) != len(indices):
                raise Refusal("internal", "the owner answered another number of keys: run the same version everywhere")
            return answer

        try:
            return await self._parts.router.answer(
                Ask(self._spec.name, partition, read_here, ask_there, max_lag=max_lag, local=local)
            )
        except Refusal as refusal:
            unknown = [reader.absent(self._key_codec.to_json(key), partition, found=None) for key in raw]
            return Part(unknown, refused_source(partition, refusal))


def _keys(body: bytes) -> list[Any]:
    try:
        # orjson would make floats of integers beyond 64 bits, and ask for other keys.
        keys = msgspec.json.decode(body)["keys"]
    except (msgspec.DecodeError, TypeError, KeyError, RecursionError) as error:
        raise bad_request('the body must be JSON: {"keys": [...]}') from error
    if not isinstance(keys, list) or len(keys) > MULTI_GET_KEYS_MAX:
        raise bad_request(f"keys must be a list of at most {MULTI_GET_KEYS_MAX} keys")
    return keys
