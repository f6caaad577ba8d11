"""The policy: which role may take which action, and the decorators that hold a view to it.

Every view declares its action with ``@requires("…")`` or says that it is ``@public``; a view that declares neither is
refused by the middleware, and a test over all URLs fails. Roles are Django groups of the same name.

    viewer ⊂ operator ⊂ admin
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import PermissionDenied
from django.utils.deprecation import MiddlewareMixin

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.contrib.auth.models import AnonymousUser, User
    from django.http import HttpRequest, HttpResponseBase

    View = Callable[..., HttpResponseBase]

ROLES = ("viewer", "operator", "admin")

# action -> the least role that may take it
ACTIONS: dict[str, str] = {
    "read-status": "viewer",
    "browse": "viewer",
    "read-jobs": "viewer",
    "own-account": "viewer",
    "export": "operator",
    "verify": "operator",
    "snapshot": "operator",
    "compact": "operator",
    "rebuild": "operator",
    "schedule": "operator",
    "cancel-job": "operator",
    "read-audit": "operator",
    "read-metrics": "viewer",
    "read-alerts": "viewer",
    "manage-alerts": "operator",
    "manage-users": "admin",
}
PUBLIC = "public"
# The view decides by what it is asked for (the kind of a job); it must call ``demand`` itself.
BY_ARGUMENT = "by-argument"
_ATTRIBUTE = "statehouse_action"


def role_of(user: User | AnonymousUser) -> str | None:
    """Return the highest role of the user, or None for someone who has none (and so may do nothing)."""
    if not user.is_authenticated or not user.is_active:
        return None
    if user.is_superuser:
        return "admin"
    names = set(user.groups.values_list("name", flat=True))
    return next((role for role in reversed(ROLES) if role in names), None)


def role_may(role: str | None, action: str) -> bool:
    """Say whether the role suffices. An action that is not in the table is a programming error."""
    least = ACTIONS[action]
    return role is not None and ROLES.index(role) >= ROLES.index(least)


def allowed(user: User | AnonymousUser, action: str, application: str | None = None, store: str | None = None) -> bool:
    """Say whether the user may take the action on the application and store (grants per resource come later)."""
    del application, store
    return role_may(role_of(user), action)


def demand(user: User | AnonymousUser, action: str, application: str | None = None, store: str | None = None) -> None:
    """Raise ``PermissionDenied`` unless the user may take the action."""
    if not allowed(user, action, application, store):
        raise PermissionDenied(
            f"Your role does not allow {action!r}; it takes the role {ACTIONS[action]!r}. Ask an admin."
        )


def requires(action: str) -> Callable[[View], View]:
    """Declare a view's action and refuse callers who may not take it (403; LoginRequiredMiddleware sends strangers to login)."""
    if action != BY_ARGUMENT and action not in ACTIONS:
        raise ValueError(f"{action!r} is not an action. Add it to console.access.policy.ACTIONS.")

    def decorate(view: View) -> View:
        @functools.wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if action != BY_ARGUMENT:
                demand(request.user, action, kwargs.get("app"), kwargs.get("store"))
            return view(request, *args, **kwargs)

        setattr(guarded, _ATTRIBUTE, action)
        return guarded

    return decorate


def public(view: View) -> View:
    """Declare a view open to everyone: login and health only."""
    opened = login_not_required(view)
    setattr(opened, _ATTRIBUTE, PUBLIC)
    return opened


def declare(view: View, action: str) -> View:
    """Record the action of a view that checks it by itself (the API does, to answer in its own error shape)."""
    setattr(view, _ATTRIBUTE, action)
    return view


def declared_action(view: View) -> str | None:
    """Return what the view declared, or None."""
    return getattr(view, _ATTRIBUTE, None)


class DeclaredActionMiddleware(MiddlewareMixin):
    """Refuses views that declared nothing: forgetting the decorator must not open a page."""

    def process_view(self, request: HttpRequest, view: View, _args: tuple[Any, ...], _kwargs: dict[str, Any]) -> None:
        """Raise for an undeclared view."""
        if declared_action(view) is None:
            raise PermissionDenied(f"The view behind {request.path} declares no action. Decorate it with @requires.")
