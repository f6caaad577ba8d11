"""The self-check page: the checks in their order, what is wrong and what to do. Drawn at once, made when asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from console.access.policy import requires
from console.health import self_check
from console.observe import snapshot
from console.pages import copy_as, shell

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse


@requires("read-status")
def health(request: HttpRequest) -> HttpResponse:
    """Draw the page; with ``run=1`` the checks are made first, which may take seconds."""
    run = request.GET.get("run") == "1"
    context = {
        "found": self_check.outcome() if run else None,
        "planned": [check.name for check in self_check.CHECKS],
        "copies": copy_as.read(request, "/api/v1/self-check", {}, "self_check"),
    }
    return shell.page(request, "pages/health.html", snapshot.rail(), context, section="health")
