"""Who may ask for a job, what is refused, and what a dry run tells."""

import json
import uuid

import pytest
from django.conf import settings as django_settings
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError

from console.access import audit
from console.jobs import commands
from console.models import AuditEntry, Job
from tests.console import reports
from tests.console.jobs.made import make

pytestmark = pytest.mark.django_db(transaction=True)

HOST = django_settings.HOST_NAME


def test_a_dry_run_says_what_it_costs_and_changes_nothing(stopped, sent):
    shown = commands.preview("rebuild", "shop", "counts", [0])

    assert shown["can_run"] is True
    assert shown["host"] == HOST
    assert shown["totals"] == {"records_estimate": 1_000, "seconds_estimate": None, "disk_bytes": 1_000}
    assert shown["partitions"][0]["how"] == "worker"
    assert (Job.objects.count(), AuditEntry.objects.count(), sent, stopped.orders) == (0, 0, [], [])


def test_a_job_is_audited_then_sent_to_its_host(ordered, sent):
    assert sent == [(str(ordered.pk), f"host.{HOST}")]
    assert (ordered.state, ordered.number) == ("queued", 1)
    entry = AuditEntry.objects.get()
    assert (entry.username, entry.action, entry.store, entry.parameters["job"]) == (
        "operator-user",
        "rebuild",
        "counts",
        str(ordered.pk),
    )


@pytest.mark.usefixtures("stopped")
def test_without_the_audit_nothing_happens(operator, sent, monkeypatch):
    def fail(*_args, **_options):
        raise DatabaseError("disk full")

    monkeypatch.setattr(audit, "write", fail)
    with pytest.raises(DatabaseError):
        make(operator)

    assert (Job.objects.count(), sent) == (0, [])


@pytest.mark.usefixtures("stopped")
def test_a_viewer_may_not(account):
    with pytest.raises(PermissionDenied):
        make(account("viewer"))

    assert Job.objects.count() == 0
    assert AuditEntry.objects.get().result == "denied"


@pytest.mark.usefixtures("stopped")
def test_asking_twice_with_one_id_makes_one_job(operator, sent):
    wanted = str(uuid.uuid4())

    first, second = make(operator, job_id=wanted), make(operator, job_id=wanted)

    assert (first.pk, Job.objects.count(), len(sent)) == (second.pk, 1, 1)


@pytest.mark.usefixtures("ordered")
def test_two_jobs_on_one_partition_are_refused(operator):
    with pytest.raises(commands.Refused) as caught:
        make(operator, kind="compact")

    assert caught.value.code == "conflict"
    assert "#1" in caught.value.words


@pytest.mark.usefixtures("stopped")
def test_a_partition_that_restores_is_refused(observed, operator):
    observed.report(reports.store("counts", "0_0", sequence=3, phase="applying", position=10, snapshot_end=100))

    with pytest.raises(commands.Refused) as caught:
        make(operator)
    assert caught.value.code == "cannot-run"
    assert "Partition 0 is restoring" in caught.value.words


def test_partitions_on_several_hosts_are_refused(stopped, observed, operator):
    observed.report(reports.instance("engine-2", sequence=3, tasks=["0_1"], host="another", address=stopped.address))

    with pytest.raises(commands.Refused) as caught:
        make(operator, partitions=[0, 1])
    assert "several hosts" in caught.value.words


def test_too_little_disk_is_refused(stopped, observed, operator):
    from engine.control import status

    observed.report(
        reports.instance(
            "engine-1", sequence=3, tasks=["0_0"], host=HOST, address=stopped.address, disk=status.Disk(free_bytes=10)
        )
    )

    with pytest.raises(commands.Refused) as caught:
        make(operator)
    assert "make room" in caught.value.words


@pytest.mark.usefixtures("stopped")
def test_a_job_through_the_api(with_token):
    client = with_token("operator")
    body = {
        "kind": "rebuild",
        "application": "shop",
        "store": "counts",
        "partitions": [0],
        "dry_run": True,
        "why": "checksum",
    }

    shown = client.post("/api/v1/jobs", json.dumps(body), content_type="application/json")
    assert (shown.status_code, shown.json()["dry_run"]["can_run"]) == (200, True)
    made = client.post("/api/v1/jobs", json.dumps(body | {"dry_run": False}), content_type="application/json")
    assert made.status_code == 201
    job = made.json()["job"]
    assert (job["state"], job["why"], job["created_by"]) == ("queued", "checksum", "operator-user")
    cancelled = client.post(f"/api/v1/jobs/{job['id']}/cancel")
    assert (cancelled.status_code, cancelled.json()["job"]["state"]) == (200, "cancelled")
    again = client.post(f"/api/v1/jobs/{job['id']}/cancel")
    assert (again.status_code, again.json()["error"]["code"]) == (409, "conflict")
    assert client.get("/api/v1/jobs").json()["counts"]["cancelled"] == 1
