"""Who calls the API: a bearer token, or the session of a page (which then needs a CSRF token for what changes things)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.http import HttpResponse
from django.middleware.csrf import CsrfViewMiddleware

from console.access import roles

if TYPE_CHECKING:
    from django.contrib.auth.models import User
    from django.http import HttpRequest

_SCHEME = "bearer "


class CsrfFailed(Exception):
    """The session is right, the request is not from our pages."""


class _CsrfCheck(CsrfViewMiddleware):
    def _reject(self, request: HttpRequest, reason: str) -> str:
        del request
        return reason


def caller(request: HttpRequest) -> User | None:
    """Return who calls, or None. Raises ``CsrfFailed``.

    A request with an Authorization header is judged by that alone: a wrong token is not helped by a cookie.
    """
    header = request.headers.get("Authorization")
    if header is not None:
        if not header.lower().startswith(_SCHEME):
            return None
        return roles.user_of_token(header[len(_SCHEME) :].strip())
    user = request.user
    if not user.is_authenticated or not user.is_active:
        return None
    check = _CsrfCheck(lambda _request: HttpResponse())
    check.process_request(request)
    reason = check.process_view(request, HttpResponse, (), {})
    if reason:
        raise CsrfFailed(str(reason))
    return user
