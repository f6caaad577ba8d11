"""The audit: one row for each action, written before the action. When it cannot be written, the action does not happen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib.auth.models import User

from console.models import NAME_LENGTH, AuditEntry

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser
    from django.http import HttpRequest


def write(
    user: User | AnonymousUser | None,
    action: str,
    *,
    via: str,
    address: str = "",
    application: str = "",
    store: str = "",
    parameters: dict[str, Any] | None = None,
    result: str = "accepted",
) -> AuditEntry:
    """Write one entry. Let the exception pass when this fails: the caller then must not act.

    Call it in the transaction that creates the job (or makes the change), so that both stand or neither.
    """
    known = user if isinstance(user, User) else None
    return AuditEntry.objects.create(
        user=known,
        username=known.get_username() if known else "",
        address=address[:60],
        via=via,
        action=action,
        application=application[:NAME_LENGTH],
        store=store[:NAME_LENGTH],
        parameters=parameters or {},
        result=result[:200],
    )


def address_of(request: HttpRequest) -> str:
    """Return the peer's address. Behind a proxy, uvicorn's ``--forwarded-allow-ips`` has already set the client's."""
    return str(request.META.get("REMOTE_ADDR", ""))
