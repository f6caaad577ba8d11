"""The gate of the service: a bearer token on every request, a bound on every body. Pure ASGI; the event loop's thread."""

import hmac

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engine.query.answers import refused
from engine.query.forwarding import ADDRESSED
from engine.query.limits import BODY_BYTES_MAX
from engine.query.refusal import Refusal

_OPEN = frozenset({"/healthz"})
_ADDRESSED = ADDRESSED.encode()


class TokenGate:
    """Lets through what carries the token; everything else but the health check is refused before it is routed.

    So is what another instance meant for somebody else than `identity`.
    """

    def __init__(self, app: ASGIApp, token: str, identity: str) -> None:
        self._app = app
        self._expected = b"Bearer " + token.encode()
        self._identity = identity.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check one request."""
        if scope["type"] != "http":
            return
        given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        # compare_digest takes the same time wherever two tokens differ.
        if scope["path"] not in _OPEN and not hmac.compare_digest(given, self._expected):
            refusal = Refusal("unauthorized", "send the header 'Authorization: Bearer <token>' with the engine's token")
            await refused(refusal, {"www-authenticate": "Bearer"})(scope, receive, send)
            return
        meant_for = next((value for name, value in scope["headers"] if name == _ADDRESSED), self._identity)
        if meant_for != self._identity:
            refusal = Refusal(
                "no-owner",
                f"the instance that was asked is gone, and {self._identity.decode()} has its address: ask again",
                {"reason": "another instance"},
            )
            await refused(refusal)(scope, receive, send)
            return
        await self._app(scope, _Bounded(receive), send)


class _Bounded:
    """A request body that ends in a refusal once it is too long."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._size = 0

    async def __call__(self) -> Message:
        message = await self._receive()
        self._size += len(message.get("body", b""))
        if self._size > BODY_BYTES_MAX:
            raise Refusal("too-large", f"the body exceeds {BODY_BYTES_MAX} bytes: ask fewer keys at a time")
        return message
