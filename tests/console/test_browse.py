import pytest

from console.browse import display, entries, filtered, watched
from console.live import topics
from tests.console import reports

pytestmark = pytest.mark.django_db


@pytest.fixture
def served(observed, engine):
    observed.report(*reports.shop(), reports.instance("engine-1", sequence=2, tasks=["0_0"], address=engine.address))
    return engine


@pytest.mark.usefixtures("served")
def test_a_page_comes_from_an_instance_that_can_be_reached():
    page = entries.page("shop", "counts", {"prefix": "a b&c", "limit": "5"})

    assert page["served_by"]["instance"] == "engine-1"
    assert page["query"] == {"prefix": ["a b&c"], "limit": ["5"]}


def test_who_did_not_answer_is_in_the_sources(served, observed):
    observed.report(
        reports.instance("engine-0", address="http://127.0.0.1:9"),
        reports.instance("engine-1", sequence=3, address=served.address),
    )

    page = entries.page("shop", "counts", {})

    (failed,) = page["sources"]
    assert (failed["instance"], failed["error"]["code"]) == ("engine-0", "unreachable")


@pytest.mark.usefixtures("served")
def test_a_refused_token_is_told_from_a_missing_store(tmp_path):
    (tmp_path / "token").write_text("another-token-0123456789")

    with pytest.raises(entries.Unavailable) as caught:
        entries.page("shop", "counts", {})
    assert (caught.value.code, caught.value.status) == ("engine-unauthorized", 502)
    assert "another-token" not in str(caught.value)


@pytest.mark.parametrize("store", ["..", "a/b", "", "x" * 300, "a%2fb"])
def test_a_store_name_that_is_none_never_reaches_the_engine(store, served):
    served.asked.clear()

    with pytest.raises(entries.Unavailable) as caught:
        entries.page("shop", store, {})
    assert caught.value.code == "not-found"
    assert served.asked == []


@pytest.mark.usefixtures("served")
def test_unknown_parameters_are_refused():
    with pytest.raises(entries.Unavailable) as caught:
        entries.page("shop", "counts", {"local": "true"})
    assert caught.value.code == "bad-request"


@pytest.mark.parametrize(
    ("value", "text", "kind"),
    [
        ("UA", "UA", "text"),
        (58_665, "58665", "number"),
        (None, "null", "null"),
        ({"a": [1, "é"]}, '{"a": [1, "é"]}', "json"),
        ({"base64": "AAE="}, "AAE=", "base64"),
        ({"base64": "AAE=", "undecodable": "not UTF-8"}, "not UTF-8: AAE=", "undecodable"),
        ("a\x00b\u202ec\x1b[31m", "a\\u0000b\\u202ec\\u001b[31m", "text"),
    ],
)
def test_values_are_shown_as_harmless_text(value, text, kind):
    assert display.display(value) == {"text": text, "cut": False, "kind": kind}


def test_a_large_value_is_cut_and_says_so():
    shown = display.display("x" * 50_000)

    assert (len(shown["text"]), shown["cut"]) == (20 * 1024, True)


@pytest.mark.usefixtures("served")
def test_a_filter_asks_on_until_enough_were_found_and_adds_up_what_was_looked_at(monkeypatch):
    answers = [
        {"entries": [{"key": "a"}], "cursor": "c1", "scanned": 10_000, "sources": [part(0)]},
        {"entries": [], "cursor": "c2", "scanned": 10_000, "sources": [part(0), part(1)]},
        {"entries": [{"key": "b"}], "cursor": "c3", "scanned": 7, "sources": [part(1)]},
    ]
    asked = []

    def page(_app, _store, params):
        asked.append(params)
        return answers[len(asked) - 1]

    monkeypatch.setattr(entries, "page", page)
    found = filtered.page("shop", "counts", {"where": "value > 1", "limit": "2"})

    assert [each["key"] for each in found["entries"]] == ["a", "b"]
    assert (found["scanned"], found["cursor"]) == (20_007, "c3")
    assert [each["partition"] for each in found["sources"]] == [0, 1]
    assert [(each.get("cursor"), each["limit"]) for each in asked] == [(None, "2"), ("c1", "1"), ("c2", "1")]


def part(partition):
    return {"instance": "engine-1", "partition": partition, "role": "active", "position": 1, "lag": 0, "error": None}


def test_a_filter_whose_later_page_fails_keeps_what_was_found_and_names_the_failure(monkeypatch):
    def page(_app, _store, params):
        if "cursor" in params:
            raise entries.Unavailable("store-moving", "It moves.")
        return {"entries": [{"key": "a"}], "cursor": "c1", "scanned": 5, "sources": [part(0)]}

    monkeypatch.setattr(entries, "page", page)
    found = filtered.page("shop", "counts", {"where": "value > 1", "limit": "2"})

    assert (len(found["entries"]), found["cursor"]) == (1, "c1")
    assert found["sources"][-1]["error"]["code"] == "store-moving"


def test_an_entrys_topic_carries_its_address_and_tells_a_digest_only(served, observed):
    served.entries = {"entries": [{"key": "UA", "value": "canary"}], "cursor": None, "sources": []}
    address = watched.address({"key": "a&b=c", "partition": "1", "where": "value > 1", "limit": "50"})
    topic = topics.parse(f"entry:shop/counts?{address}")

    assert (topic.action, topic.application, topic.store) == ("browse", "shop", "counts")
    assert watched.read_address(address) == {"key": "a&b=c", "partition": "1"}
    before = topic.build()
    assert before["problem"] is None
    assert "canary" not in str(before)
    served.entries["entries"][0]["value"] = "another"
    assert topic.build()["digest"] != before["digest"]
    observed.report(reports.instance("engine-1", sequence=9, state="failed", address=served.address))
    gone = topic.build()
    assert (gone["digest"], "can be reached" in gone["problem"]) == (None, True)


@pytest.mark.parametrize(
    "text", ["entry:shop/counts", "entry:shop/counts?partition=1", "entry:shop/counts?key=a&x=1", "entry:shop/../?key=a", "entry:shop/counts?key=a&key=b"]
)  # fmt: skip
def test_what_is_no_entry_is_no_topic(text):
    assert topics.parse(text) is None
