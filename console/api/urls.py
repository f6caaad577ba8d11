"""URLs of the API, made from the table of routes; and ``/healthz``, which is open."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.http import JsonResponse
from django.urls import path, re_path
from django.views.decorators.http import require_safe

from console.access.policy import public
from console.api.dispatch import Route, view
from console.api.errors import ApiError
from console.api.routes import ROUTES

if TYPE_CHECKING:
    from django.http import HttpRequest
    from django.urls import URLPattern

    from console.api.dispatch import Call


@public
@require_safe
def healthz(_request: HttpRequest) -> JsonResponse:
    """Say that the web part answers. It says nothing else: it is open."""
    return JsonResponse({"status": "ok"})


def _unknown(call: Call) -> dict[str, Any]:
    """Answer for what is not in the table."""
    raise ApiError("not-found", f"There is no {call.request.path[:200]}. See /api/v1/openapi.json.")


def _patterns() -> list[URLPattern]:
    by_path: dict[str, list[Any]] = {}
    for route in ROUTES:
        by_path.setdefault(route.path, []).append(route)
    return [
        path(template.lstrip("/").replace("{", "<str:").replace("}", ">"), view(routes))
        for template, routes in by_path.items()
    ]


_NOT_FOUND = [
    Route(method, "/api/", "read-status", _unknown, "Nothing") for method in ("GET", "POST", "PUT", "PATCH", "DELETE")
]
urlpatterns = [*_patterns(), path("healthz", healthz), re_path(r"^api/", view(_NOT_FOUND))]
