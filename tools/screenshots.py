"""Take the pictures of the console in ``docs/images``.

    make screenshots

Runs a real service in a temporary folder, with numbers of the last 60 days, and a browser
(Chromium, and the dependency group ``browser``).
"""

import asyncio
import io
import random
import re
import shutil
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright
from sqlalchemy import Connection

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from clicktrail.model import USUAL  # noqa: E402
from clicktrail.store.clicks.statistics import (  # noqa: E402
    Counts,
    Dimensions,
    add_counts,
    add_link_counts,
    add_tag_counts,
)
from clicktrail.store.database.connect import open_database  # noqa: E402
from support.service import Service, email_with, hrefs, html_of  # noqa: E402
from support.visitor import PASSWORD  # noqa: E402

IMAGES = ROOT / "docs" / "images"
WIDTHS = {"desktop": 1280, "phone": 390}
SCHEMES = ("light", "dark")
NEWSLETTER = """<!doctype html>
<html><head><style>
body { margin: 0; background: #f3efe6; font: 16px/1.5 Georgia, serif; color: #33302a; }
table { border-collapse: collapse; } td { padding: 14px 18px; vertical-align: top; }
.button { background: #2f5d50; color: #fff; padding: 10px 22px; border-radius: 4px; }
</style></head><body>
<table align="center" width="600" style="background: #fff">
<tr><td colspan="2" style="background: #2f5d50; color: #fff"><h1>Books for the summer</h1>
<p>Forty titles that fit into a beach bag, chosen by our shops.</p></td></tr>
<tr><td colspan="2" align="center"><p>&nbsp;</p>
<a class="button" href="https://shop.example/summer" postbox:tags="place:header">See all of them</a>
<p>&nbsp;</p></td></tr>
<tr><td width="50%"><h2>1984</h2><p>Still newer than most news.</p>
<p><a href="https://shop.example/books/1984" postbox:tags="product:book;genre:fiction">Read more</a>
</td><td><h2>An atlas of islands</h2><p>Fifty places that you will never go to.</p>
<p><a href="https://shop.example/books/atlas" postbox:tags="product:book;genre:maps">Read more</a>
</td></tr>
<tr><td colspan="2"><h2>Near you</h2><p>Every shop is open until nine.
<a href="https://shop.example/shops" postbox:tags="place:footer">Find yours</a>, or
<a href="https://shop.example/events">come to a reading</a>.</td></tr>
<tr><td colspan="2" style="font-size: 13px; color: #777">You get this because you asked for it.
<a href="https://shop.example/unsubscribe">Unsubscribe</a></td></tr>
</table></body></html>
"""
READERS = [
    f"{name}@{provider}"
    for provider in ("gmail.com", "yandex.ru", "outlook.com")
    for name in ("ada", "boris", "carla", "dmitri", "emma", "fatima", "george", "hanna")
]
CLICKS = (9, 5, 3, 2, 0, 1)
"""How often each link of it is clicked."""


def count_some(connection: Connection) -> None:
    """Put numbers of 60 days into the counters."""
    chance = random.Random(7)
    now = datetime.now(UTC)
    for back in range(60):
        hour = f"{now - timedelta(days=back):%Y-%m-%dT%H}"
        for set_name, size in (("news", 900), ("receipts", 300)):
            for provider, part in (("Google", 1.0), ("Yandex", 0.7), ("Microsoft", 0.3)):
                sent = int(size * part * chance.uniform(0.7, 1.2))
                clicks = int(sent * chance.uniform(0.08, 0.2))
                when = Dimensions(hour, set_name, "shop.example", provider)
                unique, human, clicked = (int(clicks * share) for share in (0.85, 0.7, 0.6))
                counts = Counts(sent, clicks, unique, human, sent, clicked)
                third = clicks // 3
                part_of = Counts(0, clicks // 2, third, third, sent // 2, clicked // 2)
                add_counts(connection, 0, {when: counts})
                key = when.daily()
                add_tag_counts(connection, 0, {(key, "product", "book"): part_of})
                add_tag_counts(connection, 0, {(key, "place", "header"): part_of})
                add_link_counts(connection, 0, {(key, "https://shop.example/summer"): part_of})


async def seed(service: Service) -> None:
    """Give the service a past."""
    database = open_database(f"sqlite:///{service.data / 'clicktrail.db'}")
    await database.write(count_some)
    await database.close()


def prepare(service: Service) -> None:
    """Make configuration sets, send an email, click."""
    asyncio.run(seed(service))
    for name, more in (("news", ()), ("receipts", ("--engagement-statistics",)), ("plain", ())):
        service.cli("configuration-set", "create", name, *more)
    service.cli("event-destination", "add", "news", "clicks", "--stream", "clicks")
    hook = ("--webhook", "http://127.0.0.1:1/clicks", "--type", "CLICK")
    service.cli("event-destination", "add", "news", "warehouse", *hook)
    service.cli("identity", "create", "shop.example", "--configuration-set", "news")
    service.cli("configuration-set", "update", "news", "--keep-html")
    emails = []
    for reader in READERS:
        message = email_with(NEWSLETTER, "news")
        message.replace_header("Subject", "Books for the summer")
        message.replace_header("From", "Shop <news@shop.example>")
        message["X-SES-MESSAGE-TAGS"] = "campaign=summer"
        emails.append(hrefs(html_of(service.send(message, (reader,), "news@shop.example"))))
    time.sleep(USUAL.too_fast / 1000)  # whoever clicks sooner is taken for a machine
    for link, times in enumerate(CLICKS):
        for number in range(times):
            place = -1 - number * 2 - link % 2
            who = {"X-Forwarded-For": f"198.18.{len(emails) + place}.7"}
            service.request(emails[place][link], headers=who)
    service.request(emails[-1][3], headers={"User-Agent": "curl/8.5.0"})
    service.wait_for_events("clicks", sum(CLICKS) + 1)


def take(page: Page, name: str) -> None:
    """Keep a picture of the whole page, in few colours."""
    picture = Image.open(io.BytesIO(page.screenshot(full_page=True)))
    picture.quantize(128).save(IMAGES / f"{name}.png", optimize=True)


def visit(browser: Browser, base: str, welcome: str | None, scheme: str, width: str) -> None:
    """Take the pictures of all pages in one colour scheme and width."""
    shown: dict[str, Any] = {
        "viewport": {"width": WIDTHS[width], "height": 800},
        "color_scheme": scheme,
    }
    context = browser.new_context(**shown)
    page = context.new_page()
    page.goto(f"{base}/sign-in")
    take(page, f"sign-in-{width}-{scheme}")
    if welcome is not None:
        page.goto(welcome)
        page.fill("input[name=password]", PASSWORD)
        page.fill("input[name=again]", PASSWORD)
    else:
        page.fill("input[name=name]", "admin")
        page.fill("input[name=password]", PASSWORD)
    page.click("main button")
    page.goto(f"{base}/messages")
    message = re.search(r"/messages/[\w-]{21}", page.content())
    while not page.query_selector("tbody a[href^='/mailings/']"):  # the emails are being indexed
        page.goto(f"{base}/mailings")
    mailing = re.search(r"/mailings/[0-9a-f]{32}", page.content())
    assert message is not None
    assert mailing is not None
    yesterday = (datetime.now(UTC) - timedelta(days=1)).date()
    for name, path in {
        "guide": "/guide",
        "guide-done": message[0].replace("/messages/", "/guide?email="),
        "overview": "/",
        "configurations": "/configurations",
        "configuration": "/configurations/news",
        "destination": "/configurations/news/destinations/warehouse",
        "identities": "/identities",
        "emails": "/messages",
        "email": message[0],
        "mailings": "/mailings",
        "mailing": mailing[0],
        "hours": f"/?per=hour&since={yesterday}",
        "live": "/live",
        "dead-letters": "/dead-letters",
    }.items():
        page.goto(base + path)
        for frame in page.query_selector_all("iframe"):
            frame.scroll_into_view_if_needed()
        page.wait_for_timeout(400)
        take(page, f"{name}-{width}-{scheme}")
    context.close()


def main() -> None:
    """Take all pictures."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        sys.exit("Chromium is missing: run tools/install_browser.sh")
    IMAGES.mkdir(exist_ok=True)
    loopback = "127.0.0.0/8"
    flags = ("--webhook-allow", loopback, "--redirect-trusted-proxies", loopback)
    with tempfile.TemporaryDirectory() as folder, Service(Path(folder), *flags) as service:
        with ThreadPoolExecutor(1) as thread:  # the browser's event loop is in this one
            thread.submit(prepare, service).result()
        found = re.search(r"http://\S+/welcome/[\w-]+", service.said)
        welcome = found[0] if found else None
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            for scheme in SCHEMES:
                for width in WIDTHS:
                    visit(browser, f"http://127.0.0.1:{service.console}", welcome, scheme, width)
                    welcome = None
            browser.close()
    print(f"{len(list(IMAGES.glob('*.png')))} pictures in {IMAGES.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
