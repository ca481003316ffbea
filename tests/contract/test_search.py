"""Emails are found by what people type, whatever the database, with and without its trigrams."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from clicktrail.base.ids import new_id
from clicktrail.model import Click, Link, Message, MessageState, Reason
from clicktrail.store import Store
from clicktrail.store.clicks.clicks import LoggedClick
from clicktrail.store.clicks.statistics import Dimensions
from clicktrail.store.database.connect import open_database
from clicktrail.store.finding import search, trigrams
from clicktrail.store.finding.texts import Clicked, Query
from clicktrail.store.finding.trigrams import window
from support.postgres import NEEDS_POSTGRES, NEEDS_TRIGRAMS, Postgres
from support.summer import DAY, indexed, sent

HOUR = 3_600_000_000

KNOWN: dict[str, Any] = {
    "headers": (
        ("From", "=?utf-8?q?J=C3=A4ger?= <news@example.com>"),
        ("Subject", "Our summer offers: Распродажа!"),
        ("Message-ID", "<one.two@example.com>"),
    ),
    "links": (
        Link(0, "https://shop.example.com/sale/Boots-37?id=9#top", (("place", "foot"),)),
        Link(1, "http://other.example/sale"),
    ),
}
TYPED = (
    "someone@gmail.com",
    "SOMEONE@GMAIL.COM",
    "meone@gm",
    "@gmail.com",
    "gmail.com",
    "GMail",
    "news@example.com",
    "Jäger",
    "summer",
    "umme",
    "offers Summer our",
    "(our)",
    "распродаж",
    "ПРОДАЖА",
    "campaign=summer",
    "place=foot",
    "foot",
    "<one.two@example.com>",
    "one.two@example.com",
    "https://shop.example.com/sale/Boots-37?id=9#top",
    "shop.example.com/sale/boots",
    "p.example.com/sal",
    "shop.example",
    "/sale/",
    "boots-3",
    "someone@gmail.com offers campaign=summer shop.example.com",
)
AMISS = ("winter", "one@gmx", "campaign=winter", "summer winter", "example.com/boots", "boots-38")


@pytest.fixture(scope="session")
def postgres_with_trigrams() -> Iterator[Postgres]:
    """A server of the system's, whose administrator has installed its extensions."""
    with Postgres(of_system=True) as server:
        yield server


@pytest.fixture(
    params=[
        "sqlite",
        pytest.param("postgres", marks=NEEDS_POSTGRES),
        pytest.param("postgres_with_trigrams", marks=NEEDS_TRIGRAMS),
    ]
)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    url = f"sqlite:///{tmp_path / 'clicktrail.db'}"
    if request.param != "sqlite":
        server: Postgres = request.getfixturevalue(request.param)
        url = server.migrated()
    opened = await Store.open(url)
    yield opened
    await opened.close()


async def found(store: Store, text: str, **narrowed: Any) -> list[str]:
    query = replace(Query.parse(text), **narrowed)
    return [row.id for row in (await store.search.find(query, 50)).rows]


async def click(store: Store, message: Message) -> None:
    made = Click(new_id(DAY), message.id, 0, message.links[0].url, DAY, "192.0.2.1", "Firefox")
    await store.clicks.record([LoggedClick(made, Dimensions("2026-09-21T00", "news", "", ""))])


class TestSearch:
    async def test_an_email_is_found_by_any_part_of_what_people_know_of_it(
        self, store: Store
    ) -> None:
        message = await sent(store, **KNOWN)
        nothing: dict[str, Any] = {"recipients": ("other@example.net",), "tags": {}, "links": ()}
        await sent(store, source="", headers=(("Subject", "Hi"),), **nothing)
        assert await found(store, TYPED[0]) == []
        await indexed(store)
        assert {text: await found(store, text) for text in TYPED} == {
            text: [message.id] for text in TYPED
        }

    async def test_others_are_not(self, store: Store) -> None:
        await sent(store, **KNOWN)
        await indexed(store)
        assert {text: await found(store, text) for text in AMISS} == {text: [] for text in AMISS}

    async def test_short_pieces_and_signs_of_query_languages_are_but_text(
        self, store: Store
    ) -> None:
        signs = (
            "37",
            "o",
            "ж",
            "%",
            "_",
            'm"sum',
            "sum%er",
            "';x",
            "--",
            "\\",
            "*",
            "o AND",
            "NEAR(",
        )
        subject = f"about {' '.join(signs)}."
        with_it = await sent(store, headers=(("Subject", subject),))
        nothing: dict[str, Any] = {"recipients": ("a@b.c",), "headers": (), "tags": {}, "links": ()}
        await sent(store, source="", **nothing)
        await indexed(store)
        assert {text: await found(store, text) for text in signs} == {
            text: [with_it.id] for text in signs
        }

    async def test_it_is_narrowed_to_clicked_ones_and_to_why_one_is_not_tracked(
        self, store: Store
    ) -> None:
        seen, unseen = await sent(store), await sent(store, DAY + HOUR)
        off = await sent(store, links=(), reason=Reason.OFF)
        signed = await sent(store, links=(), reason=Reason.SIGNED)
        await indexed(store)
        await click(store, seen)
        for text in ("", "summer"):
            for which, ids in (
                ({"clicked": Clicked.YES}, {seen.id}),
                ({"clicked": Clicked.NO}, {unseen.id}),
                ({"clicked": Clicked.UNTRACKED}, {off.id, signed.id}),
                ({"reason": Reason.SIGNED}, {signed.id}),
            ):
                assert set(await found(store, text, **which)) == ids

    @pytest.mark.parametrize("text", ["", "example.com"])
    async def test_what_lies_apart_is_looked_for_step_by_step(
        self, store: Store, monkeypatch: pytest.MonkeyPatch, text: str
    ) -> None:
        monkeypatch.setattr(search, "LOOKED_AT", 4)
        monkeypatch.setattr(search, "_WINDOW", 2)
        old = await sent(store, headers=(("Subject", "the very first"),))
        for n in range(7):
            await sent(store, DAY + (n + 1) * HOUR, reason=Reason.OFF)
        await click(store, old)
        await indexed(store)
        looks, before = 0, None
        query = replace(Query.parse(text), clicked=Clicked.YES)
        rows: list[str] = []
        while before != "":
            looked = await store.search.find(query, 50, before)
            rows += [row.id for row in looked.rows]
            looks, before = looks + 1, looked.older
        assert (rows, looks) == ([old.id], 3)

    async def test_what_the_index_takes_for_a_hit_and_is_none_is_passed_over(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(search, "_WINDOW", 2)
        old = await sent(store, links=(Link(0, "https://shop.example/sale/boots"),))
        for n in range(5):  # all the parts, not one behind the other
            await sent(
                store, DAY + (n + 1) * HOUR, links=(Link(0, "https://shop.example/boots/sale"),)
            )
        await indexed(store)
        looked = await store.search.find(Query.parse("shop.example/sale/boots"), 1)
        assert ([row.id for row in looked.rows], looked.older) == ([old.id], "")

    async def test_the_newest_come_first_page_by_page(self, store: Store) -> None:
        ids = [(await sent(store, DAY + n * HOUR)).id for n in range(7)][::-1]
        await indexed(store)
        pages, before = [], None
        while before != "":
            looked = await store.search.find(Query.parse("summer"), 3, before)
            pages.append([row.id for row in looked.rows])
            before = looked.older
        assert pages == [ids[:3], ids[3:6], ids[6:]]

    async def test_it_can_be_narrowed_to_a_set(self, store: Store) -> None:
        news = await sent(store)
        bills = await sent(store, configuration_set="bills")
        await indexed(store)
        assert await found(store, "summer", configuration_set="bills") == [bills.id]
        assert await found(store, "summer", configuration_set="news") == [news.id]
        assert await found(store, "", configuration_set="bills") == [bills.id]
        assert await found(store, "summer", identity="example.com") == []

    async def test_encoded_words_of_a_subject_are_read(self, store: Store) -> None:
        message = await sent(store, headers=(("subject", "=?utf-8?q?Gr=C3=BC=C3=9Fe_aus?= Ulm"),))
        await indexed(store)
        assert await found(store, "grüsse") == [message.id]  # ß is folded to ss
        assert await found(store, "GRÜßE ulm") == [message.id]

    async def test_one_that_was_refused_is_found_by_whom_it_was_for(self, store: Store) -> None:
        message = await sent(
            store, state=MessageState.REFUSED, headers=(("To", '"A, B" <a.b@example.org>, c@d.e'),)
        )
        await indexed(store)
        assert await found(store, "a.b@example.org") == await found(store, "c@d.e") == [message.id]

    async def test_what_is_forgotten_by_age_is_not_found(self, store: Store) -> None:
        await sent(store)
        young = await sent(store, DAY + 48 * HOUR)
        await indexed(store)
        assert await store.messages.forget(DAY + HOUR) == 1
        assert await found(store, "summer") == [young.id]

    async def test_an_erased_person_is_not_found(self, store: Store) -> None:
        both = await sent(store, recipients=("someone@gmail.com", "b@example.org"))
        alone = await sent(store, html=("<a>",), headers=(("Subject", "For you alone"),))
        await indexed(store)
        assert await store.trail.html(alone.id)
        await store.forget_person("someone@gmail.com")
        await indexed(store)
        assert await found(store, "someone@gmail.com") == []
        assert await found(store, "alone") == []
        assert await found(store, "b@example.org") == [both.id]
        assert await store.trail.html(alone.id) == ()
        assert [m.name for m in await store.mailings.newest("subject", 9)] == ["Our summer offers"]

    async def test_nobody_indexes_an_email_twice(self, store: Store) -> None:
        await sent(store)
        assert await store.search.index(10) == 1
        assert await store.search.index(10) == 0

    async def test_an_index_is_begun_anew_and_filled_again(self, store: Store) -> None:
        messages = [await sent(store, **KNOWN) for _ in range(3)]
        await indexed(store)
        await store.search.repair()
        assert await found(store, TYPED[0]) == []
        waiting = await sent(store, **KNOWN)
        await indexed(store)
        everything = sorted((m.id for m in (*messages, waiting)), reverse=True)
        assert await found(store, TYPED[0]) == everything
        assert [each.sent for each in await store.mailings.newest("subject", 5)] == [4]


WHOLES = (
    ("reader77@mail.ru", "reader77@mail.ru"),
    ("<READER77@mail.ru>", "reader77@mail.ru"),
    ("@mail.ru", "reader77@mail.ru"),
    ("<77@a.example>", "reader77@mail.ru"),
    ("reader77@mail.ru offers", "reader77@mail.ru"),
    ("news@a.example", "reader77@mail.ru reader177@mail.ru.example"),
    ("reader77@mail", "reader77@mail.ru"),
    ("77@mail.ru", "reader77@mail.ru reader177@mail.ru.example"),
    ("reader77@mail.ru winter", ""),
)
"""What is typed, and the recipients of the emails that it finds as a whole, where it is one."""


async def two_alike(store: Store) -> None:
    for number, name in (("77", "reader77@mail.ru"), ("177", "reader177@mail.ru.example")):
        fields = (("From", "News <news@a.example>"), ("Message-ID", f"<{number}@a.example>"))
        headers = (*fields, ("To", f"A reader <{name}>"), ("Subject", "Our offers"))
        await sent(store, recipients=(name,), headers=headers, links=())
    await indexed(store)


async def test_what_is_whole_is_found_as_a_whole_alone(store: Store) -> None:
    await two_alike(store)
    for typed, recipients in WHOLES:
        looked = await store.search.find(Query.parse(typed), 50, exact=True)
        known = await store.messages.get_many([row.id for row in looked.rows])
        names = {known[row.id].recipients[0] for row in looked.rows}
        assert names == set(recipients.split()), typed
        assert looked.exact is (typed not in ("reader77@mail", "77@mail.ru")), typed


@pytest.mark.parametrize("common", [0, 1000])
async def test_pages_of_wholes_go_on(
    store: Store, common: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trigrams, "_COMMON", common)
    for _ in range(3):
        await two_alike(store)
    query, before, found = Query.parse("@mail.ru"), None, []
    while before != "":
        looked = await store.search.find(query, 2, before, exact=True)
        found += [row.id for row in looked.rows]
        before = looked.older
    assert len(set(found)) == len(found) == 3


async def test_nobody_who_was_erased_is_in_the_index_of_emails_to_others(store: Store) -> None:
    link = "https://a.example/of/anna@private.example"
    fields = (("Sender", "anna@private.example"), ("Cc", "anna@private.example"))
    for changes in (
        {"links": (Link(0, link),)},
        {"links": (Link(0, "https://a.example", (("of", "anna@private.example"),)),)},
        {"source": "anna@private.example"},
        {"tags": {"of": ["anna@private.example"]}},
        {"headers": fields},
        {"recipients": ("b@c.example", "anna@private.example")},
    ):
        await sent(store, **changes)
    await indexed(store)

    def numbers(connection: Connection) -> list[int]:
        """Return how many emails the index itself has, with all and with what names her."""
        pieces = ("example", "anna@private.example", "private")
        queries = (*(Query((each,)) for each in pieces), Query((), ("@private.example",)))
        windows = (window(connection, query, None, 50).found for query in queries)
        return [len(connection.execute(found).all()) for found in windows]

    read = store.search._database.read
    assert await read(numbers) == [6, 6, 6, 2]
    assert (await store.forget_person("anna@private.example")).messages_changed == 6
    assert await read(numbers) == [6, 0, 0, 0]


async def test_sqlite_reads_few_emails_to_find_one_by_its_number(tmp_path: Path) -> None:
    store = await Store.open(f"sqlite:///{tmp_path / 'clicktrail.db'}")
    for number in range(30):
        at = 1_790_000_000_000_000 + number
        name = f"reader{number + 1}077@mail.ru" if number else "reader77@mail.ru"
        message = Message(new_id(at), at, "news@a.example", (name,))
        await store.messages.add(message)
        await store.messages.finish(message.id, MessageState.SENT, (name,), at)
    while await store.search.index(100):
        pass
    await store.close()
    database = open_database(f"sqlite:///{tmp_path / 'clicktrail.db'}")

    def look(connection: Connection) -> int:
        found = window(connection, Query.parse("reader77@mail.ru"), None, 100).found
        return len(connection.execute(found).all())

    assert await database.read(look) == 1, "the letters are those of all, and 077@ of many"
    await database.close()
