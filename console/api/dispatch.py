"""From an HTTP request to a handler and back: who calls, may they, what did they send, one error shape.

Every API view is made here from the routes of one path. Handlers get a ``Call`` and return a dictionary, or
(status, dictionary), or a finished response.
"""

from __future__ import annotations

import json
import logging
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict

from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.http import HttpResponseBase, JsonResponse
from django.http.request import RawPostDataException
from django.views.decorators.csrf import csrf_exempt

from console import limits
from console.access import audit, policy
from console.access.authentication import CsrfFailed, caller
from console.api.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.contrib.auth.models import User
    from django.http import HttpRequest

    Answer = dict[str, Any] | tuple[int, dict[str, Any]] | HttpResponseBase
    Handler = Callable[["Call"], Answer]

logger = logging.getLogger(__name__)

_NUMBER = re.compile(r"\d{1,18}")


@dataclass(frozen=True, slots=True)
class Route:
    """One method on one path. ``parameters`` are (name, where, type, words); ``answer`` names an OpenAPI schema."""

    method: str
    path: str
    action: str
    handler: Handler
    summary: str
    parameters: tuple[tuple[str, str], ...] = ()
    answer: str = "Object"
    body: str | None = None
    status: int = 200


class Origin(TypedDict):
    """Where a command came from, as those who carry it out take it."""

    via: str
    address: str


@dataclass(frozen=True, slots=True)
class Call:
    """What a handler gets."""

    request: HttpRequest
    user: User
    path: dict[str, str]
    query: dict[str, str]

    def body(self) -> dict[str, Any]:
        """Return the JSON object that was sent."""
        try:
            raw = self.request.body
        except (RequestDataTooBig, RawPostDataException) as error:
            raise ApiError("too-large", f"The body is larger than {limits.REQUEST_BODY_BYTES_MAX:,} bytes.") from error
        try:
            found = json.loads(raw)
        except (ValueError, RecursionError) as error:
            raise ApiError("bad-request", f"The body is not JSON: {error}.") from error
        if not isinstance(found, dict):
            raise ApiError("bad-request", "The body must be a JSON object.")
        return found

    @property
    def origin(self) -> Origin:
        """What the audit notes of where the request came from."""
        return {"via": "api", "address": audit.address_of(self.request)}

    def number(self, name: str, default: int, highest: int) -> int:
        """Return a whole number of the query, bounded."""
        text = self.query.get(name)
        if text is None:
            return default
        if not _NUMBER.fullmatch(text):
            raise ApiError("bad-request", f"{name}={text[:40]!r} is not a whole number from 0 on.")
        if int(text) > highest:
            raise ApiError("bad-request", f"{name}={text} is too large; the most is {highest}.")
        return int(text)


def view(routes: list[Route]) -> Callable[..., HttpResponseBase]:
    """Return the view of one path: its routes by method."""
    by_method = {route.method: route for route in routes}

    @csrf_exempt
    @login_not_required
    def api_view(request: HttpRequest, **path: str) -> HttpResponseBase:
        # Exempt from the middlewares' checks because `caller` does them, in the API's own error shape.
        try:
            return _answer(request, by_method, path)
        except ApiError as error:
            return error.response()
        except PermissionDenied as error:
            return ApiError("forbidden", str(error)).response()
        except Exception:
            logger.exception("api-failed %s %s", request.method, request.path)
            return ApiError("internal", "Something went wrong; the console's log says what.").response()

    return policy.declare(api_view, routes[0].action)


def _answer(request: HttpRequest, by_method: dict[str, Route], path: dict[str, str]) -> HttpResponseBase:
    try:
        user = caller(request)
    except CsrfFailed as error:
        raise ApiError("csrf", f"{error} Send the X-CSRFToken header, or use a bearer token.") from error
    if user is None:
        raise ApiError("unauthorized", "Sign in, or send a token: Authorization: Bearer <token>.")
    method = "GET" if request.method == "HEAD" else str(request.method)
    route = by_method.get(method)
    if route is None:
        refused = ApiError("method-not-allowed", f"Use {' or '.join(sorted(by_method))} here.").response()
        refused.headers["Allow"] = ", ".join(sorted(by_method))
        return refused
    if route.action != policy.BY_ARGUMENT:
        policy.demand(user, route.action, path.get("app"), path.get("store"))
    repeated = [name for name, values in request.GET.lists() if len(values) > 1]
    if repeated:
        raise ApiError("bad-request", f"The parameter {repeated[0][:40]!r} is given more than once.")
    answer = route.handler(Call(request, user, path, request.GET.dict()))
    if isinstance(answer, HttpResponseBase):
        return answer
    status, body = answer if isinstance(answer, tuple) else (route.status, answer)
    return JsonResponse(body, status=status)
