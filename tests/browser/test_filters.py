"""Filters in a real browser: when they apply, what keeps the focus, what is never left standing."""

import re
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from support.browsing import apart
from support.service import Service, email_with, hrefs, html_of
from support.visitor import PASSWORD, account

pytestmark = pytest.mark.long

HTML = '<a href="http://shop.example/offer" postbox:tags="product:book">x</a>'


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with Service(tmp_path_factory.mktemp("filters")) as service:
        apart(lambda: fill(service))
        yield service


def fill(service: Service) -> None:
    for name in ("news", "shop"):
        service.cli("configuration-set", "create", name, "--engagement-statistics")
        click(service, name)
    service.wait_for_clicks("news", 1)
    service.wait_for_clicks("shop", 1)


def click(service: Service, name: str) -> None:
    (link,) = hrefs(html_of(service.send(email_with(HTML, name))))
    service.request(link)


@pytest.fixture(scope="module")
def signed(signed_in: Any, running: Service) -> Iterator[Any]:
    with signed_in(running) as opened:
        yield opened


@pytest.fixture
def page(signed: Any, running: Service) -> Any:
    signed.goto(base(running) + "/?since=2026-01-01&until=2026-12-31")
    return signed


def base(running: Service) -> str:
    return f"http://127.0.0.1:{running.console}"


class Asked:
    """The queries that a page asks its overview for, from now on."""

    def __init__(self, page: Any) -> None:
        self.queries: list[dict[str, list[str]]] = []
        page.on("request", self._add)

    def _add(self, request: Any) -> None:
        parts = urlsplit(request.url)
        if parts.path in ("/", "/live", "/messages"):
            self.queries.append(parse_qs(parts.query))


def settled(page: Any, path: str = "") -> None:
    """Wait until what was chosen is shown."""
    page.wait_for_function(
        "path => location.href.includes(path) && !document.querySelector('[aria-busy=true]')",
        arg=path,
    )


def focused(page: Any) -> str:
    return str(page.evaluate("document.activeElement.name"))


def test_a_date_is_typed_and_applies_when_it_is_left(page: Any) -> None:
    asked = Asked(page)
    page.focus("input[name=since]")
    page.keyboard.type("03042026")
    assert focused(page) == "since"
    assert page.input_value("input[name=since]") == "2026-03-04"
    assert asked.queries == []
    while focused(page) == "since":  # from one part of the date to the next
        page.keyboard.press("Tab")
    settled(page, "since=2026-03-04")
    assert focused(page) == "until"
    assert len(asked.queries) == 1
    assert page.locator("#ranges a[aria-current]").count() == 0
    page.keyboard.type("04052026")
    page.keyboard.press("Enter")
    settled(page, "until=2026-04-05")
    assert focused(page) == "until"
    assert len(asked.queries) == 2
    page.go_back()
    settled(page, "until=2026-12-31")
    assert page.input_value("input[name=until]") == "2026-12-31"


def test_a_choice_applies_at_once_and_keeps_the_focus(page: Any) -> None:
    asked = Asked(page)
    page.focus("select[name=configuration_set]")
    page.select_option("select[name=configuration_set]", "news")
    settled(page, "configuration_set=news")
    assert focused(page) == "configuration_set"
    assert [query["configuration_set"] for query in asked.queries] == [["news"]]
    page.wait_for_selector("#chart canvas")
    assert page.locator(".value").first.inner_text() == "1"


def test_enter_and_the_button_ask_once(page: Any) -> None:
    asked = Asked(page)
    page.focus("input[name=tag]")
    page.keyboard.type("product=book")
    assert asked.queries == []
    page.keyboard.press("Enter")
    settled(page, "tag=product")
    assert focused(page) == "tag"
    page.keyboard.type("s")
    page.click("text=Show")
    settled(page, "tag=product%3Dbooks")
    assert [query["tag"] for query in asked.queries] == [["product=book"], ["product=books"]]


def test_a_day_that_cannot_be_is_what_is_shown(page: Any) -> None:
    page.fill("input[name=until]", "2025-05-05")
    page.focus("select[name=provider]")
    settled(page, "until=2025-05-05")
    assert page.input_value("input[name=since]") == "2025-05-05"


def test_old_numbers_never_stand_under_new_filters(page: Any, running: Service) -> None:
    page.route(re.compile("provider=Google"), lambda _: None)  # never answered
    page.select_option("select[name=provider]", "Google")
    page.wait_for_selector("#shown[aria-busy=true]")
    page.wait_for_selector("#busy:has-text('Loading')")
    page.select_option("select[name=provider]", "Yandex")  # the last choice is what is shown
    settled(page, "provider=Yandex")
    assert page.inner_text("#busy") == ""
    page.unroute_all()


def test_what_fails_is_said_until_it_is_mended(browser: Any, page: Any, running: Service) -> None:
    state = page.context.storage_state()
    context = browser.new_context(storage_state=state)  # of its own: it may complain
    other = context.new_page()
    other.goto(base(running) + "/")
    context.set_offline(True)
    other.select_option("select[name=configuration_set]", "shop")
    other.wait_for_selector("#trouble >> text=The service does not answer.")
    assert not other.is_visible("#shown")
    context.set_offline(False)
    other.click("text=Try again")
    settled(other, "configuration_set=shop")
    assert other.is_visible("#shown")
    assert not other.is_visible("#trouble")
    context.close()


def test_who_is_signed_out_signs_in_and_goes_on(browser: Any, page: Any, running: Service) -> None:
    context = browser.new_context(storage_state=page.context.storage_state())
    other = context.new_page()
    other.goto(base(running) + "/")
    context.clear_cookies()
    other.select_option("select[name=configuration_set]", "shop")
    other.wait_for_url("**/sign-in?next=*configuration_set%3Dshop*")
    assert other.locator("header").count() == 0
    context.close()


def test_live_clicks_are_filtered_and_go_on(page: Any, running: Service) -> None:
    page.goto(base(running) + "/live")
    page.select_option("select[name=configuration_set]", "news")
    settled(page, "configuration_set=news")
    page.wait_for_selector("text=Connected")
    assert page.locator("#clicks tr").count() == 1
    apart(lambda: click(running, "shop"))
    apart(lambda: click(running, "news"))
    page.locator("#clicks tr").nth(1).wait_for()
    assert page.locator("#clicks td:text-is('shop')").count() == 0


@pytest.mark.parametrize("days", [1, 2, 3, 9, 40, 400, 3600])
def test_each_tick_of_the_picture_is_another_day(page: Any, running: Service, days: int) -> None:
    # What it draws its labels with is the canvas: each is taken down as it is drawn.
    page = page.context.new_page()
    page.add_init_script("""
        window.drawn = new Set();
        window.twice = [];
        const draw = CanvasRenderingContext2D.prototype.fillText;
        CanvasRenderingContext2D.prototype.fillText = function (text, ...place) {
            if (/-/.test(text)) {
                window.labelled = this.canvas;
                (drawn.has(text) ? twice : []).push(text), drawn.add(text);
            }
            return draw.call(this, text, ...place);
        };
        const clear = CanvasRenderingContext2D.prototype.clearRect;
        CanvasRenderingContext2D.prototype.clearRect = function (...place) {
            if (this.canvas === window.labelled) drawn.clear();
            return clear.call(this, ...place);
        };
    """)
    since = date(2026, 6, 30) - timedelta(days=days - 1)
    page.goto(f"{base(running)}/?since={since}&until=2026-06-30")
    page.wait_for_selector("#chart canvas")
    page.wait_for_function("drawn.size > 0")
    assert page.evaluate("twice") == []
    assert 1 <= page.evaluate("drawn.size") < 40
    page.close()


def test_days_and_times_are_the_readers(browser: Any, running: Service) -> None:
    token = apart(lambda: account(running, "hanako"))
    context = browser.new_context(timezone_id="Asia/Tokyo")
    page = context.new_page()
    page.goto(f"{base(running)}/welcome/{token}")
    page.fill("input[name=password]", PASSWORD)
    page.fill("input[name=again]", PASSWORD)
    loaded = Asked(page)
    page.click("main button")
    page.wait_for_selector("footer >> text=Asia/Tokyo")
    assert len(loaded.queries) == 1, "nothing is loaded twice"
    page.goto(base(running) + "/live")
    shown = page.locator("#clicks .when").first.inner_text()
    clicked = page.evaluate("text => Date.now() - new Date(text + '+09:00')", shown)
    assert 0 <= clicked < 3_600_000
    moved = browser.new_context(
        timezone_id="America/New_York", storage_state=context.storage_state()
    )
    page = moved.new_page()
    page.goto(base(running) + "/?since=2026-01-01&until=2026-01-03&per=hour")
    page.wait_for_selector("footer >> text=America/New_York")
    page.wait_for_selector("#chart canvas")
    moved.close()
    context.close()
