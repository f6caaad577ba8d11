"""Links to what engines have named. Status records are written by strangers: a name that fits no URL gets no link."""

from __future__ import annotations

from django.urls import NoReverseMatch, reverse


def to(page: str, *names: str) -> str:
    """Return the URL of a page, or nothing when a name cannot stand in one."""
    try:
        return reverse(page, args=names)
    except NoReverseMatch:
        return ""
