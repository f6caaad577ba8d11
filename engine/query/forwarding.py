"""One hop to another instance: the same question, put to the copy's holder with the shared token.

Owned by the service, used on its event loop only. A forwarded request carries FORWARDED and is answered from the
receiver's own copies or refused, so a question never travels twice.
"""

import asyncio
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from engine.query.metadata import Member

if TYPE_CHECKING:
    from engine.query.peer_http import PeerHttp

FORWARDED = "x-statehouse-forwarded"


class Forwarder:
    """Asks other instances. Its connections are made for the first question."""

    def __init__(self, instance_id: str, token: str) -> None:
        self._headers = {"authorization": f"Bearer {token}", FORWARDED: instance_id}
        self._http: PeerHttp | None = None

    async def ask(
        self,
        member: Member,
        path: str,
        parameters: Mapping[str, str],
        body: bytes | None = None,
    ) -> dict[str, Any]:
        """Put a question to `member`; raises its Refusal, or `no-owner` when it does not answer."""
        http = self._http or await self._open()
        return await http.ask(member, path, parameters, body)

    async def _open(self) -> "PeerHttp":
        # In a thread: the import must not hold up the questions beside it.
        module = await asyncio.to_thread(import_module, "engine.query.peer_http")
        if self._http is None:
            self._http = module.PeerHttp(self._headers)
        return self._http

    async def close(self) -> None:
        """Close the connections."""
        if self._http is not None:
            await self._http.close()
