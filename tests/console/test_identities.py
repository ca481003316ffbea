"""Identities in the console: listed, made, bound, deleted, and what is said before."""

import re
from html import unescape

import httpx
import pytest

from clicktrail.base.arn import stream_arn
from clicktrail.errors import InvalidInput
from clicktrail.model import ConfigurationSet, EventDestination, EventType
from clicktrail.store import Store
from support.forms import send

BAD = ["http://example.com", "a@b@c", "example", "*.example.com", "-x-.com", "a b@x.com", ""]


async def test_an_identity_is_made_bound_and_deleted(
    store: Store, admin: httpx.AsyncClient, viewer: httpx.AsyncClient
) -> None:
    await store.configuration.create_set(ConfigurationSet("news"))
    name = '"a/b?#"@Shop.Example'
    page = await send(admin, "/identities", {"name": name, "configuration_set": "news"})
    kept = '"a/b?#"@shop.example'
    assert kept in unescape(page.text)
    (made,) = await store.configuration.list_identities()
    assert (made.name, made.configuration_set) == (kept, "news")
    at = f"/identities/{made.id}"
    assert f'href="{at}"' in (await viewer.get("/identities")).text
    looked = await viewer.get(at)
    assert kept in unescape(looked.text)
    assert "Save" not in looked.text
    page = await send(admin, at, {"configuration_set": ""})
    assert "Saved." in page.text
    assert (await store.configuration.get_identity(kept)).configuration_set is None
    page = await send(admin, at, {"configuration_set": "none"})
    assert "there is no configuration set" in page.text
    assert "It is the last one" in page.text
    page = await send(admin, f"{at}/delete")
    assert f"Deleted {kept}." in unescape(page.text)
    assert (await admin.get(at)).status_code == 404


async def test_mailboxes_that_may_send_are_named(
    store: Store, admin: httpx.AsyncClient, viewer: httpx.AsyncClient
) -> None:
    made = await store.configuration.create_identity("example.com")
    at = f"/identities/{made.id}"
    page = await send(admin, f"{at}/senders", {"senders": "shop, News  news@example.com"})
    assert "Saved." in page.text
    assert 'value="news, shop"' in (await viewer.get(at)).text
    page = await send(admin, f"{at}/senders", {"senders": "a@other.example"})
    assert "is no mailbox of example.com" in page.text
    page = await send(admin, f"{at}/senders", {"senders": ""})
    assert "all mailboxes may send" in page.text
    assert (await store.configuration.get_identity("example.com")).senders == ()
    one = await store.configuration.create_identity("a@example.com")
    assert "Mailboxes" not in (await admin.get(f"/identities/{one.id}")).text


@pytest.mark.parametrize("bad", BAD)
async def test_what_is_none_is_refused_with_the_same_words(
    store: Store, admin: httpx.AsyncClient, bad: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        await store.configuration.create_identity(bad)
    for path in ("/identities", "/guide/identity"):
        page = await send(admin, path, {"name": bad})
        text = unescape(page.text)
        assert str(refused.value) in text, path
        assert f'name="name" value="{bad}"' in text, path
    assert await store.configuration.list_identities() == []


async def test_what_goes_with_a_configuration_set_is_named_before(
    store: Store, admin: httpx.AsyncClient
) -> None:
    types = frozenset({EventType.CLICK})
    to = tuple(EventDestination(name, stream_arn("s"), types) for name in ("one", "two"))
    await store.configuration.create_set(ConfigurationSet("news", destinations=to))
    for name in ("shop.example", "a@other.example"):
        await store.configuration.create_identity(name, "news")
    await store.configuration.create_identity("free.example")
    page = (await admin.get("/configurations/news")).text
    asked = page[page.index('id="delete"') :]
    assert re.search(r"destinations go with it.*one and two", asked)
    assert re.search(r"bound to none.*a@other.example and shop.example", asked)
    assert "free.example" not in page
