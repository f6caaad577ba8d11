from typing import Any

import pytest

from tests.pages.conftest import Site, sign_in

pytestmark = pytest.mark.browser


def test_a_stranger_is_led_to_the_sign_in_page_and_back(page: Any, site: Site, complaints: list[str]) -> None:
    page.goto(f"{site.url}/restores/")
    assert "/sign-in/?next=/restores/" in page.url
    page.fill("#id_username", "ada")
    page.fill("#id_password", "a quiet lake")
    page.keyboard.press("Enter")
    page.wait_for_url(f"{site.url}/restores/")
    assert complaints == []


def test_a_wrong_password_is_refused_in_words(page: Any, site: Site) -> None:
    page.goto(f"{site.url}/sign-in/")
    page.fill("#id_username", "ada")
    page.fill("#id_password", "nothing like it")
    page.click("button[type=submit]")
    assert "correct username and password" in page.inner_text("[role=alert]")
    assert page.input_value("#id_username") == "ada"


def test_signing_out_ends_the_session(page: Any, site: Site) -> None:
    # A session of its own: the other tests go on with theirs.
    page.goto(f"{site.url}/sign-in/")
    page.fill("#id_username", "ada")
    page.fill("#id_password", "a quiet lake")
    page.click("button[type=submit]")
    page.wait_for_selector("h1:has-text('Overview')")
    page.click("summary[aria-label=Account]")
    page.click("button:has-text('Sign out')")
    page.wait_for_url("**/sign-in/**")
    page.goto(f"{site.url}/")
    assert "/sign-in/" in page.url


def test_a_viewer_sees_actions_closed_with_the_role_they_take(page: Any, site: Site) -> None:
    sign_in(page, site, "vic")
    page.goto(f"{site.url}/applications/flights/stores/delay-by-hour/")
    button = page.locator("button:has-text('Rebuild…')")
    assert button.is_disabled()
    assert button.get_attribute("title") == "It takes the role operator."
    answer = page.goto(f"{site.url}/applications/flights/stores/delay-by-hour/rebuild/")
    assert answer.status == 403
    assert "Not allowed" in page.inner_text("h1")
