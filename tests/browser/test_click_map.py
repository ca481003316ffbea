"""The click map in a real browser: somebody else's HTML does nothing there."""

import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from support.browsing import apart
from support.service import Service, email_with, hrefs, html_of, wait_for
from support.visitor import Visitor, account

pytestmark = pytest.mark.long

HOSTILE = """<!doctype html><html><head>
<link rel="stylesheet" href="{0}/style"><link rel="preload" as="image" href="{0}/preload">
<style>@import "{0}/import"; body {{ background: url({0}/background) }}</style></head>
<body onload="fetch('{0}/onload')"><script>fetch('{0}/script')</script>
<img src="{0}/picture" onerror="fetch('{0}/onerror')"><iframe src="{0}/frame"></iframe>
<object data="{0}/object"></object><video src="{0}/video"></video>
<p>&nbsp;<p><a href="http://shop.example/one">One</a> <a href="http://shop.example/two">Two</a>
<meta http-equiv="refresh" content="0;url={0}/refresh"></body></html>"""


class Elsewhere:
    """A site of somebody else's. ``asked`` are the paths that were asked for."""

    def __init__(self) -> None:
        asked: set[str] = set()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.add(self.path)
                self.send_error(404)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.asked = asked
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def elsewhere() -> Iterator[Elsewhere]:
    site = Elsewhere()
    thread = threading.Thread(target=site.server.serve_forever, daemon=True)
    thread.start()
    yield site
    site.server.shutdown()
    site.server.server_close()
    thread.join()


def fill(service: Service, elsewhere: Elsewhere) -> str:
    """Send the email and click its first link once; return the path of its page."""
    service.cli("configuration-set", "create", "news", "--engagement-statistics", "--keep-html")
    message = email_with(HOSTILE.format(elsewhere.url), "news")
    service.request(hrefs(html_of(service.send(message)))[-2])
    service.wait_for_clicks("news", 1)
    with Visitor(service) as visitor:
        visitor.welcome(account(service, "looks"))

        def look() -> str | None:
            found = re.search(r"/messages/[\w-]{21}", visitor.get("/messages").text)
            return found[0] if found else None

        return wait_for(look, "the email in the list")


def test_it_runs_nothing_and_loads_nothing_but_pictures_on_demand(
    signed_in: Any, elsewhere: Elsewhere, tmp_path: Path
) -> None:
    with Service(tmp_path) as service, signed_in(service) as page:
        path = apart(lambda: fill(service, elsewhere))
        # What browsers say of that which they refuse to do belongs to this page alone.
        watched = page.context.new_page()
        watched.goto(f"http://127.0.0.1:{service.console}{path}?who=all")
        frame = watched.frame_locator("iframe.map")
        frame.locator("text=Two").wait_for()
        watched.wait_for_load_state("networkidle")
        assert elsewhere.asked == set()
        one = frame.locator("text=One")
        frame.locator(".pin >> nth=1").wait_for()
        assert frame.locator(".pin").all_inner_texts() == ["1", "2"]
        assert frame.locator(".pin >> nth=0").get_attribute("title") == "1 click"
        assert one.evaluate("element => getComputedStyle(element).outlineStyle") == "solid"
        assert frame.locator("text=Two").get_attribute("href") == "#clicktrail-1"
        watched.click("text=Show pictures")
        watched.wait_for_url("**?images=1&who=all#map")
        frame.locator("text=Two").wait_for()
        watched.wait_for_load_state("networkidle")
        assert {"/picture", "/background"} <= elsewhere.asked <= {
            *("/picture", "/background", "/preload"),
        }  # fmt: skip
        # The same email by itself, to see that it would have asked for all that.
        page.context.new_page().set_content(HOSTILE.format(elsewhere.url))
        wait_for(lambda: {"/script", "/style", "/refresh"} <= elsewhere.asked or None, "requests")


CROWDED = """<html><body style="margin: 0"><p><a href="http://shop.example/first">F</a>
<div style="display: none"><a href="http://shop.example/unseen">Unseen</a></div>
<a href="http://shop.example/clear" style="opacity: 0">Clear</a>
<map name="m"><area href="http://shop.example/north"><area href="http://shop.example/south"></map>
<!--[if mso]><v:rect xmlns:v="urn:schemas-microsoft-com:vml" href="http://shop.example/v"></v:rect>
<![endif]--><p>{0}</p><p style="text-align: right"><a href="http://shop.example/edge">Edge</a></p>
<div style="overflow: hidden; height: 9px; width: 12px"><a href="http://shop.example/small">s</a>
</div><table><tr><td style="position: relative"><a href="http://shop.example/block"><img width="40"
height="20" style="display: block"></a></td></tr></table></body></html>"""


def crowd(service: Service) -> str:
    """Send an email with very many links, some of which nobody sees; return its page's path."""
    service.cli("configuration-set", "create", "news", "--engagement-statistics", "--keep-html")
    many = " ".join(f'<a href="http://shop.example/{n}">{n}</a>' for n in range(200))
    links = hrefs(html_of(service.send(email_with(CROWDED.format(many), "news"))))
    service.request(next(link for link in links[1:2]))
    service.wait_for_clicks("news", 1)
    with Visitor(service) as visitor:
        visitor.welcome(account(service, "looks"))

        def look() -> str | None:
            found = re.search(r"/messages/[\w-]{21}", visitor.get("/messages").text)
            return found[0] if found else None

        return wait_for(look, "the email in the list")


@pytest.mark.parametrize("width", [375, 1280])
def test_pins_match_rows_and_none_is_covered_or_cut(
    signed_in: Any, tmp_path: Path, width: int
) -> None:
    with Service(tmp_path) as service, signed_in(service) as page:
        path = apart(lambda: crowd(service))
        page.set_viewport_size({"width": width, "height": 900})
        page.goto(f"http://127.0.0.1:{service.console}{path}?who=all")
        frame = page.frame_locator("iframe.map")
        page.locator("iframe.map").scroll_into_view_if_needed()
        page.wait_for_selector("#undrawn:not([hidden])")
        said = page.inner_text("#undrawn")
        assert said == (
            "Not on the map: 5 links with 1 click: hidden ×2, image map ×2, for Outlook alone ×1."
        )
        pins = frame.locator(".pin")
        rows = page.locator("#map tr[data-place] td:first-child").all_text_contents()
        assert len(rows) == 209
        shown = pins.all_inner_texts()
        assert sorted(rows) == sorted([*shown, "2", "3", "4", "5", "6"])
        boxes = pins.evaluate_all(
            "pins => pins.map(pin => { const b = pin.getBoundingClientRect();"
            " const d = pin.ownerDocument.defaultView;"
            " return [b.left + d.scrollX, b.top + d.scrollY, b.right + d.scrollX,"
            " b.bottom + d.scrollY] })"
        )
        wide, high = frame.locator("html").evaluate("html => [html.scrollWidth, html.scrollHeight]")
        for place, (left, top, right, bottom) in enumerate(boxes):
            assert left >= 0
            assert top >= 0
            assert right <= wide
            assert bottom <= high
            for a, b, c, d in boxes[:place]:
                assert right <= a or c <= left or bottom <= b or d <= top
