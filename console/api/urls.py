"""URLs of the API, made from the route table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.http import JsonResponse
from django.urls import path

from console.access.policy import public

if TYPE_CHECKING:
    from django.http import HttpRequest


@public
def healthz(_request: HttpRequest) -> JsonResponse:
    """Say that the web part answers."""
    return JsonResponse({"status": "ok"})


urlpatterns = [path("healthz", healthz)]
