"""Static files are kept for ever under an address that says what is in them; the sheets of all pages are one."""

from django.conf import settings

from console import statics
from console.pages import sheet


def test_the_fingerprint_changes_with_a_name_and_with_a_content(tmp_path):
    (tmp_path / "js").mkdir()
    (tmp_path / "js" / "a.js").write_text("1")
    first = statics.fingerprint([tmp_path])
    assert statics.fingerprint([tmp_path]) == first
    (tmp_path / "js" / "a.js").write_text("2")
    second = statics.fingerprint([tmp_path])
    (tmp_path / "js" / "a.js").rename(tmp_path / "js" / "b.js")
    assert len({first, second, statics.fingerprint([tmp_path])}) == 3
    assert statics.fingerprint([tmp_path / "not there"])


def test_a_script_is_kept_for_ever_and_names_its_neighbours_under_the_same_address(client):
    answer = client.get(f"{settings.STATIC_URL}js/shell.js")
    assert answer.status_code == 200
    assert "immutable" in answer["Cache-Control"]
    assert b'from "./times.js"' in b"".join(answer.streaming_content)


def test_one_sheet_has_the_rules_of_all_and_needs_no_account(client):
    answer = client.get(sheet.address())
    assert answer.status_code == 200
    assert answer["Content-Type"] == "text/css"
    assert "immutable" in answer["Cache-Control"]
    for name in sorted((settings.BASE_DIR / "static" / "css").iterdir()):
        assert name.read_text() in answer.content.decode()


def test_a_sheet_of_another_version_is_not_kept(client):
    answer = client.get(sheet.address().replace(settings.STATIC_VERSION, "0" * 12))
    assert answer.status_code == 200
    assert answer["Cache-Control"] == "no-cache"


def test_a_page_names_the_sheet_by_its_version(client, db):  # noqa: ARG001 - the page asks for the session
    assert f'<link rel="stylesheet" href="{sheet.address()}">' in client.get("/sign-in/").content.decode()
