"""The SQLite journal: durable, shared by processes, and tidy."""

import asyncio
import sqlite3
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from clicktrail.errors import JournalUnavailable
from clicktrail.journal.sqlite import SqliteJournal
from clicktrail.journal.sqlite_file import connect
from clicktrail.journal.sqlite_reader import Reader
from support.journals import click, ids, kill_writers, read_all


async def check_kills(folder: Path, kills: int, seed: int) -> None:
    acknowledged = await asyncio.to_thread(kill_writers, "sqlite", folder, kills, seed)
    journal = SqliteJournal(folder / "journal.db")
    found = ids(await read_all(journal))
    await journal.close()
    assert acknowledged
    assert set(acknowledged) <= set(found)
    assert len(found) == len(set(found))


def test_who_opens_a_new_file_waits_for_others_who_do(tmp_path: Path) -> None:
    """SQLite does not wait itself: who changes to WAL mode has the file locked for a moment."""

    def open_it(path: Path, others: threading.Barrier) -> None:
        others.wait()
        connect(path, durable=True).close()

    with ThreadPoolExecutor(4) as threads:
        for number in range(60):
            path, others = tmp_path / str(number) / "journal.db", threading.Barrier(4)
            for each in [threads.submit(open_it, path, others) for _ in range(4)]:
                each.result()


async def test_what_was_acknowledged_before_a_kill_is_read_once(tmp_path: Path) -> None:
    await check_kills(tmp_path, kills=10, seed=1)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2, 12))
async def test_what_was_acknowledged_before_many_kills_is_read_once(
    tmp_path: Path, seed: int
) -> None:
    await check_kills(tmp_path, kills=50, seed=seed)


async def test_the_files_are_for_their_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "new" / "journal.db"
    journal = SqliteJournal(path)
    await journal.append(click())
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    files = sorted(path.parent.iterdir())
    names = ["journal.db", "journal.db-shm", "journal.db-wal", "journal.db.lock"]
    assert [file.name for file in files] == names
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    await journal.close()


async def test_a_file_that_cannot_be_opened_is_an_error_until_it_can(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    path.mkdir()
    journal = SqliteJournal(path)
    with pytest.raises(JournalUnavailable, match=r"journal\.db cannot be written"):
        await journal.append(click())
    with pytest.raises(JournalUnavailable, match=r"journal\.db cannot be read"):
        await journal.read(10, 0)
    path.rmdir()
    one = click()
    await journal.append(one)
    assert await read_all(journal) == [one]
    await journal.close()


async def test_a_file_that_is_no_database_is_set_aside_and_another_begun(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    text = b"This is a text file, and a long one at that.\n" * 100
    path.write_bytes(text)
    journal = SqliteJournal(path)
    one = click()
    await journal.append(one)
    assert await read_all(journal) == [one]
    await journal.close()
    [kept] = tmp_path.glob("journal.db.damaged-*")  # noqa: ASYNC240
    assert kept.read_bytes() == text


async def test_a_cancelled_append_does_not_hold_up_the_others(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "journal.db")
    clicks = [click(number) for number in range(20)]
    appends = [asyncio.create_task(journal.append(one)) for one in clicks]
    await asyncio.sleep(0)
    appends[3].cancel()
    await asyncio.wait(appends)
    assert set(ids(await read_all(journal))) >= {
        one.event_id for one, append in zip(clicks, appends, strict=True) if not append.cancelled()
    }
    await journal.close()


async def test_appends_at_the_same_time_share_a_commit(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    journal = SqliteJournal(path)
    await asyncio.gather(*(journal.append(click(number)) for number in range(500)))
    await journal.close()
    assert rows(path) < 10


def rows(path: Path) -> int:
    connection = sqlite3.connect(path)
    try:
        return int(connection.execute("SELECT count(*) FROM batch").fetchone()[0])
    finally:
        connection.close()


async def test_what_is_committed_makes_room_for_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Reader, "PRUNE_SECONDS", 0)
    path = tmp_path / "journal.db"
    journal = SqliteJournal(path)
    large = replace(click(), url="https://example.com/" + "x" * 5000)
    for _ in range(100):
        await journal.append(*[large] * 50)  # 25 MB in all
        await journal.commit(await journal.read(5000, 30))
    await journal.close()
    assert rows(path) == 1  # the newest keeps the place
    assert path.stat().st_size < 5_000_000


async def test_a_reader_that_never_commits_keeps_everything(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    clicks = [click(number) for number in range(10)]
    for one in clicks:
        journal = SqliteJournal(path)
        await journal.append(one)
        assert await read_all(journal) == clicks[: one.link + 1]
        await journal.close()


async def test_a_click_of_another_process_is_read_soon(tmp_path: Path) -> None:
    writer, reader = (SqliteJournal(tmp_path / "journal.db") for _ in range(2))
    loop = asyncio.get_running_loop()
    waits = []
    for number in range(40):
        reading = asyncio.create_task(reader.read(10, 30))
        await asyncio.sleep(0.005)
        await writer.append(click(number))
        durable = loop.time()
        assert len(await reading) == 1
        waits.append(loop.time() - durable)
    # Not timed for a machine: a reader that looked every second would need twenty in all.
    assert sum(waits) < 10
    await writer.close()
    await reader.close()
