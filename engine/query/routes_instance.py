"""Routes that describe: health, the instance's status, the topology, its stores, who owns a key. Event loop."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from engine.query.answers import answered
from engine.query.encoding import codec, serde_name
from engine.query.params import single_values
from engine.query.ports import StoreHandle
from engine.query.refusal import bad_request
from engine.query.routes_entries import spec_of
from engine.query.service_parts import Parts

_OWNER = frozenset({"key", "key_format", "partition"})


def routes(parts: Parts) -> list[Route]:
    """The describing routes."""
    described = InstanceRoutes(parts)
    return [
        Route("/healthz", described.health, methods=["GET"]),
        Route("/v1/instance", described.instance, methods=["GET"]),
        Route("/v1/topology", described.topology, methods=["GET"]),
        Route("/v1/stores", described.stores, methods=["GET"]),
        Route("/v1/stores/{store}/owner", described.owner, methods=["GET"]),
    ]


class InstanceRoutes:
    """The handlers; their state is the service's parts."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def health(self, _request: Request) -> Response:
        """Whether the process answers, for a load balancer; open, so it says nothing else."""
        return answered({"status": "ok", "state": self._parts.instance.state()})

    async def instance(self, _request: Request) -> Response:
        """The instance's newest status records."""
        return answered(dict(self._parts.instance.status()))

    async def topology(self, _request: Request) -> Response:
        """What the application computes."""
        return answered(dict(self._parts.instance.topology()))

    async def stores(self, _request: Request) -> Response:
        """The topology's stores with the copies at this instance."""
        copies: dict[str, list[StoreHandle]] = {}
        for handle in self._parts.instance.handles():
            copies.setdefault(handle.spec.name, []).append(handle)
        return answered(
            {
                "stores": [
                    {
                        "name": spec.name,
                        "kind": spec.kind,
                        "backend": spec.backend,
                        "key_serde": serde_name(spec.key_serde),
                        "value_serde": serde_name(spec.value_serde),
                        "partitions": [
                            _copy(each) for each in sorted(copies.get(spec.name, ()), key=lambda each: each.partition)
                        ],
                    }
                    for spec in self._parts.instance.specs().values()
                ]
            }
        )

    async def owner(self, request: Request) -> Response:
        """Who has a key or a partition; `active` is null while nobody is known to own it."""
        spec = spec_of(self._parts, request)
        given = single_values(request.query_params.multi_items(), _OWNER)
        if ("key" in given) == ("partition" in given):
            raise bad_request("give one of key= and partition=")
        if "key" in given:
            raw = codec(spec.key_serde, given.get("key_format"), "key_format").from_text(given["key"], "key")
            partition = self._parts.router.partition_of(spec.name, raw)
        elif given["partition"].isascii() and given["partition"].isdecimal():
            partition = self._parts.router.check_partition(spec.name, int(given["partition"]))
        else:
            raise bad_request("partition= must be a number")
        return answered(_ownership(self._parts, spec.name, partition))


def _ownership(parts: Parts, store: str, partition: int) -> dict[str, Any]:
    """What this instance knows of itself, before what the others last reported."""
    own = parts.instance.instance_id
    handle = parts.instance.handle(store, partition)
    active = parts.metadata.active(store, partition)
    replicas = [each for each in parts.metadata.copies(store, partition) if each.instance != own]
    task = handle.task if handle is not None else next((each.task for each in replicas), None)
    owner = active.instance if active is not None and active.instance != own else None
    if handle is not None and handle.role in {"active", "global"}:
        owner = own
    standbys = [each.instance for each in replicas if each.role == "standby"]
    if handle is not None and handle.role == "standby":
        standbys.append(own)
    return {
        "partition": partition,
        "task": task,
        "active": _who(parts, owner) if owner is not None else None,
        "standbys": [_who(parts, each) for each in sorted(standbys)],
    }


def _who(parts: Parts, instance: str) -> dict[str, Any]:
    if instance == parts.instance.instance_id:
        return {"instance": instance, "address": parts.address}
    member = parts.metadata.member(instance)
    return {"instance": instance, "address": member.address if member is not None else None}


def _copy(handle: StoreHandle) -> dict[str, Any]:
    return {
        "partition": handle.partition,
        "task": handle.task,
        "role": handle.role,
        "phase": handle.phase,
        "position": handle.position,
        "end": handle.end,
        "lag": handle.lag,
        "keys_estimate": handle.keys_estimate,
        "bytes": handle.bytes,
    }
