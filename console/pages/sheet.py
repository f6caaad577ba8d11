"""The style sheet of every page: the sheets of ``static/css`` in one, since each request holds the first paint up."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from django.conf import settings
from django.http import HttpResponse
from django.urls import reverse
from django.views.decorators.gzip import gzip_page

from console.access.policy import public

if TYPE_CHECKING:
    from django.http import HttpRequest

# In this order: later sheets may build on the rules of earlier ones.
NAMES = (
    "tokens",
    "base",
    "tables",
    "controls",
    "dialogs",
    "parts",
    "strip",
    "store",
    "pages",
    "past",
    "alerts",
    "timeline",
    "flow",
)
_FOR_EVER = "max-age=315360000, public, immutable"


@public
@gzip_page
def sheet(_request: HttpRequest, version: str) -> HttpResponse:
    """Answer the sheet; kept for ever by who asked for the version that there is."""
    is_known = version == settings.STATIC_VERSION and not settings.STATIC_MOVES
    headers = {"Cache-Control": _FOR_EVER if is_known else "no-cache"}
    return HttpResponse(_read() if settings.STATIC_MOVES else _kept(), content_type="text/css", headers=headers)


def address() -> str:
    """Return the address of the sheet."""
    return reverse("sheet", args=[settings.STATIC_VERSION])


def _read() -> str:
    return "\n".join((settings.BASE_DIR / "static" / "css" / f"{name}.css").read_text("utf-8") for name in NAMES)


_kept = functools.cache(_read)
