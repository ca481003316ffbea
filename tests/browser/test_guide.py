"""The set-up guide in a real browser: from an empty installation to a click seen live."""

from pathlib import Path
from typing import Any

import pytest

from support.browsing import apart
from support.mail_server import MailServer
from support.service import Service, hrefs, html_of

pytestmark = pytest.mark.long


def test_the_guide_leads_from_an_empty_installation_to_a_click_seen_live(
    signed_in: Any, tmp_path: Path
) -> None:
    with (
        MailServer() as server,
        Service(tmp_path, smarthost=server.url) as service,
        signed_in(service) as page,
    ):
        page.wait_for_url("**/guide")
        page.click("text=Try it")
        assert "It can be reached" in page.inner_text("section:has(#smarthost)")
        page.fill("input[name=name][placeholder]", "shop.example")
        page.click("section:has(#identity) button")
        page.click("section:has(#set) button")
        page.fill("input[name=recipient]", "me@reader.example")
        page.click("section:has(#email) button")
        page.wait_for_url("**/guide?email=*")
        assert "Waiting for your click" in page.inner_text("#arrival")
        (link,) = hrefs(html_of(apart(server.arrived)))
        reader = page.context.browser.new_context()
        tab = reader.new_page()
        tab.goto(link)
        tab.wait_for_url("**/sign-in?next=%2Fguide")  # another browser, where nobody signed in
        reader.close()
        page.wait_for_selector("text=Your click is here")
        assert page.locator(".step.done").count() == 4  # the last one is new on the page
        page.click("text=click map")
        page.wait_for_url("**/messages/*")
        frame = page.frame_locator("iframe.map")
        assert frame.locator("a[href='#clicktrail-0']").count() == 1
        frame.locator(".pin >> text=1").wait_for()
        page.click("header >> text=Overview")
        page.wait_for_selector("#chart canvas")
        figures = page.locator(".value").all_inner_texts()
        assert (figures[0], figures[2]) == ("1", "1")  # tracked, clicks
