"""The journal's write-ahead log is copied beside the commits (`journal.sqlite_checkpoint`)."""

import asyncio
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from clicktrail.base.ids import new_id, now_us
from clicktrail.journal.sqlite import SqliteJournal
from clicktrail.journal.sqlite_checkpoint import PAGE_SIZE, PAGES, Checkpointer
from clicktrail.journal.sqlite_reader import forget_read
from clicktrail.model import Click


def click() -> Click:
    url = "https://example.com/" + "x" * PAGE_SIZE
    return Click(new_id(), new_id(), 1, url, now_us(), "192.0.2.1", "Mozilla")


async def test_the_log_begins_anew_however_many_clicks_come(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "journal.db")
    for _ in range(8 * PAGES // 20):
        await journal.append(*(click() for _ in range(20)))
    log = tmp_path / "journal.db-wal"
    assert log.stat().st_size < 4 * PAGES * PAGE_SIZE  # what is written is at least twice that
    await journal.close()


async def test_what_was_copied_meanwhile_is_all_there(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "journal.db")
    expected = [click() for _ in range(4 * PAGES)]
    for start in range(0, len(expected), 20):
        await journal.append(*expected[start : start + 20])
    await journal.close()
    again = SqliteJournal(tmp_path / "journal.db")
    found = []
    while entries := await again.read(500, 0):
        found += [entry.click for entry in entries]
        await again.commit(entries)
    await again.close()
    assert found == expected


def test_commits_go_on_where_the_log_cannot_be_copied(tmp_path: Path) -> None:
    def fail() -> sqlite3.Connection:
        raise sqlite3.OperationalError("unable to open database file")

    connection = sqlite3.connect(tmp_path / "journal.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE some (piece BLOB)")
    checkpointer = Checkpointer(fail)
    for _ in range(3 * PAGES // 10):
        connection.execute("INSERT INTO some VALUES (zeroblob(?))", (8 * PAGE_SIZE,))
        checkpointer.committed(connection, 8 * PAGE_SIZE)
    checkpointer.close()
    assert connection.execute("SELECT count(*) FROM some").fetchone() == (3 * PAGES // 10,)
    connection.close()


@pytest.mark.parametrize("size", [1, PAGE_SIZE * PAGES])
def test_it_ends_when_it_is_closed_whether_it_had_begun_or_not(tmp_path: Path, size: int) -> None:
    connection = sqlite3.connect(tmp_path / "journal.db", isolation_level=None)
    opened: list[sqlite3.Connection] = []

    def connect() -> sqlite3.Connection:
        opened.append(sqlite3.connect(tmp_path / "journal.db", check_same_thread=False))
        return opened[-1]

    checkpointer = Checkpointer(connect)
    checkpointer.committed(connection, size)
    checkpointer.close()
    assert len(opened) == (size > PAGE_SIZE)
    for each in opened:
        with pytest.raises(sqlite3.ProgrammingError):
            each.execute("SELECT 1")
    connection.close()


def bytes_of(folder: Path) -> bytes:
    """Return the bytes of all files, read by another process, which takes no lock away."""
    files = sorted(folder.glob("journal.db*"))
    return subprocess.run(["cat", *files], capture_output=True, check=True).stdout


async def test_nothing_of_a_click_is_left_when_it_is_counted_and_nobody_clicks(
    tmp_path: Path,
) -> None:
    writer = SqliteJournal(tmp_path / "journal.db")
    reader = SqliteJournal(tmp_path / "journal.db")
    for _ in range(30):
        await writer.append(click())
    while entries := await reader.read(7, 0.1):
        await reader.commit(entries)
    assert b"192.0.2.1" in bytes_of(tmp_path)  # in the log, both have it open
    async with asyncio.timeout(120):
        while b"192.0.2.1" in bytes_of(tmp_path):
            assert await reader.read(7, 0.1) == []
    assert (tmp_path / "journal.db-wal").stat().st_size == 0
    await writer.append(click())  # and it goes on
    assert len(await reader.read(7, 60)) == 1
    await writer.close()
    await reader.close()


async def test_the_log_is_not_emptied_for_a_click_that_is_not_counted(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "journal.db")
    await journal.append(click())
    [entry] = await journal.read(1, 60)
    journal._reader.IDLE_SECONDS = 0.0
    assert await journal.read(1, 0.5) == []
    assert (tmp_path / "journal.db-wal").stat().st_size > 0
    await journal.commit([entry])
    await journal.close()


async def test_a_reader_that_holds_the_log_up_costs_nobody_anything(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "journal.db")
    await journal.append(click())
    with closing(sqlite3.connect(tmp_path / "journal.db", isolation_level=None)) as other:
        other.execute("BEGIN")
        other.execute("SELECT count(*) FROM batch").fetchone()
        await journal.commit(await journal.read(1, 60))
        journal._reader.IDLE_SECONDS = 0.0
        assert await journal.read(1, 1.5) == []
        assert not await asyncio.to_thread(forget_read, tmp_path / "journal.db", 0)
        await journal.append(click())
        assert len(await journal.read(1, 60)) == 1
    await journal.close()


async def test_who_erases_waits_until_what_is_there_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    assert await asyncio.to_thread(forget_read, path, 0)  # there is none
    journal = SqliteJournal(path)
    await journal.append(click())
    assert not await asyncio.to_thread(forget_read, path, 0)
    forgetting = asyncio.ensure_future(asyncio.to_thread(forget_read, path, 120))
    while entries := await journal.read(1, 0.3):
        await journal.commit(entries)
    while not forgetting.done():
        await journal.read(1, 0.1)
    assert await forgetting
    assert b"192.0.2.1" not in bytes_of(tmp_path)
    await journal.close()
