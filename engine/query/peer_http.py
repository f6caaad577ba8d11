"""HTTP to the application's other instances: what `forwarding` speaks with, once there is anything to forward.

Apart from it, since httpx takes longer to import than all the rest of an instance, and one that has no other to ask never needs it.
"""

import contextlib
from collections.abc import Mapping
from typing import Any

import httpx
import orjson

from engine.query import limits
from engine.query.metadata import Member
from engine.query.refusal import Refusal, from_body


class PeerHttp:
    """A pool of connections to the application's other instances."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._client = httpx.AsyncClient(
            headers=headers,
            timeout=httpx.Timeout(limits.FORWARD_READ_SECONDS, connect=limits.FORWARD_CONNECT_SECONDS),
            limits=httpx.Limits(max_connections=limits.FORWARD_CONNECTIONS_MAX),
            # The address comes from the status topic: never follow it elsewhere, and no proxy from the environment.
            follow_redirects=False,
            trust_env=False,
        )

    async def ask(
        self,
        member: Member,
        path: str,
        parameters: Mapping[str, str],
        headers: Mapping[str, str],
        body: bytes | None = None,
    ) -> dict[str, Any]:
        """Put a question to `member`; raises its Refusal, or `no-owner` when it does not answer."""
        method = "GET" if body is None else "POST"
        url = f"{member.address}{path}"
        try:
            request = self._client.build_request(method, url, params=parameters, headers=headers, content=body)
            async with contextlib.aclosing(await self._client.send(request, stream=True)) as reply:
                answer = _parsed(await _bounded(reply))
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Refusal(
                "no-owner",
                f"instance {member.instance} at {member.address} does not answer ({type(error).__name__}): "
                "ask again once the group has moved its tasks",
                {"instance": member.instance, "address": member.address, "reason": "unreachable"},
            ) from error
        if reply.status_code == httpx.codes.UNAUTHORIZED:
            raise Refusal(
                "internal",
                f"instance {member.instance} refuses this instance's token: give all instances the same --token-file",
            )
        if reply.status_code != httpx.codes.OK or not isinstance(answer, dict):
            raise from_body(answer, reply.status_code)
        return answer

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


async def _bounded(reply: httpx.Response) -> bytes:
    """Read an answer, but no more of it than a page can have."""
    chunks: list[bytes] = []
    size = 0
    async for chunk in reply.aiter_bytes():
        size += len(chunk)
        if size > limits.FORWARD_ANSWER_BYTES_MAX:
            raise Refusal(
                "internal", f"the owner's answer exceeds {limits.FORWARD_ANSWER_BYTES_MAX} bytes: ask a smaller limit="
            )
        chunks.append(chunk)
    return b"".join(chunks)


def _parsed(raw: bytes) -> Any:
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
