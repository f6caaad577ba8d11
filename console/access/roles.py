"""Accounts, roles and API tokens: made here, by commands and by the pages for admins."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import TYPE_CHECKING

from django.contrib.auth.models import Group, User
from django.db import transaction
from django.utils import timezone

from console.access.policy import ROLES
from console.models import ApiToken

if TYPE_CHECKING:
    from collections.abc import Iterable

TOKEN_PREFIX = "shc_"  # noqa: S105 - so that secret scanners can find a leaked one; not a secret itself
# `last_used_at` is for people who clean up; writing it at each call would make every read a write.
LAST_USED_SECONDS = 60


def digest(token: str) -> str:
    """Return the form in which a token is kept."""
    return hashlib.sha256(token.encode()).hexdigest()


def new_token() -> str:
    """Return a fresh bearer token; it is shown once and kept only as a digest."""
    return TOKEN_PREFIX + secrets.token_urlsafe(32)


def ensure_groups(names: Iterable[str] = ROLES) -> None:
    """Make the groups that are the roles."""
    for name in names:
        Group.objects.get_or_create(name=name)


@transaction.atomic
def ensure_account(username: str, role: str, password: str | None = None, token: str | None = None) -> User:
    """Make the account as described, or bring it to that; doing it twice changes nothing.

    The password and token are set only when given. Raises ``ValueError`` for an unknown role.
    """
    if role not in ROLES:
        raise ValueError(f"{role!r} is not a role. Use one of {', '.join(ROLES)}.")
    ensure_groups()
    user, _ = User.objects.get_or_create(username=username)
    if password is not None and not user.check_password(password):
        user.set_password(password)
    elif not user.password:
        user.set_unusable_password()
    user.is_active = True
    user.save()
    user.groups.set([Group.objects.get(name=role)])
    if token is not None:
        kept, _ = ApiToken.objects.get_or_create(
            digest=digest(token), defaults={"user": user, "name": f"{username}'s token"}
        )
        if kept.user_id != user.pk or kept.revoked_at is not None:
            raise ValueError("This token belongs to another account or was revoked. Generate a new one.")
    return user


def user_of_token(token: str) -> User | None:
    """Return the active owner of a live token, or None."""
    if not token.startswith(TOKEN_PREFIX) and len(token) < 20:  # noqa: PLR2004 - shorter ones were never ours
        return None
    wanted = digest(token)
    kept = ApiToken.objects.select_related("user").filter(digest=wanted, revoked_at__isnull=True).first()
    if kept is None or not hmac.compare_digest(kept.digest, wanted) or not kept.user.is_active:
        return None
    now = timezone.now()
    if kept.last_used_at is None or (now - kept.last_used_at).total_seconds() > LAST_USED_SECONDS:
        ApiToken.objects.filter(pk=kept.pk).update(last_used_at=now)
    return kept.user
