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
        watched.goto(f"http://127.0.0.1:{service.console}{path}")
        frame = watched.frame_locator("iframe.map")
        frame.locator("text=Two").wait_for()
        watched.wait_for_load_state("networkidle")
        assert elsewhere.asked == set()
        one = frame.locator("text=One")
        badge = one.evaluate("element => getComputedStyle(element, '::after').content")
        assert badge.startswith('"1 ·')
        assert one.evaluate("element => getComputedStyle(element).outlineStyle") == "solid"
        assert frame.locator("text=Two").get_attribute("href") == "#clicktrail-1"
        watched.click("text=Show pictures")
        watched.wait_for_url("**?images=1#map")
        frame.locator("text=Two").wait_for()
        watched.wait_for_load_state("networkidle")
        assert {"/picture", "/background"} <= elsewhere.asked <= {
            *("/picture", "/background", "/preload"),
        }  # fmt: skip
        # The same email by itself, to see that it would have asked for all that.
        page.context.new_page().set_content(HOSTILE.format(elsewhere.url))
        wait_for(lambda: {"/script", "/style", "/refresh"} <= elsewhere.asked or None, "requests")
