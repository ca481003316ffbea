"""Contents of emails are kept in few bytes, by dictionaries in which nobody is."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import Connection, select

from clicktrail.base.ids import new_id, now_us
from clicktrail.model import Link, Message
from clicktrail.store import Store
from clicktrail.store.database.connect import open_database
from clicktrail.store.database.move import Move
from clicktrail.store.mail.kept import books, shelf
from clicktrail.store.mail.kept.books import PLAIN, Book, Damaged, plain_of
from clicktrail.store.mail.kept.learning import PEOPLE, Sample, learn
from clicktrail.store.mail.kept.shelf import SAMPLES
from clicktrail.store.mail.tables import dictionaries, message_contents
from support.postgres import NEEDS_POSTGRES, Postgres

DAY = 86_400_000_000
ANNA = "Anna.Zwiebelring@mail.example"
PIECES = (b"zwiebelring", b"xk47token", b"anna.z")


COMMON = [
    "Hello from the shop",
    "https://shop.example/autumn/things?utm_source=newsletter&medium=x",
]


def sample(number: int, *texts: str) -> Sample:
    return Sample(f"reader{number}@mail.example", msgspec.msgpack.encode(list(texts)))


def book_of(text: str) -> Book:
    texts = [*COMMON, *(f"{text} {place}" for place in range(30))]
    made = Book.learned(sample(n, *texts, f"{n * 7919:x}") for n in range(200))
    assert made is not None
    return made


def email(number: int, recipient: str = "", name: str = "", token: str = "") -> Message:
    """Return an email of a mailing, with a header and a link of its recipient's own."""
    recipient = recipient or f"reader{number}@mail.example"
    at = now_us()
    headers = (
        ("From", "Shop <news@shop.example>"),
        ("To", f"{name or f'Reader {number}'} <{recipient}>"),
        ("Subject", "New things for autumn"),
        ("List-Unsubscribe", f"<https://shop.example/off?to={recipient.replace('@', '%40')}>"),
    )
    links = [
        Link(place, f"https://shop.example/autumn/{place}?utm_source=newsletter", (("at", "top"),))
        for place in range(20)
    ]
    links.append(Link(20, f"https://shop.example/account?t={token or f'{number:x}'}&from=mail"))
    return Message(
        id=new_id(at),
        accepted_at=at,
        source="bounces@shop.example",
        recipients=(recipient,),
        configuration_set="news",
        headers=headers,
        links=tuple(links),
    )


async def add(url: str, messages: Sequence[Message]) -> None:
    store = await Store.open(url)
    await asyncio.gather(*map(store.messages.add, messages))
    await store.close()


async def kept(url: str) -> tuple[list[bytes], list[bytes], list[bytes]]:
    """Return all contents as they are kept, what they say, and all dictionaries."""

    def read(connection: Connection) -> tuple[list[bytes], list[bytes], list[bytes]]:
        contents = list(connection.scalars(select(message_contents.c.content)))
        plain = [plain_of(connection, each) for each in contents]
        return contents, plain, list(connection.scalars(select(dictionaries.c.content)))

    database = open_database(url)
    try:
        return await database.read(read)
    finally:
        await database.close()


async def test_emails_of_a_mailing_are_kept_in_an_eighth_and_read_as_they_were(
    store_url: str,
) -> None:
    await add(store_url, [email(number) for number in range(SAMPLES)])
    before, _, [made] = await kept(store_url)
    later = [email(number) for number in range(1000, 1100)]
    await add(store_url, later)
    contents, plain, found = await kept(store_url)
    assert found == [made]
    new = [pair for pair in zip(contents, plain, strict=True) if pair[0] not in before]
    assert len(new) == len(later)
    assert sum(len(each) for each, _ in new) < 0.125 * sum(len(each) for _, each in new)
    books._known.clear()  # as in another process
    store = await Store.open(store_url)
    assert await store.messages.get_many(m.id for m in later) == {m.id: m for m in later}
    await store.close()


async def test_who_is_erased_is_in_no_content_no_dictionary_and_no_byte(store_url: str) -> None:
    hers = [email(n, ANNA, "Anna Zwiebelring", "xk47token") for n in range(PEOPLE + 5)]
    others = [email(number) for number in range(SAMPLES - len(hers) - 2)]
    told = replace(email(7), headers=(("Reply-To", ANNA), ("Subject", "Of " + ANNA)))
    await add(store_url, [*hers, told, *others, email(8)])
    await add(
        store_url, [email(9, ANNA, "Anna Zwiebelring", "xk47token"), replace(told, id=new_id())]
    )
    _, plain, [made] = await kept(store_url)
    assert b"https://shop.example/autumn/19" in made
    assert all(any(piece in each.lower() for each in plain) for piece in PIECES)
    store = await Store.open(store_url)
    done = await store.forget_person(ANNA)
    assert (done.messages, done.messages_changed) == (len(hers) + 1, 2)
    assert await store.messages.get(told.id) == replace(
        told, headers=(("Reply-To", "[erased]"), ("Subject", "[erased]"))
    )
    await store.close()
    contents, plain, [made] = await kept(store_url)
    raw = [*contents, *plain, made]
    if store_url.startswith("sqlite"):
        file = Path(store_url.removeprefix("sqlite:///"))
        raw += [path.read_bytes() for path in file.parent.iterdir()]
    assert [piece for piece in PIECES for each in raw if piece in each.lower()] == []


async def test_emails_of_before_and_those_that_came_first_are_read(store_url: str) -> None:
    made = email(1)
    await add(store_url, [made, other := email(2)])
    [content, _], [plain, _], found = await kept(store_url)
    assert content != plain
    assert found == []
    database = open_database(store_url)
    change = message_contents.update().where(message_contents.c.content == content)
    await database.write(lambda c: c.execute(change.values(content=plain)))
    await database.close()
    store = await Store.open(store_url)
    assert await store.messages.get_many([made.id, other.id]) == {made.id: made, other.id: other}
    await store.close()


@NEEDS_POSTGRES
async def test_a_moved_store_has_its_dictionaries(tmp_path: Path, postgres: Postgres) -> None:
    file, url = tmp_path / "clicktrail.db", postgres.url(postgres.fresh())
    await add(f"sqlite:///{file}", [email(number) for number in range(SAMPLES)])
    await add(f"sqlite:///{file}", [made := email(1000)])
    async with Move(file, url) as move:
        await move.run()
    books._known.clear()
    store = await Store.open(url)
    assert await store.messages.get(made.id) == made
    await store.close()


async def test_dictionaries_go_when_another_is_older_than_all_that_is_kept(store_url: str) -> None:
    now = now_us()
    store = await Store.open(store_url)
    for age in (90, 70, 62, 3):
        book = book_of(f"texts of {age} days ago")
        add = partial(books.add_book, book=book, made_at=now - age * DAY)
        assert await store._database.write(add)
    assert await store.messages.forget(now - 60 * DAY) == 0
    await store.close()
    _, _, found = await kept(store_url)
    # Emails of 60 days ago, as far as clocks may be apart, are packed with that of 62.
    assert sorted(found) == sorted(book_of(f"texts of {age} days ago").content for age in (62, 3))


HARMS = {
    "gone": dictionaries.delete(),
    "damaged": dictionaries.update().values(content=b"\0"),
}


async def harm(url: str, how: str) -> None:
    database = open_database(url)
    await database.write(lambda connection: connection.execute(HARMS[how]))
    await database.close()


@pytest.mark.parametrize("how", HARMS)
async def test_an_email_whose_dictionary_is_gone_or_damaged_is_passed_over(
    store_url: str, how: str
) -> None:
    await add(store_url, [email(number) for number in range(SAMPLES)])
    await add(store_url, [lost := email(1000)])
    await harm(store_url, how)
    books._known.clear()
    store = await Store.open(store_url)
    await store.messages.add(first := email(1))
    assert await store.messages.get_many([lost.id, first.id]) == {first.id: first}
    assert (await store.forget_person(lost.recipients[0])).messages == 1
    assert await store.messages.get_many([first.id]) == {first.id: first}
    await store.close()


@pytest.mark.parametrize("how", HARMS)
async def test_no_email_is_packed_with_a_dictionary_that_is_not_there_any_more(
    store_url: str, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shelf, "LOOK_SECONDS", 0.0)
    await add(store_url, [email(number) for number in range(SAMPLES)])
    store = await Store.open(store_url)
    await store.messages.add(email(1000))
    await harm(store_url, how)
    await store.messages.add(later := email(1001))
    await store.close()
    books._known.clear()  # as in another process
    store = await Store.open(store_url)
    assert await store.messages.get(later.id) == later
    await store.close()


async def test_of_large_emails_fewer_are_enough_to_learn_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shelf, "MOST_SAMPLED", 100_000)
    url = f"sqlite:///{tmp_path / 'clicktrail.db'}"
    await add(url, [email(number) for number in range(100)])
    _, plain, found = await kept(url)
    assert sum(map(len, plain)) > shelf.MOST_SAMPLED
    assert len(found) == 1


def test_what_is_damaged_is_told() -> None:
    plain = msgspec.msgpack.encode(["a text that is long enough to be packed"] * 9)
    book = book_of("a text that is long enough")
    packed = book.pack(plain)
    assert book.unpack(packed) == plain
    for damaged in (packed[:-1], packed[:5], packed[:5] + b"\xff" * 20):
        with pytest.raises(Damaged):
            book.unpack(damaged)


def test_only_what_many_people_got_is_learned() -> None:
    few = ["https://shop.example/secret/of/few?token=9876", "Few Got This"]
    emails = [sample(n, *COMMON, f"https://shop.example/order/{n:05}-abc/pay?from=mail&more=1")
              for n in range(PEOPLE)]  # fmt: skip
    emails += [sample(n, *COMMON, *few) for n in range(PEOPLE - 1)]
    # One person, whatever the letter case, who got many.
    emails += [Sample("One@mail.example", msgspec.msgpack.encode([*COMMON, "To one alone"]))] * 30
    emails += [Sample("one@MAIL.example", msgspec.msgpack.encode([*COMMON, "To one alone"]))] * 30
    made = learn(emails)
    for text in COMMON:
        assert text.encode() in made
    assert b"https://shop.example/order/" in made
    assert b"pay?from=mail&more=1" in made
    for text in ("00003", "-abc", "secret", "token", "9876", "Few", "To one"):
        assert text.encode() not in made


@pytest.mark.parametrize(
    "text",
    [
        "Anna <anna@mail.example>",
        "https://shop.example/?to=anna%40mail.example",
        "https://shop.example/?to=https%3A%2F%2Fa.example%2F%3Fto%3Danna%2540mail.example",
        "=?utf-8?q?anna=40mail.example?=",
    ],
)
def test_no_text_is_learned_that_may_hold_an_address(text: str) -> None:
    made = learn(sample(n, *COMMON, text) for n in range(3 * PEOPLE))
    assert COMMON[0].encode() in made
    assert b"anna" not in made.lower()


def test_nothing_is_learned_from_few_people() -> None:
    assert learn(sample(n, *COMMON) for n in range(PEOPLE - 1)) == b""
    assert Book.learned([sample(n, "a", "b") for n in range(PEOPLE)]) is None
    assert PLAIN.unpack(PLAIN.pack(b"\x90")) == b"\x90"
