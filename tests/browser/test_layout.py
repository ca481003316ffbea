"""What people write fits on the console's pages, in every width: nothing sticks out of its card."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.browsing import apart, go
from support.service import Service, email_with, hrefs, html_of, wait_for

pytestmark = pytest.mark.long

WIDTHS = (375, 860, 1440)
"""A telephone, the narrowest with tables, the widest that pages grow to."""
LONG = "a-name-that-is-long-" * 3
WORD = "longlong" * 12
LINKS = 200
SUBJECTS = ("Очень длинная тема письма " * 4, "مرحبا بكم في متجرنا الجديد", "w" * 120)

STICKS_OUT = """() => {
  const wide = document.documentElement.clientWidth, found = [];
  for (const each of document.querySelectorAll("main *")) {
    if (each.closest(".hidden, .uplot, svg, select, thead") || !each.checkVisibility()) continue;
    const room = each.parentElement.closest(".card, main").getBoundingClientRect();
    const box = each.getBoundingClientRect();
    if (box.width > 1 && (box.right > Math.min(room.right, wide) + 1 || box.left < room.left - 1))
      found.push(`${each.tagName}: ${each.textContent.trim().slice(0, 40)}`);
  }
  return found;
}"""
"""What is wider than the card that it is in."""


def fill(service: Service) -> None:
    """Send emails with all that is long, and click."""
    service.cli("configuration-set", "create", LONG, "--engagement-statistics", "--keep-html")
    hook = ("--webhook", f"http://127.0.0.1:1/{WORD}", "--type", "CLICK")
    service.cli("event-destination", "add", LONG, LONG, *hook)
    for name in ("example.com", f"{'sub.' * 20}shop.example"):
        service.cli("identity", "create", name, "--configuration-set", LONG)
    links = "".join(
        f'<p><a href="http://shop.example/{n}?{WORD}" postbox:tags="{WORD}:{WORD}{n}">{n}</a></p>'
        for n in range(LINKS)
    )
    for subject in SUBJECTS:
        message = email_with(f"<html><body>{links}</body></html>", LONG)
        message.replace_header("Subject", subject)
        message["X-SES-MESSAGE-TAGS"] = f"{WORD}={WORD}"
        message[f"X-{'Long-' * 12}Header"] = WORD * 3
        link = hrefs(html_of(service.send(message, (f"{WORD[:60]}@{'sub.' * 20}example",))))[0]
        service.request(link, headers={"User-Agent": WORD * 2})
    service.cli("suppression", "add", f"{WORD[:60]}@{'sub.' * 20}example")
    service.wait_for_clicks(LONG, len(SUBJECTS))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder: Path = tmp_path_factory.mktemp("layout")
    with Service(folder, "--webhook-allow", "127.0.0.0/8") as service:
        apart(lambda: fill(service))
        yield service


def first(page: Any, running: Service, path: str, prefix: str) -> str:
    """Return where a list's first link to such a page leads."""

    def look() -> str | None:
        go(page, running, path)
        found = page.locator(f"tbody a[href^='{prefix}']")
        return found.first.get_attribute("href") if found.count() else None

    return str(wait_for(look, prefix))


def test_nothing_sticks_out(page: Any, running: Service) -> None:
    email = first(page, running, "/messages", "/messages/")
    mailing = first(page, running, "/mailings", "/mailings/")
    tagged = first(page, running, "/mailings?kind=tag", "/mailings/")
    several = f"/comparison?mailing={mailing[10:]}&mailing={tagged[10:]}"
    paths = ["/", *(f"/?by={by}" for by in ("links", "tags", "configuration_set", "devices"))]
    paths += ["/guide", "/configurations", f"/configurations/{LONG}", "/identities"]
    paths += [first(page, running, "/identities", "/identities/"), "/messages", email, "/mailings"]
    paths += [f"/configurations/{LONG}/destinations/{LONG}", f"/?tag={WORD}%3D{WORD}0"]
    paths += [mailing, f"{mailing}/clicked", tagged, several, "/live", "/dead-letters"]
    paths += ["/contact-lists", "/suppression", "/do-not-track", "/templates"]
    found = {}
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        for path in paths:
            go(page, running, path)
            page.evaluate(
                "document.querySelectorAll('main details').forEach(each => each.open = true)"
            )
            out = page.evaluate(STICKS_OUT)
            assert page.locator("h1").count() == 1, path
            if out or page.evaluate("document.documentElement.scrollWidth") > width:
                found[path, width] = out[:5]
    assert found == {}


def test_links_that_nobody_clicked_are_folded_where_there_are_many(
    page: Any, running: Service
) -> None:
    go(page, running, first(page, running, "/messages", "/messages/"))
    assert page.locator("#map tr[data-place]:visible").count() == 1
    page.click(f"text={LINKS - 1} links that nobody clicked")
    assert page.locator("#map tr[data-place]:visible").count() == LINKS


def test_the_text_of_a_box_stands_beside_it(page: Any, running: Service) -> None:
    page.set_viewport_size({"width": 375, "height": 800})
    go(page, running, f"/configurations/{LONG}")
    for box in page.locator(".check > input:visible").all():
        beside = box.evaluate(
            "box => { const range = document.createRange(); range.selectNodeContents("
            "box.nextSibling); return range.getClientRects()[0].left - "
            "box.getBoundingClientRect().right }"
        )
        assert beside >= 0
