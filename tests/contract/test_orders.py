"""What redirects are told, and who is not to be tracked, in SQLite and PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, delete, update

from clicktrail.base.ids import new_id, now_us, pack_id
from clicktrail.errors import InvalidInput, NotFound
from clicktrail.keys.orders import OrdersCopy
from clicktrail.model import Click, Link, Message, MessageState, Reason
from clicktrail.model.orders import ListTopics, digest_of
from clicktrail.model.subscription import ContactList, SubscriptionStatus, Topic
from clicktrail.service.orders import OrdersKeeper
from clicktrail.store import Store
from clicktrail.store.clicks.clicks import LoggedClick
from clicktrail.store.clicks.statistics import Dimensions
from clicktrail.store.tables import orders_version
from support.service import PATIENCE

OLD, NEW = "https://a.example/", "https://b.example/"


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[Store]:
    opened = await Store.open(store_url)
    yield opened
    await opened.close()


async def sent(store: Store, *recipients: str, reason: Reason | None = None) -> str:
    """Keep an email; return its id."""
    at = now_us()
    links = () if reason else (Link(0, OLD),)
    made = Message(new_id(at), at, "news@example.com", recipients, reason=reason, links=links)
    await store.messages.add(made)
    await store.messages.finish(made.id, MessageState.SENT, recipients, at)
    return made.id


async def test_changes_hold_the_newest_first_until_they_are_undone(store: Store) -> None:
    orders = store.orders
    assert await orders.newer("") is None
    first = await orders.replace(OLD, NEW, by="anna")
    second = await orders.block(OLD, "  gone  for\ngood ", by="berta", since=5)
    now = await orders.newer("")
    assert now is not None
    assert now.changes == (second, first)
    assert (second.destination, second.because) == (None, "gone for good")
    assert await orders.newer(now.version) is None
    undone = await orders.undo(second.id, "carla")
    assert undone.undone_at >= second.made_at
    later = await orders.newer(now.version)
    assert later is not None
    assert later.changes == (first,)
    assert await orders.changes() == [undone, first]
    assert await orders.changes([NEW]) == []
    with pytest.raises(NotFound, match="link changes"):
        await orders.undo(second.id, "carla")
    with pytest.raises(NotFound, match="configuration set 'x'"):
        await orders.replace(OLD, NEW, by="", configuration_set="x")
    for wrong in ("", "a.example/x", "mailto:a@b.example", "//a.example/"):
        with pytest.raises(InvalidInput, match="begins with http"):
            await orders.block(wrong, "gone", by="")
    for wrong in ("", "b.example", "ftp://b.example/", "https://", "javascript:1"):
        with pytest.raises(InvalidInput, match="no URL of http"):
            await orders.replace(OLD, wrong, by="")
    made = await orders.replace(OLD, "http://b.example/\udcff", by="")
    assert made.destination == "http://b.example/\ufffd"


async def test_changes_are_found_by_all_urls_of_an_email(store: Store) -> None:
    made = await store.orders.replace(OLD, NEW, by="anna")
    await store.orders.block(NEW, "gone", by="anna")
    urls = [f"{OLD}{number}" for number in range(300_000)]  # more than values in a statement
    assert await store.orders.changes([*urls, OLD]) == [made]
    assert await store.orders.changes(urls) == []


async def test_who_is_listed_is_found_with_the_emails_they_had_got(store: Store) -> None:
    theirs = [await sent(store, "Anna@Example.com"), await sent(store, "x@other.example")]
    await sent(store, "berta@example.com")
    await sent(store, "anna@example.com", reason=Reason.SIGNED)  # it tells nothing
    assert not await store.do_not_track.look_for_emails()
    assert not (await store.configuration.current()).spares
    added = await store.do_not_track.add(["ANNA@example.com", "@OTHER.example"], "me")
    assert added == ["anna@example.com", "@other.example"]
    assert (await store.configuration.current()).spares
    assert await store.do_not_track.look_for_emails()
    assert not await store.do_not_track.look_for_emails()
    now = await store.orders.newer("")
    assert now is not None
    assert now.untracked == b"".join(sorted(digest_of(pack_id(id_)) for id_ in theirs))
    asked = {
        "1": ("anna@EXAMPLE.com",),
        "2": ("y@other.example", "archive@example.com"),
        "3": ("berta@example.com",),
        theirs[0]: (),  # nobody knows any more whose it was
        new_id(): (),
    }
    assert await store.do_not_track.among(asked) == {"1", "2", theirs[0]}
    assert [each.name for each in await store.do_not_track.page()] == sorted(added)
    await store.orders.replace(OLD, NEW, by="anna")
    led = await store.orders.newer(now.version)
    assert led is not None
    assert led.untracked is None  # there may be millions, and they are known
    assert led.over(now).untracked == now.untracked
    await store.do_not_track.remove("anna@example.com")
    later = await store.orders.newer(led.version)
    assert later is not None
    assert (later.changes, later.untracked) == (None, digest_of(pack_id(theirs[1])))
    assert await store.orders.newer("") == later.over(led.over(now))
    with pytest.raises(NotFound, match="not on the list"):
        await store.do_not_track.remove("anna@example.com")
    with pytest.raises(InvalidInput, match="not a domain"):
        await store.do_not_track.add(["@"], "me")


async def test_what_changed_while_parts_had_one_version_is_told(store: Store) -> None:
    """A copy of then may be older than the store."""

    async def as_before(version: str) -> None:
        def work(connection: Connection) -> None:
            connection.execute(delete(orders_version).where(orders_version.c.id != 1))
            connection.execute(update(orders_version).values(version=version))

        await store.orders._database.write(work)

    id_ = await sent(store, "anna@example.com")
    made = await store.orders.replace(OLD, NEW, by="anna")
    await store.do_not_track.add(["anna@example.com"], "me")
    await store.do_not_track.look_for_emails()
    await as_before("second")
    behind, up_to_date = [await store.orders.newer(known) for known in ("first", "second")]
    assert behind is not None
    assert up_to_date is not None
    assert behind.untracked == up_to_date.untracked == digest_of(pack_id(id_))
    version = behind.version
    assert await store.orders.newer(version) is None
    await store.do_not_track.remove("anna@example.com")
    await as_before("third")  # by a node of before
    later = await store.orders.newer(version)
    assert later is not None
    assert (later.changes, later.untracked) == ((made,), b"")


async def test_the_copy_has_all_of_what_came_in_parts(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clicktrail.service.orders.LOOK_SECONDS", 0.01)
    copy = OrdersCopy(tmp_path)
    keepers = [OrdersKeeper(tmp_path, store.orders) for _ in range(2)]  # of one copy

    async def is_kept() -> None:
        async with asyncio.timeout(PATIENCE):
            wanted = await store.orders.newer("")
            while copy.read() != wanted:  # noqa: ASYNC110 - files tell nobody
                await asyncio.sleep(0.01)

    await sent(store, "anna@example.com")
    for keeper in keepers:
        await keeper.start()
    try:
        await store.orders.replace(OLD, NEW, by="anna")
        await is_kept()
        await store.do_not_track.add(["anna@example.com"], "me")
        await store.do_not_track.look_for_emails()
        await is_kept()
        await store.orders.block(OLD, "gone", by="anna")
        await is_kept()
        copy.path.unlink()
        await is_kept()
    finally:
        for keeper in keepers:
            await keeper.stop()
    found = copy.read()
    assert found is not None
    assert found.changes
    assert found.untracked
    assert len(found.changes) == 2
    assert len(found.untracked) == 8


@pytest.mark.parametrize("destination", ["", NEW, None])
async def test_a_click_says_where_it_was_led(store: Store, destination: str | None) -> None:
    id_ = await sent(store, "anna@example.com")
    click = Click(new_id(), id_, 0, OLD, now_us(), "", "", destination=destination)
    await store.clicks.record([LoggedClick(click, Dimensions("2026-11-23T18", "", "", ""))])
    found = await store.browse.click(click.event_id)
    assert found is not None
    assert found.click.destination == destination


async def test_topics_are_told_of_lists_that_have_several(store: Store) -> None:
    first, second = (Topic(n, n.title() * 40, SubscriptionStatus.OPT_IN) for n in ("one", "two"))
    await store.contacts.create_list(ContactList("ours", 1, 1, topics=(first, second)))
    await store.contacts.create_list(ContactList("theirs", 1, 1, topics=(first,)))
    told = await store.orders.newer("")
    assert told is not None
    assert told.lists == (
        ListTopics("ours", (("one", "One" * 33 + "O"), ("two", "Two" * 33 + "T"))),
    )
    assert await store.orders.newer(told.version) is None
    assert await store.orders.newer(told.version.rpartition(" ")[0]) is not None, "a node of before"
    await store.contacts.put_topic("theirs", second)
    more = await store.orders.newer(told.version)
    assert more is not None
    assert more.changes is None
    assert [each.name for each in more.lists or ()] == ["ours", "theirs"]
    await store.contacts.delete_list("ours")
    await store.contacts.remove_topic("theirs", "one")
    less = await store.orders.newer(more.version)
    assert less is not None
    assert less.lists == ()
