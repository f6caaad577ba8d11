"""One hop to another instance: the same question, put to the copy's holder with the shared token.

Owned by the service, used on its event loop only. A forwarded request carries FORWARDED and is answered from the
receiver's own copies or refused, so a question never travels twice.
"""

import asyncio
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from engine.query.metadata import Member

if TYPE_CHECKING:
    from engine.query.peer_http import PeerHttp

FORWARDED = "x-statehouse-forwarded"
# Whom a forwarded request is meant for: another process may have its address by now.
ADDRESSED = "x-statehouse-addressed"


def addressed(application_id: str, instance_id: str) -> str:
    """The value of ADDRESSED for one instance of one application, in ASCII."""
    return f"{quote(application_id, safe='')}/{quote(instance_id, safe='')}"


class Forwarder:
    """Asks other instances. Its connections are made for the first question."""

    def __init__(self, application_id: str, instance_id: str, token: str) -> None:
        self._application_id = application_id
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
        headers = {ADDRESSED: addressed(self._application_id, member.instance)}
        return await http.ask(member, path, parameters, headers, body)

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
