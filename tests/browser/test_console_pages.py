"""The console in a real browser: tracking is turned on by hand, and a click is seen live."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from support.browsing import apart, go
from support.service import Service, email_with, hrefs, html_of, wait_for
from support.visitor import PASSWORD

pytestmark = pytest.mark.long

HTML = '<a href="http://shop.example/offer" postbox:tags="product:book">x</a>'


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with Service(tmp_path_factory.mktemp("console")) as service:
        apart(lambda: service.send(email_with(HTML)))  # else the guide is the first page
        yield service


def make_set(page: Any, running: Service, name: str) -> None:
    go(page, running, "/configurations")
    page.fill("input[name=name]", name)
    page.click("text=Create")
    assert page.inner_text("h1") == name


def send(running: Service, name: str) -> str:
    (link,) = hrefs(html_of(running.send(email_with(HTML, name))))
    return link


def test_a_click_destination_counts_and_sends(page: Any, running: Service) -> None:
    make_set(page, running, "by-destination")
    page.click("text=Add an event destination")
    page.fill("#destinations input[name=name]", "clicks")
    page.fill("#destinations input[name=target]", "clicks")
    page.click("#destinations button")
    assert "each is sent to clicks" in page.inner_text(".outcome")
    running.request(send(running, "by-destination"))
    apart(lambda: running.wait_for_events("clicks", 1))
    assert apart(lambda: running.wait_for_clicks("by-destination", 1))["clicks"] == 1


def test_engagement_statistics_count_and_send_nothing(page: Any, running: Service) -> None:
    make_set(page, running, "by-engagement")
    page.check("input[name=engagement]")
    page.click("text=Save")
    assert "Clicks are counted, nothing is sent." in page.inner_text(".outcome")
    running.request(send(running, "by-engagement"))
    assert apart(lambda: running.wait_for_clicks("by-engagement", 1))["clicks"] == 1
    told = [event["mail"]["tags"] for event in apart(lambda: running.events("clicks"))]
    assert ["by-engagement"] not in [tags["ses:configuration-set"] for tags in told]


def test_without_both_nothing_is_tracked(page: Any, running: Service) -> None:
    make_set(page, running, "by-nothing")
    assert "Clicks are not tracked" in page.inner_text(".outcome")
    assert send(running, "by-nothing") == "http://shop.example/offer"


def test_a_click_appears_live(page: Any, running: Service) -> None:
    link = send(running, "by-engagement")
    go(page, running, "/live")
    page.wait_for_selector("text=Connected")
    before = page.locator("#clicks tr").count()
    running.request(link)
    page.locator("#clicks tr").nth(before).wait_for()
    assert "http://shop.example/offer" in page.locator("#clicks tr").first.inner_text()
    page.wait_for_selector("text=/last click counted \\d+ s ago/")


def test_a_click_that_is_judged_anew_changes_in_place(page: Any, running: Service) -> None:
    """Three links in a rush: the first is a person's until the others come."""
    apart(lambda: running.cli("configuration-set", "create", "rush", "--engagement-statistics"))
    html = "".join(f'<a href="http://shop.example/rush/{n}">Text {n}</a>' for n in range(3))
    first, *others = hrefs(html_of(running.send(email_with(html, "rush"))))
    go(page, running, "/live?configuration_set=rush")
    page.wait_for_selector("text=Connected")
    running.request(first)
    row = page.locator("#clicks tr", has_text="rush/0")
    row.wait_for()
    same = row.get_attribute("id")
    for link in others:
        running.request(link)
    page.locator(f"#{same} >> text=within two seconds").wait_for()
    assert page.locator("#clicks tr").count() == 3, "it is there once"


@pytest.mark.parametrize("width", [375, 1280])
@pytest.mark.parametrize(
    "path",
    [
        *("/", "/configurations", "/identities", "/messages", "/mailings", "/live"),
        *("/dead-letters", "/contact-lists", "/suppression", "/do-not-track", "/templates"),
    ],
)
def test_no_page_is_wider_than_the_window(
    page: Any, running: Service, path: str, width: int
) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    go(page, running, path)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


LONG = "a-name-that-is-long-" * 3


@pytest.mark.parametrize(("width", "height", "screens"), [(1440, 900, 3), (375, 812, 5)])
def test_the_overview_is_short_and_nothing_is_scrolled_sideways(
    page: Any, running: Service, width: int, height: int, screens: int
) -> None:
    apart(lambda: many_links(running))
    page.set_viewport_size({"width": width, "height": height})
    for by in ("mailings", "links", "tags", "configuration_set", "identity", "provider", "devices"):
        go(page, running, f"/?by={by}&configuration_set={LONG}")
        page.wait_for_selector("#chart canvas")
        root = "document.documentElement"
        assert page.evaluate(f"{root}.scrollWidth") <= width
        assert page.evaluate(f"{root}.scrollHeight") <= screens * height, by
        for table in page.locator("table:visible").all():
            assert table.evaluate("each => each.getBoundingClientRect().right") <= width, by


def many_links(running: Service) -> None:
    """Send one email with many long links, each clicked, unless that is done."""
    if LONG in running.cli("configuration-set", "list", "--json"):
        return
    running.cli("configuration-set", "create", LONG, "--engagement-statistics")
    found = "".join(
        f'<a href="http://shop.example/{n}/{"long/" * 20}" postbox:tags="{LONG}:v{n}">x</a>'
        for n in range(20)
    )
    message = email_with(found, LONG)
    message.replace_header("Subject", "Очень длинная тема письма " * 4)
    for link in hrefs(html_of(running.send(message))):
        running.request(link)
    running.wait_for_clicks(LONG, 20)


def test_tables_are_sorted_on_a_telephone_too(page: Any, running: Service) -> None:
    page.set_viewport_size({"width": 375, "height": 812})
    for path in ("/mailings", "/?by=configuration_set"):
        go(page, running, path)
        page.click("nav.sorts >> text=machine clicks")
        page.wait_for_url("**sort=machine**")
        assert page.inner_text("nav.sorts [aria-current]") == "machine clicks"


def test_two_mailings_are_chosen_and_compared(page: Any, running: Service) -> None:
    apart(lambda: many_links(running))
    for subject in ("Autumn", "Winter"):
        message = email_with('<a href="http://shop.example/offer">Offer</a>', LONG)
        message.replace_header("Subject", subject)
        apart(partial(running.send, message))

    def listed() -> bool | None:
        go(page, running, f"/mailings?configuration_set={LONG}")
        return page.locator("input[name=mailing]").count() >= 3 or None

    wait_for(listed, "three mailings")
    page.set_viewport_size({"width": 375, "height": 812})
    page.check("tr:has-text('Autumn') input")
    page.check("tr:has-text('Очень') input")
    page.click("text=Compare the two chosen")
    page.wait_for_selector("h1:has-text('side by side')")
    assert page.locator(".pair >> nth=0 >> a").count() == 2
    assert page.evaluate("document.documentElement.scrollWidth") <= 375


def test_the_picture_is_drawn_with_all_days(page: Any, running: Service) -> None:
    go(page, running, "/")
    page.wait_for_selector("#chart canvas")
    drawn = "JSON.parse(document.getElementById('chart').dataset.series).times"
    assert len(page.evaluate(drawn)) == 30


def test_one_signs_out_and_in_again_by_keyboard_alone(page: Any, running: Service) -> None:
    go(page, running, "/")
    page.focus("text=Sign out")
    page.keyboard.press("Enter")
    page.wait_for_url("**/sign-in")
    page.wait_for_selector("input[name=name]:focus")  # it has it, soon after it is shown
    page.keyboard.type("admin")
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_selector("h1:has-text('Overview')")
