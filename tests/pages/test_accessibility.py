"""axe on every page, in both themes: nothing serious. The library is the pinned axe-core, which the site's fixture fetches."""

from pathlib import Path
from typing import Any

import pytest

from tests.pages.conftest import Site, sign_in
from tests.pages.test_every_page import SIGNED_IN

pytestmark = pytest.mark.browser
AXE = Path(__file__).parents[2] / "node_modules" / "axe-core" / "axe.min.js"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious(browser: Any, site: Site, theme: str) -> None:
    # axe is injected as text, which our policy forbids to everyone, so this context looks away.
    context = browser.new_context(color_scheme=theme, viewport={"width": 1280, "height": 900}, bypass_csp=True)
    page = context.new_page()
    sign_in(page, site)
    found = []
    for path in [*SIGNED_IN.values(), "/sign-in/?again"]:
        page.goto(site.url + path)
        page.evaluate(AXE.read_text())
        result = page.evaluate("axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa']})")
        found += [
            f"{path}: {each['id']} {node['target']} {node['failureSummary'][:160]}"
            for each in result["violations"]
            if each["impact"] in {"serious", "critical"}
            for node in each["nodes"][:2]
        ]
    context.close()
    assert found == []
