"""axe on every page, in both themes: nothing serious. The library is the pinned axe-core, which the site's fixture fetches."""

from pathlib import Path
from typing import Any

import pytest

from tests.pages.conftest import Site, sign_in
from tests.pages.test_every_page import SIGNED_IN

pytestmark = pytest.mark.browser
AXE = Path(__file__).parents[2] / "node_modules" / "axe-core" / "axe.min.js"
LEVELS = ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa"]
# What axe judges by colours. All else it reads from the document, which is the same one in both themes.
OF_COLOURS = ["color-contrast", "link-in-text-block"]
RUN = "async only => (await axe.run({runOnly: only, resultTypes: ['violations']})).violations"


def serious(page: Any, only: list[str]) -> list[str]:
    """What axe finds on the page by the rules or levels named."""
    return [
        f"{page.url}: {each['id']} {node['target']} {node['failureSummary'][:160]}"
        for each in page.evaluate(RUN, only)
        if each["impact"] in {"serious", "critical"}
        for node in each["nodes"][:2]
    ]


@pytest.fixture
def looked_at(browser: Any, site: Site) -> Any:
    # axe is injected as text, which our policy forbids to everyone, so this context looks away.
    context = browser.new_context(color_scheme="light", viewport={"width": 1280, "height": 900}, bypass_csp=True)
    context.add_init_script(path=AXE)
    page = context.new_page()
    sign_in(page, site)
    yield page
    context.close()


def test_axe_finds_nothing_serious_in_either_theme(looked_at: Any, site: Site) -> None:
    found = []
    for path in [*SIGNED_IN.values(), "/sign-in/?again"]:
        for theme, only in {"light": LEVELS, "dark": OF_COLOURS}.items():
            looked_at.emulate_media(color_scheme=theme)
            if theme == "light":
                looked_at.goto(site.url + path)
            looked_at.wait_for_selector(f"html[data-theme={theme}]")
            found += [f"{theme}: {each}" for each in serious(looked_at, only)]
    assert found == []


def test_axe_sees_what_is_wrong(looked_at: Any) -> None:
    looked_at.evaluate("document.querySelector('h1').style.color = 'var(--surface)'")
    looked_at.evaluate("document.querySelector('main').append(document.createElement('button'))")
    assert any("color-contrast" in each for each in serious(looked_at, OF_COLOURS))
    assert any("button-name" in each for each in serious(looked_at, LEVELS))
