"""Reading the audit: searched, paged, and only for those who may."""

import pytest

from console.access import audit, audit_trail

pytestmark = pytest.mark.django_db


@pytest.fixture
def written(account):
    ada = account("operator")
    for number in range(5):
        audit.write(
            ada, "rebuild", via="page", address="10.0.0.7", application="shop", store="counts", parameters={"n": number}
        )
    audit.write(None, "compact", via="api", address="10.0.0.8", application="shop", store="other", result="refused")
    return ada


@pytest.mark.usefixtures("written")
def test_it_is_searched_by_any_text_and_by_exact_values():
    def count(**asked):
        return len(audit_trail.read(asked)["entries"])

    assert (count(), count(q="10.0.0.7"), count(q='"n": 3'), count(q="REFUSED"), count(q="nothing")) == (6, 5, 1, 1, 0)
    assert (count(user="operator-user"), count(action="compact"), count(store="counts", q="10.0.0.8")) == (5, 1, 0)
    assert audit_trail.actions() == ["compact", "rebuild"]


@pytest.mark.usefixtures("written")
def test_pages_go_back_in_time_and_give_each_entry_once():
    seen, before = [], None
    while True:
        page = audit_trail.read({}, before=before, limit=2)
        seen += [each["id"] for each in page["entries"]]
        before = page["next_before"]
        if before is None:
            break
    assert seen == sorted(seen, reverse=True)
    assert len(seen) == 6


@pytest.mark.usefixtures("written")
def test_only_those_who_may_read_it(with_token, as_role):
    assert with_token("viewer").get("/api/v1/audit").status_code == 403
    assert as_role("viewer").get("/audit/").status_code == 403
    answer = with_token("operator").get("/api/v1/audit", {"action": "compact"}).json()
    assert [each["result"] for each in answer["entries"]] == ["refused"]
    assert answer["entries"][0]["user"] is None
