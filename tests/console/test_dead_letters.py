"""Dead letters in the console: all of them can be seen, chosen and tried again."""

import re

import httpx
import pytest

from clicktrail.base.ids import hour_of, new_id
from clicktrail.console.app import Console
from clicktrail.console.views import span
from clicktrail.model import Click
from clicktrail.store import Store
from clicktrail.store.clicks.clicks import LoggedClick
from clicktrail.store.clicks.outbox import Notification
from clicktrail.store.clicks.statistics import Dimensions
from support.forms import send

SET, HOOK = "news", "hook"
AT = 1_790_000_000_000_000  # 2026-09-21


@pytest.fixture
async def console(store: Store) -> Console:
    return Console(store, retry_for=5400)


async def die(store: Store, number: int) -> None:
    """Make so many dead letters."""
    click = Click(new_id(AT), new_id(AT), 0, "https://a.example/", AT, "192.0.2.1", "Firefox")
    outgoing = tuple(
        Notification(f"{click.event_id}:{n}", SET, HOOK, "arn", b"{}") for n in range(number)
    )
    where = Dimensions(hour_of(AT), SET, "", "Google")
    await store.clicks.record([LoggedClick(click, where, outgoing=outgoing)])
    assert await store.outbox.give_up((SET, HOOK), "nobody there", AT) == number


def ids(text: str) -> list[str]:
    return re.findall(r'name="id" value="(\d+)"', text)


async def test_all_that_are_shown_can_be_chosen_at_once(
    store: Store, admin: httpx.AsyncClient
) -> None:
    await die(store, 450)
    page = (await admin.get("/dead-letters")).text
    assert "tried for 90 minutes" in page
    assert "450 in all" in page
    assert len(ids(page)) == 200
    after = await send(admin, "/dead-letters/replay", {"which": "chosen", "id": ids(page)})
    assert "200 are tried again" in after.text
    assert "250 in all" in after.text
    assert await store.outbox.count_dead() == 250
    again = await send(admin, "/dead-letters/replay", {"which": "all"})
    assert "250 are tried again" in again.text
    assert "There are none" in again.text


async def test_the_rest_is_on_pages_of_its_own(store: Store, viewer: httpx.AsyncClient) -> None:
    await die(store, 450)
    seen: list[str] = []
    at: str | None = "/dead-letters"
    while at is not None:
        text = (await viewer.get(at)).text
        seen += ids(text)
        older = re.search(r'href="([^"]+)">Older<', text)
        at = older[1] if older else None
    assert len(seen) == len(set(seen)) == 450
    assert "no older ones" in (await viewer.get("/dead-letters?before=1")).text
    assert (await viewer.get("/dead-letters?before=x")).status_code == 200


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (86400, "1 day"),
        (3600, "1 hour"),
        (129600, "36 hours"),
        (90, "90 seconds"),
        (0.5, "0.5 seconds"),
    ],
)
def test_a_span_is_said_in_the_unit_that_it_is_whole_in(seconds: float, words: str) -> None:
    assert span(seconds) == words
