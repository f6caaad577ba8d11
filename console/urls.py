"""All URLs: the API, health and metrics, and the pages."""

from __future__ import annotations

from django.urls import include, path

urlpatterns = [
    path("", include("console.api.urls")),
    path("", include("console.pages.urls")),
]
