"""Whatever text is asked for, every store answers: no client's text is a fault of the database."""

from collections.abc import AsyncIterator

import pytest

from clicktrail.errors import NotFound
from clicktrail.model import Subscription, Where
from clicktrail.model.subscription import ContactList, SubscriptionStatus
from clicktrail.store import Store
from clicktrail.store.people.contact_rows import Filter


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[Store]:
    opened = await Store.open(store_url)
    yield opened
    await opened.close()


@pytest.mark.parametrize("text", ["\0", "a\0b", "\ud800", "x" * 100_000])
async def test_what_nobody_is_called_is_found_nowhere(store: Store, text: str) -> None:
    await store.contacts.create_list(ContactList("ours", 1, 1))
    assert await store.contacts.page("ours", after=text) == []
    out = SubscriptionStatus.OPT_OUT
    assert await store.contacts.page("ours", only=Filter(out, text, with_default=True)) == []
    for call in (store.contacts.get_list, store.contacts.delete_list, store.contacts.page):
        with pytest.raises(NotFound):
            await call(text)
    assert await store.unsubscribed.page((text, text, text)) == []
    assert await store.unsubscribed.page(contact_list=text) == []
    assert await store.unsubscribed.unwilling(text, text, [text]) == []
    for wish in (Subscription(text, "", "a@x.example"), Subscription("ours", text, "a@x.example")):
        with pytest.raises(NotFound):
            await store.unsubscribed.remove(wish)
    assert await store.suppression.page(after=text) == []
    assert await store.suppression.among([text]) == {}
    assert await store.do_not_track.page(after=text) == []
    assert not await store.do_not_track.has(text)
    assert await store.templates.page(after=text) == []
    for where in (Where(configuration_set=text), Where(identity=text), Where(provider=text)):
        assert await store.unsubscribes.daily(where) == []
        assert await store.opens.daily(where) == []
        assert await store.statistics.daily(where) == []
