"""How the service answers: JSON bodies, and one error shape whatever went wrong. Pure functions; any thread."""

import logging
from collections.abc import Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from engine.query import encoding
from engine.query.refusal import CODES, Refusal

_log = logging.getLogger(__name__)
_HTTP_CODES = {404: "not-found", 405: "method-not-allowed", 413: "too-large"}


def answered(body: Any, status: int = 200) -> Response:
    """Write `body` as the answer."""
    return Response(encoding.write(body), status, media_type="application/json")


def refused(refusal: Refusal, headers: Mapping[str, str] | None = None) -> Response:
    """Write why there is no answer; a retryable one says when to come back."""
    extra = {"retry-after": "1"} if refusal.retryable else {}
    return Response(
        encoding.write(refusal.body()), refusal.status, {**extra, **(headers or {})}, media_type="application/json"
    )


async def on_refusal(_request: Request, error: Exception) -> Response:
    """Starlette's handler for refusals raised by routes."""
    assert isinstance(error, Refusal)  # noqa: S101 (registered for this type only)
    return refused(error)


async def on_http_error(request: Request, error: Exception) -> Response:
    """Starlette's handler for paths and methods that do not exist."""
    assert isinstance(error, HTTPException)  # noqa: S101 (registered for this type only)
    code = _HTTP_CODES.get(error.status_code, "bad-request")
    return Response(
        encoding.write(Refusal(code, f"{request.method} {request.url.path[:200]}: {error.detail}").body()),
        CODES[code][0],
        error.headers,
        media_type="application/json",
    )


async def on_crash(request: Request, error: Exception) -> Response:
    """Starlette's handler for what nobody foresaw: the log has the trace, the reader a sentence without it."""
    _log.error("query.crashed %s %s", request.method, request.url.path, exc_info=error)
    name = type(error).__name__
    return refused(Refusal("internal", f"the instance failed to answer ({name}): see its log for this request"))
