"""URLs of the pages: every view is one, and a store's query is part of its own."""

from __future__ import annotations

from django.urls import path

from console.pages import (
    alerts,
    application,
    audit,
    browse,
    differences,
    health,
    jobs,
    lag,
    new_job,
    overview,
    ownership,
    restores,
    schedules,
    session,
    snapshots,
    store,
)

_STORE = "applications/<str:app>/stores/<str:store>/"
urlpatterns = [
    path("", overview.overview, name="overview"),
    path("sign-in/", session.sign_in, name="login"),
    path("sign-out/", session.sign_out, name="logout"),
    path("stores/", overview.stores, name="stores"),
    path("restores/", restores.restores, name="restores"),
    path("lag/", lag.lag, name="lag"),
    path("lag/<str:app>/", lag.lag_of, name="lag-of"),
    path("lag/<str:app>/history/", lag.lag_history, name="lag-history"),
    path("alerts/", alerts.alerts, name="alerts"),
    path("alerts/new/", alerts.new, name="alert-new"),
    path("alerts/<int:rule>/", alerts.edit, name="alert-rule"),
    path("alerts/<int:rule>/delete/", alerts.delete, name="alert-delete"),
    path("alerts/<int:rule>/test/", alerts.send_test, name="alert-test"),
    path("audit/", audit.audit, name="audit"),
    path("health/", health.health, name="health"),
    path("jobs/", jobs.jobs, name="jobs"),
    path("jobs/<uuid:job>/", jobs.job, name="job"),
    path("jobs/<uuid:job>/cancel/", jobs.cancel, name="job-cancel"),
    path("jobs/<uuid:job>/differences/", differences.rows, name="job-differences"),
    path("jobs/<uuid:job>/differences/file/", differences.file, name="job-differences-file"),
    path("jobs/<uuid:job>/file/", jobs.file, name="job-file"),
    path("schedules/", schedules.listing, name="schedules"),
    path("schedules/<uuid:schedule>/<str:what>/", schedules.change, name="schedule-change"),
    path("applications/<str:app>/", application.application, name="application"),
    path("applications/<str:app>/ownership/", ownership.timeline, name="ownership"),
    path("applications/<str:app>/stores/<str:store>/", browse.browse, name="store"),
    path("applications/<str:app>/stores/<str:store>/entry/", browse.entry, name="entry"),
    path("applications/<str:app>/stores/<str:store>/history/", browse.versions, name="entry-history"),
    path("applications/<str:app>/stores/<str:store>/partitions/", store.partitions, name="store-partitions"),
    path("applications/<str:app>/stores/<str:store>/compare/", store.compare, name="store-compare"),
    path("applications/<str:app>/stores/<str:store>/settings/", store.settings, name="store-settings"),
    path(f"{_STORE}schedule/", schedules.new, name="new-schedule"),
    path(f"{_STORE}snapshots/<uuid:snapshot>/", snapshots.snapshot, name="snapshot"),
    path(f"{_STORE}snapshots/<uuid:snapshot>/entry/", snapshots.entry, name="snapshot-entry"),
    path(f"{_STORE}snapshots/<uuid:snapshot>/delete/", snapshots.delete, name="snapshot-delete"),
    path("applications/<str:app>/stores/<str:store>/<str:kind>/", new_job.new_job, name="new-job"),
]
