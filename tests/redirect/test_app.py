"""The redirect over real sockets: behaviour § 6, row by row."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from clicktrail.ids import now_us
from clicktrail.journal import Entry
from clicktrail.journal.sqlite import SqliteJournal
from clicktrail.redirect.app import RedirectApp
from clicktrail.redirect.server import Listener, RedirectServer
from clicktrail.settings import Address
from clicktrail.token import Key, KeyRing

RING = KeyRing([Key(1, bytes(range(64)), 0)])
MESSAGE = "0123456789ABCDEFGHIJk"
URL = "https://shop.example/offer?utm_source=mail&n=1#top"


@dataclass
class House:
    """A running redirect, and what is in its journal."""

    http: httpx.AsyncClient
    app: RedirectApp
    address: Address
    journal: SqliteJournal

    def path(self, url: str = URL, link: int = 0) -> str:
        return "/c/" + RING.seal(MESSAGE, link, url)

    async def clicks(self) -> list[Entry]:
        return await self.journal.read(100, 0)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    journal = SqliteJournal(tmp_path / "journal.db")
    app = RedirectApp(RING.open, journal)
    server = RedirectServer(app, [Listener(Address("127.0.0.1", 0))])
    await server.start()
    address = server.addresses[0]
    async with httpx.AsyncClient(base_url=f"http://{address}") as http:
        yield House(http, app, address, journal)
    await server.stop()
    await journal.close()


async def test_a_click_is_logged_and_the_person_sent_on(house: House) -> None:
    before = now_us()
    response = await house.http.get(house.path(), headers={"User-Agent": "Firefox/1"})
    assert response.status_code == 302
    assert response.headers["location"] == URL
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-robots-tag"] == "noindex"
    assert URL.replace("&", "&amp;") in response.text
    [entry] = await house.clicks()
    click = entry.click
    assert (click.message_id, click.link, click.url) == (MESSAGE, 0, URL)
    assert (click.ip, click.user_agent) == ("127.0.0.1", "Firefox/1")
    assert before <= click.clicked_at <= now_us()
