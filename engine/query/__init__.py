"""Interactive queries: the HTTP service of an engine instance, the routing between instances, and the client.

`client` is for everyone, the console included; it knows HTTP only. `service` is started by the composition root. A
request's way: `auth` → `routes_*` → `params` → `fanout` or `routing` → `reader` here, or `forwarding` to the owner.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.query.client import AsyncQueryClient, QueryClient
    from engine.query.results import Entry, Owner, Page, QueryError, Source

# Imported when first asked for, as the engine's own names are: an instance needs no client, whose httpx is most of its import.
_MODULES = {
    "AsyncQueryClient": "engine.query.client",
    "Entry": "engine.query.results",
    "Owner": "engine.query.results",
    "Page": "engine.query.results",
    "QueryClient": "engine.query.client",
    "QueryError": "engine.query.results",
    "Source": "engine.query.results",
}

__all__ = ["AsyncQueryClient", "Entry", "Owner", "Page", "QueryClient", "QueryError", "Source"]


def __getattr__(name: str) -> Any:
    try:
        module = _MODULES[name]
    except KeyError:
        raise AttributeError(f"module 'engine.query' has no attribute {name!r}") from None
    return getattr(import_module(module), name)
