"""Interactive queries: the HTTP service of an engine instance, the routing between instances, and the client.

`client` is for everyone, the console included; it knows HTTP only. `service` is started by the composition root. A
request's way: `auth` → `routes_*` → `params` → `fanout` or `routing` → `reader` here, or `forwarding` to the owner.
"""

from engine.query.client import AsyncQueryClient, QueryClient
from engine.query.results import Entry, Owner, Page, QueryError, Source

__all__ = ["AsyncQueryClient", "Entry", "Owner", "Page", "QueryClient", "QueryError", "Source"]
