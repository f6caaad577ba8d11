"""Who a session belongs to, asked anew: for sockets, whose rights may end while they are open."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from django.conf import settings
from django.contrib.auth import get_user
from django.http import HttpRequest

if TYPE_CHECKING:
    from django.contrib.auth.models import User


def user_of(session_key: str | None) -> User | None:
    """Return the session's user from the database: None after sign-out, a changed password, or expiry.

    Synchronous. Django's own ``get_user`` does the checks (the session's hash of the password included).
    """
    if not session_key:
        return None
    store = import_module(settings.SESSION_ENGINE).SessionStore(session_key)
    request = HttpRequest()
    request.session = store
    user = get_user(request)
    return user if user.is_authenticated and user.is_active else None
