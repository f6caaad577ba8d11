import pytest

from console.browse import display, entries
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
