"""npm brings what `package.json` names, once."""

import json

import pytest

from engine.embedded import browser_libraries
from engine.embedded.failure import StartFailure


@pytest.fixture
def checkout(tmp_path):
    def write(**dependencies):
        (tmp_path / "package.json").write_text(json.dumps({"name": "x", "private": True, "dependencies": dependencies}))
        return tmp_path

    return write


def test_without_dependencies_nothing_is_fetched_and_the_stamp_says_so(checkout):
    root = checkout()
    assert not browser_libraries.present(root)
    browser_libraries.install(root)
    assert browser_libraries.present(root)


def test_another_package_json_is_not_present_yet(checkout):
    browser_libraries.install(checkout())
    assert not browser_libraries.present(checkout(uplot="1.6.32"))


def test_what_is_present_is_not_fetched_again(checkout, monkeypatch):
    root = checkout()
    browser_libraries.install(root)
    monkeypatch.setattr(browser_libraries, "_npm", lambda: pytest.fail("npm ran again"))
    browser_libraries.install(root)


def test_no_network_is_one_sentence_with_a_remedy(checkout, monkeypatch):
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9")
    monkeypatch.setenv("npm_config_cache", str(checkout() / "cache"))
    with pytest.raises(StartFailure) as failure:
        browser_libraries.install(checkout(uplot="1.6.32"))
    assert str(failure.value) == (
        "The browser libraries could not be fetched with npm (ECONNREFUSED). Connect this machine to the network "
        "(or let npm reach its registry) and start again; once they are here, no start needs the network."
    )


def test_the_checkout_names_exact_versions():
    named = json.loads((browser_libraries.ROOT / "package.json").read_text())
    versions = {**named["dependencies"], **named["devDependencies"]}
    assert set(versions) == {"uplot", "axe-core"}
    assert all(version.replace(".", "").isdigit() for version in versions.values())
