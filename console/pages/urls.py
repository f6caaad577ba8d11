"""URLs of the pages: every view is one, and a store's query is part of its own."""

from __future__ import annotations

from django.urls import path

from console.pages import later, overview, session

urlpatterns = [
    path("", overview.overview, name="overview"),
    path("sign-in/", session.sign_in, name="login"),
    path("sign-out/", session.sign_out, name="logout"),
    path("stores/", later.later, name="stores"),
    path("restores/", later.later, name="restores"),
    path("lag/", later.later, name="lag"),
    path("jobs/", later.later, name="jobs"),
    path("applications/<str:app>/", later.later, name="application"),
    path("applications/<str:app>/stores/<str:store>/", later.later, name="store"),
    path("applications/<str:app>/stores/<str:store>/partitions/", later.later, name="store-partitions"),
]
