"""What every store keeps of contact lists, and of who has left them."""

import asyncio
import random
import string
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace

import pytest
from sqlalchemy import Connection, update

from clicktrail.base.ids import new_id, now_us
from clicktrail.errors import AlreadyExists, InvalidInput, NotFound, StoreUnavailable
from clicktrail.model import Subscription, Where
from clicktrail.model.subscription import Contact, ContactList, SubscriptionStatus, Topic
from clicktrail.store import Store
from clicktrail.store.clicks.statistics import Dimensions
from clicktrail.store.clicks.unsubscribes import LoggedUnsubscribe, Unsubscribe
from clicktrail.store.database.core import storable
from clicktrail.store.people import contacts as contact_store
from clicktrail.store.people.contact_rows import ATTRIBUTES_LIMIT, MOST_TOPICS
from clicktrail.store.people.suppression import SuppressionReason
from clicktrail.store.people.tables import contact_lists, contact_topics

IN, OUT = SubscriptionStatus
ANNA = "Anna.Ott@Bücher.example"
SPORT, NEWS = Topic("sport", "Sport", OUT), Topic("news", "News", IN)


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[Store]:
    opened = await Store.open(store_url)
    yield opened
    await opened.close()


def a_list(name: str = "ours", *topics: Topic) -> ContactList:
    return ContactList(name, 1, 1, "Ours", topics, (("a", "b"),))


async def test_an_address_is_found_however_it_is_written(store: Store) -> None:
    await store.unsubscribed.put([Subscription("ours", "", ANNA)])
    spellings = [ANNA.lower(), "<ANNA.OTT@xn--bcher-kva.example>", '"anna.ott"@bücher.example.']
    assert await store.unsubscribed.unwilling("ours", "", spellings) == spellings
    others = ["anna@bücher.example", "", "@", "\udcff@x", "a" * 5000]
    assert await store.unsubscribed.unwilling("ours", "", others) == []
    assert (await store.contacts.get("ours", spellings[1])).address == ANNA


async def test_what_holds_for_a_topic(store: Store) -> None:
    await store.contacts.create_list(a_list("ours", SPORT, NEWS))
    people = {
        "nobody@x.example": None,
        "says-nothing@x.example": Contact("", 1, 1),
        "in@x.example": Contact("", 1, 1, (("sport", IN), ("news", IN))),
        "out@x.example": Contact("", 1, 1, (("sport", OUT), ("news", OUT))),
        "left@x.example": Contact("", 1, 1, (("sport", IN),), unsubscribed=True),
    }
    for address, made in people.items():
        if made is not None:
            await store.contacts.create("ours", replace(made, address=address))

    async def unwilling(topic: str) -> list[str]:
        found = await store.unsubscribed.unwilling("ours", topic, people)
        return [each.partition("@")[0] for each in found]

    assert await unwilling("") == ["left"]
    assert await unwilling("news") == ["out", "left"]
    assert await unwilling("sport") == ["nobody", "says-nothing", "out", "left"]
    assert await unwilling("unknown") == ["left"]
    assert await store.unsubscribed.unwilling("theirs", "sport", people) == []


async def test_lists_and_contacts_are_checked(store: Store) -> None:
    await store.contacts.create_list(a_list("ours", NEWS))
    many = [replace(NEWS, name=f"n{number}") for number in range(MOST_TOPICS + 1)]
    for wrong in (
        a_list("a b"),
        a_list("x" * 65),
        a_list("theirs", *many),
        a_list("theirs", NEWS, NEWS),
        a_list("theirs", replace(NEWS, name="ä")),
        replace(a_list("theirs"), description="x" * 501),
    ):
        with pytest.raises(InvalidInput):
            await store.contacts.create_list(wrong)
    with pytest.raises(AlreadyExists):
        await store.contacts.create_list(a_list())
    for contact in (
        Contact("none", 1, 1),
        Contact("a@x.example", 1, 1, (("sport", IN),)),
        Contact("a@x.example", 1, 1, attributes="x" * (ATTRIBUTES_LIMIT + 1)),
    ):
        with pytest.raises(InvalidInput):
            await store.contacts.create("ours", contact)
    with pytest.raises(NotFound):
        await store.contacts.create("theirs", Contact("a@x.example", 1, 1))
    with pytest.raises(NotFound):
        await store.unsubscribed.remove(Subscription("ours", "", "a@x.example"))
    with pytest.raises(InvalidInput):
        await store.unsubscribed.put([Subscription("ours", "a b", "a@x.example")])
    assert [each.name for each in await store.contacts.lists()] == ["ours"]


async def test_who_has_left_is_listed_page_by_page(store: Store) -> None:
    wishes = [
        Subscription(name, topic, f"{number}@x.example")
        for name in ("a", "b")
        for number in range(4)
        for topic in ("", "sport")[: 1 + number % 2]
    ]
    await store.unsubscribed.put(wishes)
    after, found = ("", "", ""), list[Subscription]()
    while page := await store.unsubscribed.page(after, limit=3):
        found += [each.subscription for each in page]
        after = (found[-1].contact_list, found[-1].address, found[-1].topic)
    assert found == wishes
    only = await store.unsubscribed.page(contact_list="b")
    assert [each.subscription for each in only] == [w for w in wishes if w.contact_list == "b"]
    await store.unsubscribed.remove(Subscription("a", "sport", "1@x.example"))
    await store.unsubscribed.remove(Subscription("a", "", "3@x.example"))
    left = [each.subscription for each in await store.unsubscribed.page(contact_list="a")]
    assert [(each.address[0], each.topic) for each in left] == [("0", ""), ("1", ""), ("2", "")]


async def test_a_request_counts_once_and_is_taken_back_once(store: Store) -> None:
    wish = Subscription("ours", "", ANNA)
    at = now_us()
    made = Unsubscribe(new_id(at), new_id(at), at, "ours", "")
    logged = LoggedUnsubscribe(made, wish, Dimensions("2026-11-23", "set", "", "Other"))
    assert await store.unsubscribes.record([logged, logged]) == 1
    await store.unsubscribed.remove(wish)
    assert await store.unsubscribes.record([logged]) == 0  # read again after a crash
    assert await store.unsubscribed.unwilling("ours", "", [ANNA]) == []
    days = await store.unsubscribes.daily(Where(configuration_set="set"))
    assert [(each.day, each.unsubscribes) for each in days] == [("2026-11-23", 1)]
    assert await store.unsubscribes.of(made.message_id) == [made]
    assert await store.unsubscribes.forget(at + 1_000_000_000) == 1
    assert await store.unsubscribes.of(made.message_id) == []
    assert await store.unsubscribes.daily(Where()) == days


async def test_a_person_is_erased_and_the_wish_stays(store: Store) -> None:
    await store.contacts.create_list(a_list("willing", NEWS))
    await store.contacts.create("willing", Contact(ANNA, 1, 1, (("news", IN),)))
    await store.contacts.create_list(a_list("mixed", NEWS, SPORT))
    said = (("news", OUT), ("sport", IN))
    await store.contacts.create("mixed", Contact(ANNA, 1, 1, said, attributes="Anna"))
    await store.unsubscribed.put([Subscription("left", "", ANNA)])
    assert (await store.forget_person(ANNA)).contacts == 3
    assert (await store.forget_person(ANNA)).contacts == 0
    assert await store.contacts.page("mixed") == []
    assert await store.unsubscribed.page() == []
    with pytest.raises(NotFound):
        await store.contacts.get("willing", ANNA)
    kept = await store.contacts.get("mixed", ANNA)
    assert (kept.preferences, kept.attributes) == ((("news", OUT),), "")
    assert await store.unsubscribed.unwilling("mixed", "news", [ANNA]) == [ANNA]
    assert await store.unsubscribed.unwilling("left", "", [ANNA]) == [ANNA]


@pytest.mark.parametrize("suppressing", [True, False])
async def test_who_leaves_is_suppressed_where_it_is_asked_for(
    store: Store, *, suppressing: bool
) -> None:
    at = now_us()

    def logged(topic: str, address: str) -> LoggedUnsubscribe:
        made = Unsubscribe(new_id(at), new_id(at), at, "ours", topic)
        wish = Subscription("ours", topic, address)
        return LoggedUnsubscribe(made, wish, Dimensions("2026-11-23", "", "", "Other"))

    some = [logged("", ANNA), logged("sport", "b@x.example")]
    assert await store.unsubscribes.record(some, suppressing=suppressing) == 2
    found = await store.suppression.among([ANNA, "b@x.example"])
    assert found == ({ANNA: SuppressionReason.UNSUBSCRIBE} if suppressing else {})
    assert (await store.configuration.current()).suppresses is suppressing


async def test_whoever_got_an_email_can_leave_whatever_their_address_is(store: Store) -> None:
    at = now_us()
    # Random: PostgreSQL would compress another one until an index has room for it.
    long = "".join(random.Random(1).choices(string.ascii_letters, k=8000))
    people = [f"{long}@x.example", long, "ß" * 300 + "@x.example", "", "@", "\udcff@x.example"]
    some = []
    for address in people:
        wish = Subscription("ours", "", storable(address))
        made = Unsubscribe(new_id(at), new_id(at), at, "ours", "")
        some.append(LoggedUnsubscribe(made, wish, Dimensions("2026-11-23", "", "", "Other")))
    assert await store.unsubscribes.record(some, suppressing=True) == len(people)
    there = [each.subscription.address for each in some]
    assert await store.unsubscribed.unwilling("ours", "", there) == there
    assert list(await store.suppression.among(there)) == there
    assert all(len(each.subscription.address) <= 320 for each in await store.unsubscribed.page())


async def test_who_change_topics_at_once_undo_nothing_of_one_another(store_url: str) -> None:
    stores = [await Store.open(store_url) for _ in range(2)]
    await stores[0].contacts.create_list(a_list())
    topics = [Topic(f"t{number}", "A topic", IN) for number in range(16)]
    writing = [
        each.contacts.put_topic("ours", topic)
        for each, topic in zip(stores * 8, topics, strict=True)
    ]
    await asyncio.gather(*writing)
    found = (await stores[0].contacts.get_list("ours")).topics
    assert sorted(found, key=str) == sorted(topics, key=str)
    for each in stores:
        await each.close()


async def test_a_long_list_is_deleted_a_piece_at_a_time_and_no_wish_before_the_list(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contact_store, "_AT_ONCE", 10)
    await store.contacts.create_list(a_list("ours", NEWS))
    off = [Subscription("ours", "news" * (n % 2), f"{n}@off.example") for n in range(50)]
    await store.unsubscribed.put([*off, Subscription("theirs", "news", ANNA)])
    for number in range(100):
        await store.contacts.create("ours", Contact(f"{number}@x.example", 1, 1, (("news", IN),)))
    deleting = asyncio.create_task(store.contacts.delete_list("ours"))
    left = set()
    while not deleting.done():
        await store.unsubscribed.put([Subscription("theirs", "", ANNA)])
        with suppress(NotFound):
            left.add(len(await store.contacts.page("ours")))
        wishes = await store.unsubscribed.page(contact_list="ours")
        assert len(wishes) in (0, len(off))
    assert left - {0, 150}, "somebody wrote in between"
    await deleting
    with pytest.raises(NotFound):
        await store.contacts.get_list("ours")
    assert await store.unsubscribed.page(contact_list="ours") == []
    await store.contacts.create_list(a_list("ours", NEWS))
    assert await store.unsubscribed.unwilling("ours", "news", ["7@x.example"]) == []
    assert await store.unsubscribed.unwilling("theirs", "news", [ANNA]) == [ANNA]
    with pytest.raises(NotFound):
        await store.contacts.delete_list("none")


async def test_damaged_topics_spare_other_lists_and_nobody_gets_what_they_may_not_want(
    store: Store,
) -> None:
    for name in ("ours", "theirs"):
        await store.contacts.create_list(a_list(name, NEWS, SPORT))

    def work(connection: Connection) -> None:
        harm = {"topics": '[{"name":', "tags": "\x00["}
        if connection.dialect.name == "postgresql":
            harm["tags"] = "["
        ours = contact_lists.c.name == "ours"
        connection.execute(update(contact_lists).where(ours).values(harm))

    await store.contacts._database.write(work)
    assert [(each.name, len(each.topics)) for each in await store.contacts.lists()] == [
        ("ours", 0),
        ("theirs", 2),
    ]
    orders = await store.orders.newer("")
    assert orders is not None
    assert [each.name for each in orders.lists or ()] == ["theirs"]
    with pytest.raises(StoreUnavailable, match=r"ours.* set them anew"):
        await store.unsubscribed.unwilling("ours", "sport", [ANNA])
    assert await store.unsubscribed.unwilling("theirs", "sport", [ANNA]) == [ANNA]
    await store.contacts.put_topic("ours", SPORT)
    assert await store.unsubscribed.unwilling("ours", "sport", [ANNA]) == [ANNA]
    await store.contacts.create("ours", Contact(ANNA, 1, 1, (("sport", IN),)))
    assert await store.unsubscribed.unwilling("ours", "sport", [ANNA]) == []
    harm_status = update(contact_topics).values({"status": "OPT_OUX"})
    await store.contacts._database.write(lambda c: c.execute(harm_status).rowcount)
    assert await store.unsubscribed.unwilling("ours", "sport", [ANNA]) == [ANNA]
    assert (await store.contacts.get("ours", ANNA)).preferences == (("sport", OUT),)
