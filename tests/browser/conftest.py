"""What the tests in a browser share: Chromium, and somebody who is signed in."""

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest

from support.service import PATIENCE, Service
from support.visitor import PASSWORD

SignIn = Callable[[Service], AbstractContextManager[Any]]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium."""
    playwright = pytest.importorskip(
        "playwright.sync_api",
        reason="NOT TESTED: playwright is missing; install the dependency group 'browser'",
    )
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip(
            "NOT TESTED: Chromium is missing, so nobody looked at the console;"
            " run tools/install_browser.sh"
        )
    with playwright.sync_playwright() as running:
        opened = running.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def signed_in(browser: Any) -> SignIn:
    """Open a page whose administrator has just set a password; it must have no complaints."""

    @contextmanager
    def open_page(service: Service, **options: Any) -> Iterator[Any]:
        found = re.search(r"http://\S+/welcome/[\w-]+", service.said)
        assert found
        context = browser.new_context(**options)
        context.set_default_timeout(PATIENCE * 1000)
        page = context.new_page()
        complaints: list[str] = []
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
        page.goto(found[0])
        page.fill("input[name=password]", PASSWORD)
        page.fill("input[name=again]", PASSWORD)
        page.click("main button")
        yield page
        assert complaints == []
        context.close()

    return open_page


@pytest.fixture(scope="module")
def page(signed_in: SignIn, running: Service) -> Iterator[Any]:
    """A page of the service that a module calls ``running``, signed in as its administrator."""
    with signed_in(running) as opened:
        yield opened
