"""Forms in a real browser: what is typed goes where its page says, once, and is not lost."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from support.browsing import apart, go
from support.service import Service, email_with, hrefs, html_of, wait_for

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    flags = ("--webhook-allow", "127.0.0.0/8", "--publish-retry-for", "0")
    with Service(tmp_path_factory.mktemp("forms"), *flags) as service:
        apart(lambda: fill(service))
        yield service


def fill(service: Service) -> None:
    service.cli("configuration-set", "create", "news")
    service.cli("event-destination", "add", "news", "clicks", "--stream", "clicks")


def lose(service: Service, number: int) -> None:
    """Make so many dead letters."""
    service.cli("configuration-set", "create", "lost")
    hook = ("--webhook", "http://127.0.0.1:1/nobody", "--type", "CLICK")
    service.cli("event-destination", "add", "lost", "hook", *hook)
    (link,) = hrefs(html_of(service.send(email_with('<a href="http://a.example">x</a>', "lost"))))
    for _ in range(number):
        service.request(link)
    wait_for(
        lambda: json.loads(service.cli("events", "dead", "--json"))[number - 1 :] or None,
        "the dead",
    )


def told(running: Service) -> int:
    return len(apart(lambda: running.events("clicks")))


def test_after_a_test_event_save_saves(page: Any, running: Service) -> None:
    go(page, running, "/configurations/news/destinations/clicks")
    page.click("text=Send a test event")
    page.wait_for_selector("text=It has taken the test event")
    assert told(running) == 1
    page.reload()
    assert told(running) == 1, "a page that is loaded again sends nothing again"
    page.check("input[value=SEND]")
    page.click("text=Save")
    page.wait_for_selector("#settings >> text=Saved.")
    assert page.is_checked("input[value=SEND]")
    assert told(running) == 1


def test_after_a_refused_webhook_save_saves(page: Any, running: Service) -> None:
    go(page, running, "/configurations/news")
    page.click("text=Add an event destination")
    page.fill("#destinations input[name=name]", "hook")
    page.select_option("select[name=kind]", "webhook")
    page.fill("input[name=target]", "ftp://hooks.example/x")
    page.click("#destinations >> text=Add >> nth=-1")
    page.wait_for_selector("text=names no webhook")
    for _ in range(2):
        assert page.input_value("#destinations input[name=name]") == "hook"
        assert page.input_value("select[name=kind]") == "webhook"
        assert page.input_value("input[name=target]") == "ftp://hooks.example/x"
        page.reload()
    page.check("input[name=engagement]")
    page.click("text=Save")
    page.wait_for_selector("#settings >> text=Saved.")
    assert page.is_checked("input[name=engagement]")
    page.go_back()
    page.wait_for_selector("h1:has-text('news')")


def test_dead_letters_are_chosen_and_counted(page: Any, running: Service) -> None:
    apart(lambda: lose(running, 3))
    go(page, running, "/dead-letters")
    page.check("#choose-all")
    assert page.inner_text("#chosen") == "3 chosen"
    page.locator("input[name=id]").first.uncheck()
    assert page.inner_text("#chosen") == "2 chosen"
    assert page.evaluate("document.getElementById('choose-all').indeterminate")
    page.click("text=Try the chosen again")
    page.wait_for_selector("text=2 are tried again")
