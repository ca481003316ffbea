"""The index of emails is damaged, and nothing that is kept elsewhere suffers from it."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from clicktrail.base.ids import new_id, now_us
from clicktrail.model import Message, MessageState
from clicktrail.store import Store
from clicktrail.store.finding.damage import MADE_BY, IndexDamaged
from clicktrail.store.finding.texts import Query
from support.indexes import HARMS

ANNA, BERTA = "anna.example@mail.example", "berta.example@mail.example"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "clicktrail.db"


@pytest.fixture
async def store(file: Path) -> AsyncIterator[Store]:
    opened = await Store.open(f"sqlite:///{file}")
    for recipient in (ANNA, BERTA, BERTA):
        await email_to(opened, recipient)
    await filled(opened)
    yield opened
    await opened.close()


@asynccontextmanager
async def harmed(store: Store, file: Path, harm: str) -> AsyncIterator[Store]:
    """Give the store as one opens it when something has become of its index."""
    await store.close()  # who has it open may not see it for long
    HARMS[harm](file)
    opened = await Store.open(f"sqlite:///{file}")
    yield opened
    await opened.close()
    assert integrity(file) == [("ok",)]


async def email_to(store: Store, recipient: str) -> Message:
    at = now_us()
    headers = (("Subject", "Hello"),)
    made = Message(new_id(at), at, "news@example.com", (recipient,), None, headers=headers)
    await store.messages.add(made)
    await store.messages.finish(made.id, MessageState.SENT, made.recipients, now_us())
    return made


async def filled(store: Store) -> None:
    while await store.search.index(100):
        pass


async def found(store: Store, what: str) -> int:
    return len((await store.search.find(Query.parse(what), 10)).rows)


def tables(file: Path) -> set[str]:
    with closing(sqlite3.connect(file)) as connection:
        return {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}


def integrity(file: Path) -> list[tuple[str]]:
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute("PRAGMA integrity_check").fetchall()


MENDED_BY_ITSELF = [harm for harm in HARMS if harm != "pages"]
"""The others cost no more than the room that they take, until `clicktrail repair`."""


def traces_in(file: Path) -> list[str]:
    return [each.name for each in file.parent.iterdir() if b"anna.example" in each.read_bytes()]


@pytest.mark.parametrize("harm", MENDED_BY_ITSELF)
async def test_a_person_is_erased_and_others_are_found_again(
    store: Store, file: Path, harm: str
) -> None:
    async with harmed(store, file, harm) as opened:
        done = await opened.forget_person(ANNA)
        assert (done.messages, done.flushed) == (1, True)
        assert traces_in(file) == []
        assert not [name for name in tables(file) if name.startswith("damaged")]
        await filled(opened)
        assert await found(opened, "anna.example") == 0
        assert await found(opened, "berta.example") == 2


async def test_a_person_is_erased_where_the_file_is_damaged_in_the_place_of_the_index(
    store: Store, file: Path
) -> None:
    async with harmed(store, file, "pages") as opened:
        with pytest.raises(IndexDamaged, match="clicktrail repair"):  # a rest of it is still there
            await opened.forget_person(ANNA)
        await opened.search.repair()
        await opened.rewrite()
        assert not await opened.forget_person(ANNA)  # the email was erased at once
        assert traces_in(file) == []
        await filled(opened)
        assert await found(opened, "berta.example") == 2


@pytest.mark.parametrize("harm", MENDED_BY_ITSELF)
async def test_emails_go_by_age_and_new_ones_are_found(store: Store, file: Path, harm: str) -> None:
    async with harmed(store, file, harm) as opened:
        before = now_us()
        newest = await email_to(opened, ANNA)
        await filled(opened)
        assert await opened.messages.forget(before) == 3
        await opened.search.compact()
        await filled(opened)
        assert await found(opened, "berta.example") == 0
        [row] = (await opened.search.find(Query.parse("anna.example"), 10)).rows
        assert row.id == newest.id


@pytest.mark.parametrize("harm", ["no settings", "odd blocks", "none"])
async def test_who_searches_is_told_what_to_run(store: Store, file: Path, harm: str) -> None:
    async with harmed(store, file, harm) as opened:
        with pytest.raises(IndexDamaged, match="clicktrail repair"):
            await found(opened, "anna.example")
        assert len((await opened.search.find(Query(), 10)).rows) == 3
        await opened.search.repair()
        await filled(opened)
        assert await found(opened, "anna.example") == 1


async def test_a_new_index_is_made_as_the_first_was(store: Store, file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        made = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'message_index'")
        assert made.fetchall() == [(MADE_BY,)]
        columns = "SELECT name, type, pk FROM pragma_table_info('message_numbers')"
        first = connection.execute(columns).fetchall()
        assert first
        await store.search.repair()
        assert connection.execute(columns).fetchall() == first


@pytest.mark.parametrize("column", ["content", "recipients"])
async def test_an_email_that_cannot_be_read_holds_up_no_other(
    store: Store, file: Path, column: str
) -> None:
    """A disk gives back other bytes than it was given: SQLite does not see it."""
    [hers] = (await store.search.find(Query.parse("anna.example"), 10)).rows
    damaged = {
        "content": b"\x93\xc1anna.example@mail.example",
        "recipients": b"\x91\xd9\xffanna.example@mail.example",
    }
    with closing(sqlite3.connect(file)) as connection:
        values = (damaged[column], hers.id)
        connection.execute(f"UPDATE message_contents SET {column} = ? WHERE message_id = ?", values)
        connection.commit()
    waiting = await email_to(store, BERTA)
    assert set(await store.messages.get_many([hers.id, waiting.id])) == {waiting.id}
    await filled(store)
    assert await found(store, "berta.example") == 3
    assert (await store.forget_person(ANNA)).messages == 1
    assert traces_in(file) == []
    await filled(store)
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE VIRTUAL TABLE temp.w USING fts5vocab(main, message_index, row)")
        assert connection.execute("SELECT 1 FROM temp.w WHERE term = 'ann'").fetchall() == []
    assert await found(store, "berta.example") == 3
    assert await store.messages.forget(now_us() + 1) == 3


async def test_an_email_that_cannot_be_read_is_counted_and_goes_by_age(
    store: Store, file: Path
) -> None:
    at = now_us()
    made = Message(new_id(at), at, "news@example.com", (ANNA,), None)
    await store.messages.add(made)
    with closing(sqlite3.connect(file)) as connection:
        connection.execute(
            "UPDATE message_contents SET content = x'c1' WHERE message_id = ?", (made.id,)
        )
        connection.commit()
    await store.messages.finish(made.id, MessageState.SENT, made.recipients, now_us())
    assert sum(day.sent for day in await store.statistics.daily()) == 4
    assert await store.messages.forget(now_us() + 1) == 4
