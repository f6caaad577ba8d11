"""Every page on what the real observer makes of real status records: no browser, no sample data."""

import re

import pytest

from console.models import Job
from tests.console import reports
from tests.console.conftest import (  # noqa: F401 - pytest finds fixtures by name
    account,
    as_role,
    engine,
    fresh_board,
    observed,
    redis_client,
    shop,
)

pytestmark = pytest.mark.django_db
STORE = "/applications/shop/stores/counts/"
PAGES = [
    "/",
    "/stores/",
    "/applications/shop/",
    STORE,
    f"{STORE}partitions/",
    f"{STORE}settings/",
    f"{STORE}rebuild/",
    f"{STORE}compact/",
    "/restores/",
    "/lag/shop/",
    "/lag/shop/history/?kind=input&name=orders&span=15m",
    "/jobs/",
]


def text_of(answer):
    return " ".join(re.sub(r"<[^>]+>", " ", answer.content.decode()).split())


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize("path", PAGES)
def test_it_works(as_role, path):  # noqa: F811
    assert as_role("operator").get(path).status_code == 200


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize("path", PAGES)
def test_a_stranger_is_sent_to_sign_in(client, path):
    answer = client.get(path)
    assert answer.status_code == 302
    assert answer["Location"].startswith("/sign-in/?next=")


def test_a_restore_shows_its_percent_and_its_slowest_partition(observed, as_role):  # noqa: F811
    observed.report(
        reports.instance(tasks=["0_0"]),
        reports.topology(),
        reports.task("0_0", state="restoring"),
        reports.store(phase="applying", start=0, position=710, snapshot_end=1_000, end=1_020, lag=310, rate_per_second=29.0, cause="new owner", restore_started_at=reports.now_ms() - 5_000, written_since_start=20),
    )  # fmt: skip
    client = as_role("viewer")
    restores = text_of(client.get("/restores/"))
    assert "71.0 %" in restores
    assert "10 s left" in restores
    assert "new owner" in restores
    assert "restoring 71 %" in text_of(client.get("/"))
    partitions = text_of(client.get(f"{STORE}partitions/"))
    assert "no owner" in partitions  # partition 1, which the topology has and nobody reports


@pytest.mark.usefixtures("shop")
def test_a_page_asks_the_engine_only_when_the_reader_does(engine, observed, as_role):  # noqa: F811
    observed.report(reports.instance(address=engine.address, sequence=9))
    engine.entries = {
        "entries": [{"key": "<i>UA", "value": 58665, "timestamp": 1_700_000_000_000, "partition": 0, "window": None, "session": None, "size": 8}],
        "cursor": "next page",
        "sources": [{"instance": "engine-1", "partition": 0, "role": "active", "position": 50, "lag": 0, "error": None}],
    }  # fmt: skip
    client = as_role("viewer")
    page = client.get(f"{STORE}?by=key&key=%3Ci%3EUA").content.decode()
    assert "&lt;i&gt;UA" in page
    assert "<i>UA" not in page
    assert "58,665" in page
    assert "cursor=next+page" in page
    asked = len(engine.asked)
    client.get(STORE, headers={"x-statehouse-live": "tick"})
    assert len(engine.asked) == asked


@pytest.mark.usefixtures("shop")
def test_an_engine_that_is_away_is_not_an_empty_store(as_role):  # noqa: F811
    page = text_of(as_role("viewer").get(f"{STORE}?by=key&key=UA"))
    assert "There is no entry" not in page
    assert "No instance of shop can be reached" in page or "token" in page


@pytest.mark.usefixtures("shop")
def test_a_rebuild_cannot_be_made_without_its_dry_run(as_role):  # noqa: F811
    client = as_role("operator")
    answer = client.post(f"{STORE}rebuild/", {"partition": "0", "confirm": "counts", "ticket": "forged"})
    assert "Run it again, then apply." in text_of(answer)
    assert Job.objects.count() == 0


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize("path", [f"{STORE}rebuild/", f"{STORE}compact/"])
def test_a_viewer_may_not_start_jobs(as_role, path):  # noqa: F811
    assert as_role("viewer").get(path).status_code == 403
    assert as_role("viewer").post(path).status_code == 403


def test_names_that_fit_no_url_are_shown_without_a_link(observed, as_role):  # noqa: F811
    observed.report(reports.instance(), reports.topology(stores=("counts", "../../etc", "a/b")))
    page = as_role("viewer").get("/").content.decode()
    assert "../../etc" in page
    assert 'href="/applications/shop/stores/../../etc' not in page
    assert as_role("viewer").get("/applications/shop/").status_code == 200


def test_a_description_that_is_no_topology_does_not_break_the_page(observed, as_role):  # noqa: F811
    record = reports.topology()
    record.description = {"sub_topologies": [{"nodes": "nothing"}, 7], "stores": None}
    observed.report(reports.instance(), reports.task(), reports.store(), record)
    assert as_role("viewer").get("/applications/shop/").status_code == 200


def test_a_form_without_its_token_is_refused_in_the_products_own_words(as_role):  # noqa: F811
    answer = as_role("operator", enforce_csrf_checks=True).post("/sign-out/")
    assert answer.status_code == 403
    assert "The form is too old to be trusted." in text_of(answer)


def test_each_instance_has_its_verdict_in_words_on_the_overview(observed, as_role):  # noqa: F811
    broken = {"state": "failed", "reason": "the disk is full"}
    observed.report(*reports.shop(), reports.instance("engine-2", sequence=9, tasks=["0_1"], **broken))
    observed.observer._beat()
    page = text_of(as_role("viewer").get("/"))
    assert "engine-2 stopped the disk is full" in page
