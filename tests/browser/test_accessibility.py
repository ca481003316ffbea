"""axe-core looks at every page of the console, in light and dark, wide and narrow."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.routing import Route

from clicktrail.console.app import Console
from clicktrail.store import Store
from support.browsing import apart
from support.clients import installed
from support.service import Service, email_with, hrefs, html_of, wait_for
from support.visitor import PASSWORD, Visitor, account

pytestmark = pytest.mark.long

HTML = '<h1>Hi</h1><a href="http://shop.example/offer" postbox:tags="product:book">Offer</a>'
PIECES = (
    *("/guide/click", "/live/events", "/statistics.csv", "/mailings/{digest}/clicked.csv"),
    *("/messages/{id}/map", "/mailings/{digest}/map", "/guide/{step}"),
    *("/templates/{name}/preview", "/contact-lists/{list}/contact"),  # the latter: CONTACT
)
"""Addresses that are no pages, or somebody else's."""
CONTACT = "/contact-lists/news/contact?address=anna@example.com"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with something on each page."""
    flags = ("--webhook-allow", "127.0.0.0/8", "--publish-retry-for", "0")
    with Service(tmp_path_factory.mktemp("axe"), *flags) as service:
        apart(lambda: fill(service))
        yield service


def fill(service: Service) -> None:
    service.cli("configuration-set", "create", "news", "--keep-html")
    service.cli("event-destination", "add", "news", "clicks", "--stream", "clicks")
    hook = ("--webhook", "http://127.0.0.1:1/nobody", "--type", "CLICK")
    service.cli("event-destination", "add", "news", "hook", *hook)
    message = email_with(HTML, "news")
    message["X-SES-MESSAGE-TAGS"] = "campaign=summer"
    (link,) = hrefs(html_of(service.send(message)))
    service.request(link)
    service.request(link, headers={"User-Agent": "curl/8.5.0"})
    service.wait_for_events("clicks", 2)
    service.cli("identity", "create", "shop.example", "--configuration-set", "news")
    service.cli("unsubscribes", "add", "news", "anna@example.com", "--topic", "sport")
    service.cli("suppression", "add", "bert@example.com")


@pytest.fixture(scope="module")
def paths(running: Service, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The address of every page: what stands in for parameters is what there is."""
    token = apart(lambda: account(running, "walks", "administrator"))
    with Visitor(running) as visitor:
        visitor.welcome(token)
        visitor.sent("/contact-lists/news/topics", {"topic": "sport", "default": "OPT_IN"})
        parts = {"subject": "Hi {{name}}", "html": "<p>Hi {{name}}", "text": "Hi"}
        visitor.sent("/templates", {"name": "news", **parts})

        def first(name: str) -> str:
            at = re.compile(rf"/{name}/([\w-]{{21,32}})")
            found = wait_for(lambda: at.search(visitor.get(f"/{name}").text), name)
            return str(found[1])

        known = {"id": first("messages"), "digest": first("mailings")}
        known |= {
            "identity": first("identities"),
            "name": "news",
            "destination": "hook",
            "list": "news",
        }
    return [
        route.path_format.format(**known)
        for route in apart(lambda: asyncio.run(routes(tmp_path_factory.mktemp("routes"))))
        if "GET" in (route.methods or ()) and route.path not in (*PIECES, *Console.PUBLIC)
    ]


async def routes(folder: Path) -> list[Route]:
    store = await Store.open(f"sqlite:///{folder}/clicktrail.db")
    found = [each for each in Console(store).app.routes if isinstance(each, Route)]
    await store.close()
    return found


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 375])
def test_axe_finds_nothing(
    browser: Any, running: Service, paths: list[str], scheme: str, width: int
) -> None:
    axe = (installed("axe") / "node_modules" / "axe-core" / "axe.min.js").read_text()
    base = f"http://127.0.0.1:{running.console}"
    token = apart(lambda: account(running, f"axe {scheme} {width}", "administrator"))
    # The pages' own policy would not let axe in.
    context = browser.new_context(
        color_scheme=scheme, viewport={"width": width, "height": 800}, bypass_csp=True
    )
    page = context.new_page()
    looked_at = [*look(page, axe, f"{base}/sign-in"), *look(page, axe, f"{base}/welcome/{token}")]
    page.fill("input[name=password]", PASSWORD)
    page.fill("input[name=again]", PASSWORD)
    page.click("main button")
    for path in [
        *paths,
        CONTACT,
        "/nothing-here",
        "/messages?q=none",
        "/?per=hour&since=2026-11-20",
    ]:
        looked_at += look(page, axe, base + path)
    context.close()
    assert looked_at == []
    assert len(paths) > 10


def look(page: Any, axe: str, address: str) -> list[str]:
    """Return what axe-core finds on a page, but for the frame with somebody's email."""
    page.goto(address)
    page.evaluate(axe)
    found = page.evaluate("axe.run({exclude: [['iframe.map']]})")
    return [
        f"{address}: {each['impact']}: {each['id']}: {each['nodes'][0]['html'][:200]}"
        for each in found["violations"]
    ]
