"""Contact lists, contacts and the suppression list in the console, over what the API changes."""

import re
from html import unescape

import httpx
import pytest

from clicktrail.errors import InvalidInput, NotFound
from clicktrail.model import Subscription
from clicktrail.model.subscription import Contact, ContactList, SubscriptionStatus, Topic
from clicktrail.store import Store
from clicktrail.store.finding import looking
from clicktrail.store.people.suppression import SuppressionReason
from support.forms import send

IN, OUT = SubscriptionStatus.OPT_IN, SubscriptionStatus.OPT_OUT
ANNA = "anna+a/b?c#d@example.com"


async def listed(store: Store, *contacts: Contact) -> None:
    """Make the list ``news`` with one topic."""
    topics = (Topic("sport", "Sport & more", IN),)
    await store.contacts.create_list(ContactList("news", 1, 1, topics=topics))
    for each in contacts:
        await store.contacts.create("news", each)


async def test_a_list_is_made_described_and_deleted(
    store: Store, admin: httpx.AsyncClient, viewer: httpx.AsyncClient
) -> None:
    page = await send(admin, "/contact-lists", {"name": "a b", "description": 'The "shop"'})
    assert "not a valid name" in page.text
    assert 'value="The &#34;shop&#34;"' in page.text
    page = await send(admin, "/contact-lists", {"name": "news", "description": "Shop"})
    assert page.url.path == "/contact-lists/news"
    page = await send(admin, "/contact-lists/news", {"description": "x" * 501})
    assert "more than 500 characters" in page.text
    assert "x" * 501 in page.text
    await send(admin, "/contact-lists/news", {"description": "New"})
    assert (await store.contacts.get_list("news")).description == "New"
    assert 'href="/contact-lists/news"' in (await viewer.get("/contact-lists")).text
    looked = (await viewer.get("/contact-lists/news")).text
    assert 'method="post" action="/contact-lists' not in looked
    page = await send(admin, "/contact-lists/news/delete")
    assert "Deleted the contact list news." in page.text
    assert (await admin.get("/contact-lists/news")).status_code == 404


async def test_topics_are_added_changed_and_removed(store: Store, admin: httpx.AsyncClient) -> None:
    at = "/contact-lists/news/topics"
    await store.contacts.create_list(ContactList("news", 1, 1))
    given = {"topic": "sport", "display_name": "Sport", "default": "OPT_OUT"}
    await send(admin, at, given)
    assert (await store.contacts.get_list("news")).topics == (Topic("sport", "Sport", OUT),)
    page = await send(admin, at, given | {"description": "Twice"})
    assert "there is a topic 'sport' already" in unescape(page.text)
    assert 'value="Twice"' in page.text
    assert "is no status" in (await send(admin, at, given | {"default": "?"})).text
    await send(admin, at, {"what": "change", "topic": "sport", "default": "OPT_IN"})
    assert (await store.contacts.get_list("news")).topics == (Topic("sport", "sport", IN),)
    page = await send(admin, f"{at}/remove", {"topic": "sport"})
    assert "stays in force" in page.text
    assert (await store.contacts.get_list("news")).topics == ()
    assert "there is no topic" in (await send(admin, f"{at}/remove", {"topic": "sport"})).text


async def test_a_contact_is_added_unsubscribed_and_deleted(
    store: Store, admin: httpx.AsyncClient, viewer: httpx.AsyncClient
) -> None:
    await listed(store)
    page = await send(admin, "/contact-lists/news/contacts", {"address": "nobody"})
    assert "is not an address" in page.text
    assert 'value="nobody"' in page.text
    await send(admin, "/contact-lists/news/contacts", {"address": ANNA})
    page = await viewer.get("/contact-lists/news/contact", params={"address": ANNA})
    assert "Sport &amp; more" in page.text
    assert ">Save<" not in page.text
    at = "/contact-lists/news/contact"
    form = {"address": ANNA, "topic:sport": "OPT_OUT", "attributes": "a\r\nb", "subscribed": "on"}
    page = await send(admin, at, form)
    assert "Saved." in page.text
    assert "Subscribed, but for Sport &amp; more" in page.text
    found = await store.contacts.get("news", ANNA)
    assert (found.preferences, found.attributes) == ((("sport", OUT),), "a\nb")
    assert await store.unsubscribed.unwilling("news", "sport", [ANNA]) == [ANNA]
    page = await send(admin, at, form | {"attributes": "z" * 10_241})
    assert "more than 10240 characters" in page.text
    assert "z" * 10_241 in page.text
    await send(admin, at, {"address": ANNA, "topic:sport": ""})
    found = await store.contacts.get("news", ANNA)
    assert (found.preferences, found.unsubscribed) == ((), True)
    page = await send(admin, f"{at}/delete", {"address": ANNA})
    assert "is off the list" in page.text
    with pytest.raises(NotFound):
        await store.contacts.get("news", ANNA)
    page = await send(admin, at, form)
    assert "is not on the contact list" in page.text


async def test_what_a_contact_said_of_a_topic_that_is_gone_stays(
    store: Store, admin: httpx.AsyncClient
) -> None:
    await listed(store, Contact(ANNA, 1, 1, (("sport", OUT),)))
    await store.contacts.remove_topic("news", "sport")
    page = await send(admin, "/contact-lists/news/contact", {"address": ANNA, "subscribed": "on"})
    assert "no topic of the list" in page.text
    assert (await store.contacts.get("news", ANNA)).preferences == (("sport", OUT),)
    with pytest.raises(InvalidInput, match="is not on the contact list"):
        await store.contacts.say("news", ANNA, {"other": OUT}, False, "")


async def test_who_has_unsubscribed_meanwhile_does_not_come_back_by_an_old_page(
    store: Store, admin: httpx.AsyncClient
) -> None:
    await listed(store, Contact(ANNA, 1, 1))
    at = "/contact-lists/news/contact"
    page = (await admin.get(at, params={"address": ANNA})).text
    [seen] = re.findall('name="seen" value="([0-9]+)"', page)
    form = {"address": ANNA, "topic:sport": "", "subscribed": "on", "attributes": "new"}
    for topic in ("sport", ""):
        await store.unsubscribed.put([Subscription("news", topic, ANNA)])
        page = (await send(admin, at, form | {"seen": seen})).text
        assert "has changed since you looked at it" in page
        assert ">\nnew</textarea>" in page
        assert await store.unsubscribed.unwilling("news", "sport", [ANNA]) == [ANNA]
        [seen] = re.findall('name="seen" value="([0-9]+)"', page)
    assert "Saved." in (await send(admin, at, form | {"seen": seen})).text
    assert await store.unsubscribed.unwilling("news", "sport", [ANNA]) == []


async def test_contacts_are_found_by_a_part_and_by_what_they_get(
    store: Store, admin: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = [Contact(f"P{n}%@Shop{n % 2}.example", 1, 1, unsubscribed=n == 3) for n in range(6)]
    said = Contact("out@shop1.example", 1, 1, (("sport", OUT),))
    await listed(store, *people, said)

    async def found(**asked: str) -> list[str]:
        text = (await admin.get("/contact-lists/news", params=asked)).text
        return [
            each for each in (*(p.address for p in people), said.address) if f">{each}<" in text
        ]

    assert await found(q="%@shop1") == [people[n].address for n in (1, 3, 5)]
    assert await found(status="OPT_OUT") == [people[3].address]
    assert await found(status="OPT_OUT", topic="sport") == [people[3].address, said.address]
    assert await found(status="OPT_IN", topic="sport", q="shop1") == [
        people[n].address for n in (1, 5)
    ]
    monkeypatch.setattr(looking, "LOOKED_AT", 2)
    page = await admin.get("/contact-lists/news", params={"q": "out@"})
    assert "None of the next" in page.text
    at, turns = page, 0
    while said.address not in at.text:
        more = unescape(at.text.split('">More</a>')[0].rpartition('href="')[2])
        at, turns = await admin.get(more), turns + 1
    assert turns == 3


async def test_an_address_is_suppressed_and_let_go(
    store: Store, admin: httpx.AsyncClient, viewer: httpx.AsyncClient
) -> None:
    page = await send(admin, "/suppression", {"address": "nobody", "reason": "BOUNCE"})
    assert "is not an address" in page.text
    assert 'value="nobody"' in page.text
    assert "<option selected>BOUNCE</option>" in page.text
    await send(admin, "/suppression", {"address": ANNA, "reason": "COMPLAINT"})
    await send(admin, "/suppression", {"address": "b@shop.example", "reason": "BOUNCE"})
    assert (await store.suppression.get(ANNA)).reason is SuppressionReason.COMPLAINT
    looked = (await viewer.get("/suppression", params={"reason": "COMPLAINT"})).text
    assert ANNA in looked
    assert "b@shop.example" not in looked
    assert 'action="/suppression' not in looked.replace('method="get" action', "")
    assert ANNA not in (await viewer.get("/suppression", params={"q": "SHOP"})).text
    page = await send(admin, "/suppression/remove?reason=COMPLAINT", {"address": ANNA})
    assert "is off the suppression list" in page.text
    assert page.url.params["reason"] == "COMPLAINT"
    page = await send(admin, "/suppression/remove", {"address": ANNA})
    assert "is not on the suppression list" in page.text


async def test_many_are_suppressed_and_lines_that_are_none_are_named(
    store: Store, admin: httpx.AsyncClient
) -> None:
    lines = ["Address,Reason", *(f"p{n}@example.com,BOUNCE" for n in range(2000))]
    page = await send(admin, "/suppression/import", {"entries": "\r\n".join(lines)})
    assert "Put 2\u202f000 addresses on the list." in page.text
    bad = "a@example.com\nnobody\nb@example.com,WHY\n"
    page = await send(admin, "/suppression/import", {"entries": bad, "reason": "COMPLAINT"})
    text = unescape(page.text)
    assert "Put 1 addresses on the list. 2 lines were left out: line 2: 'nobody'" in text
    assert "line 3: 'WHY' is no reason" in text
    assert f"\n{bad}</textarea>" in text.replace("\r\n", "\n")
    assert (await store.suppression.get("a@example.com")).reason is SuppressionReason.COMPLAINT


@pytest.mark.parametrize(
    "path",
    [
        *("/contact-lists", "/contact-lists/news", "/contact-lists/news/delete"),
        *("/contact-lists/news/topics", "/contact-lists/news/topics/remove"),
        *("/contact-lists/news/contacts", "/contact-lists/news/contact"),
        *("/contact-lists/news/contact/delete", "/suppression", "/suppression/remove"),
        *("/suppression/import", "/templates", "/templates/news", "/templates/news/delete"),
    ],
)
async def test_viewers_change_nothing(store: Store, viewer: httpx.AsyncClient, path: str) -> None:
    csrf = (await viewer.get("/configurations")).text.partition('name="csrf" value="')[2][:64]
    answer = await viewer.post(path, data={"csrf": csrf})
    assert answer.status_code == 403
    assert "Only administrators" in answer.text
