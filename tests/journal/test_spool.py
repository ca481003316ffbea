"""When the journal fails, is slow, or full: the click goes to the spool, and from there back."""

import asyncio
import sqlite3
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from clicktrail.errors import JournalUnavailable
from clicktrail.journal.memory import MemoryJournal, MemoryShelf
from clicktrail.journal.record import encode
from clicktrail.journal.spool import SpooledJournal
from clicktrail.journal.spoolfile import SpoolReader, SpoolWriter, spool_files
from clicktrail.journal.sqlite import SqliteJournal
from clicktrail.model import Click
from support.faults import filled, small_disk
from support.journals import Writer, click, ids, kill_writers, read_all


class MoodyJournal(MemoryJournal):
    """Fails while ``broken``; waits for ``go`` when ``slow``."""

    def __init__(self) -> None:
        super().__init__(MemoryShelf())
        self.slow = False
        self.go = asyncio.Event()
        self.appends = 0
        self.asked = asyncio.Event()

    async def append(self, *clicks: Click) -> None:
        self.appends += 1
        self.asked.set()
        if self.slow:
            await self.go.wait()
        await super().append(*clicks)

    async def kept(self) -> list[str]:
        """Return the event ids in the journal."""
        return ids([entry.click for entry in self._shelf.entries.values()])


async def until_drained(journal: SpooledJournal, folder: Path) -> None:
    async with asyncio.timeout(30):
        while True:
            if not spool_files(folder) and not journal.spooling:
                return
            await asyncio.sleep(0.01)


@asynccontextmanager
async def spooled(
    folder: Path, patience: float = 0.05, queue_limit: int = 1000
) -> AsyncIterator[tuple[MoodyJournal, SpooledJournal]]:
    inner = MoodyJournal()
    journal = SpooledJournal(inner, folder, patience, queue_limit)
    yield inner, journal
    await journal.close()


async def test_a_journal_that_is_well_needs_no_spool(tmp_path: Path) -> None:
    async with spooled(tmp_path / "spool", patience=30) as (inner, journal):
        clicks = [click(number) for number in range(50)]
        await asyncio.gather(*(journal.append(one) for one in clicks))
        assert await inner.kept() == ids(clicks)
        assert (journal.spooled, journal.drained, journal.unlogged, journal.waiting) == (0, 0, 0, 0)
    assert not (tmp_path / "spool").exists()


async def test_what_a_failing_journal_refuses_comes_later(tmp_path: Path) -> None:
    async with spooled(tmp_path) as (inner, journal):
        inner.broken = True
        clicks = [click(number) for number in range(50)]
        for one in clicks:
            await journal.append(one)
        assert journal.spooled == 50
        assert await inner.kept() == []
        [file] = spool_files(tmp_path)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        inner.broken = False
        await until_drained(journal, tmp_path)
        assert await inner.kept() == ids(clicks)
        assert journal.drained == 50


async def test_a_slow_journal_is_not_waited_for(tmp_path: Path) -> None:
    async with spooled(tmp_path) as (inner, journal):
        inner.slow = True
        first = click()
        await journal.append(first)  # returns: by way of the spool
        assert journal.spooled == 1
        tried = inner.appends
        await journal.append(click())
        assert journal.spooled == 2
        assert inner.appends <= tried + 1  # only the drainer tries: people wait once, not each
        inner.slow = False
        inner.go.set()
        await until_drained(journal, tmp_path)
        assert first.event_id in await inner.kept()


async def test_when_too_many_wait_the_next_go_to_the_spool(tmp_path: Path) -> None:
    async with spooled(tmp_path, patience=30, queue_limit=10) as (inner, journal):
        inner.slow = True
        waiting = [asyncio.create_task(journal.append(click(number))) for number in range(10)]
        await asyncio.sleep(0)
        over = click(10)
        await journal.append(over)
        assert (journal.spooled, journal.waiting) == (1, 10)
        inner.slow = False
        inner.go.set()
        await asyncio.gather(*waiting)
        await until_drained(journal, tmp_path)
        assert over.event_id in await inner.kept()


async def test_after_the_spool_clicks_go_to_the_journal_again(tmp_path: Path) -> None:
    async with spooled(tmp_path) as (inner, journal):
        for _ in range(3):
            inner.broken = True
            await journal.append(click())
            inner.broken = False
            await until_drained(journal, tmp_path)
            before = journal.spooled
            await journal.append(click())
            assert journal.spooled == before
        assert len(await inner.kept()) == 6


async def test_what_an_earlier_run_left_is_drained_at_the_start(tmp_path: Path) -> None:
    clicks = [click(number) for number in range(1200)]
    async with spooled(tmp_path) as (inner, journal):
        inner.broken = True
        await asyncio.gather(*(journal.append(one) for one in clicks))
    assert spool_files(tmp_path)
    async with spooled(tmp_path) as (inner, journal):
        journal.start()
        await until_drained(journal, tmp_path)
        assert sorted(await inner.kept()) == sorted(ids(clicks))


async def test_a_file_is_deleted_only_when_all_of_it_is_in_the_journal(tmp_path: Path) -> None:
    clicks = [click(number) for number in range(10)]
    async with spooled(tmp_path) as (inner, journal):
        inner.broken = True
        for one in clicks:
            await journal.append(one)
    files = spool_files(tmp_path)
    async with spooled(tmp_path) as (inner, journal):
        inner.slow = True
        journal.start()
        async with asyncio.timeout(30):
            await inner.asked.wait()
        assert spool_files(tmp_path) == files
    assert spool_files(tmp_path) == files


def write_spool(folder: Path, clicks: list[Click], *, tail: bytes = b"") -> Path:
    writer = SpoolWriter(folder)
    writer.write([encode(one) for one in clicks])
    path = writer.path
    writer.close()
    with path.open("ab") as file:
        file.write(tail)
    return path


def read_spool(path: Path) -> tuple[list[Click], SpoolReader]:
    reader = SpoolReader.take(path)
    assert reader is not None
    clicks = []
    while more := reader.read(7):
        clicks += more
    return clicks, reader


def test_a_torn_tail_of_any_length_costs_only_the_torn_click(tmp_path: Path) -> None:
    clicks = [click(number) for number in range(20)]
    whole = write_spool(tmp_path, clicks).read_bytes()
    sizes = [len(encode(one)) + 8 for one in clicks]
    last = len(whole) - sizes[-1]
    for length in range(last, len(whole)):
        path = tmp_path / "torn.spool"
        path.write_bytes(whole[:length])
        found, reader = read_spool(path)
        assert found == clicks[:-1]
        if length > last:
            assert reader.damage is not None
            assert reader.damage.only_tail
        reader.finish()
        assert not path.exists()


@pytest.mark.parametrize("tail", [bytes(4096), b"\xff" * 100, b"\x10\0\0\0\0\0\0\0abc"])
def test_what_a_crash_leaves_at_the_end_is_passed_over(tmp_path: Path, tail: bytes) -> None:
    clicks = [click(number) for number in range(5)]
    found, reader = read_spool(write_spool(tmp_path, clicks, tail=tail))
    assert found == clicks
    assert reader.damage is not None
    assert reader.damage.size == len(tail)
    reader.finish()


def test_a_damaged_click_costs_no_other_and_the_file_is_kept(tmp_path: Path) -> None:
    clicks = [click(number) for number in range(5)]
    path = write_spool(tmp_path, clicks)
    data = bytearray(path.read_bytes())
    at = data.index(clicks[2].event_id.encode())
    data[at] ^= 1
    path.write_bytes(data)
    found, reader = read_spool(path)
    assert found == clicks[:2] + clicks[3:]
    assert reader.damage is not None
    assert not reader.damage.only_tail
    reader.finish()
    assert [kept.name for kept in tmp_path.iterdir()] == [path.name + ".damaged"]


def test_a_file_belongs_to_one_process_at_a_time(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path)
    writer.write([encode(click())])
    assert SpoolReader.take(writer.path) is None
    writer.close()
    reader = SpoolReader.take(writer.path)
    assert reader is not None
    assert SpoolReader.take(writer.path) is None
    reader.finish()
    assert SpoolReader.take(writer.path) is None
    assert spool_files(tmp_path) == []


def test_an_unused_file_leaves_nothing_behind(tmp_path: Path) -> None:
    SpoolWriter(tmp_path).close()
    assert list(tmp_path.iterdir()) == []


async def test_while_another_holds_the_database_clicks_go_to_the_spool(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    journal = SpooledJournal(SqliteJournal(path), tmp_path / "spool", 0.1)
    clicks = [click(number) for number in range(30)]
    await journal.append(*clicks[:10])
    await until_drained(journal, tmp_path / "spool")  # of what a slow machine put there
    before = journal.spooled
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    for one in clicks[10:20]:
        await journal.append(one)
    assert journal.spooled == before + 10
    holder.execute("ROLLBACK")
    holder.close()
    await until_drained(journal, tmp_path / "spool")
    await journal.append(*clicks[20:])
    # The one that timed out may be there twice, with the same event id.
    assert sorted(set(ids(await read_all(journal)))) == sorted(ids(clicks))
    await journal.close()


async def test_a_database_that_cannot_be_written_is_no_loss(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    path.mkdir()  # for root too, unlike a mode without "w"
    journal = SpooledJournal(SqliteJournal(path), tmp_path / "spool", 5)
    clicks = [click(number) for number in range(30)]
    for one in clicks:
        await journal.append(one)
    assert journal.spooled == 30
    path.rmdir()
    await until_drained(journal, tmp_path / "spool")
    assert sorted(ids(await read_all(journal))) == sorted(ids(clicks))
    await journal.close()


async def test_when_the_spool_fails_too_the_caller_is_told(tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("a file where a folder should be")
    async with spooled(tmp_path / "spool") as (inner, journal):
        inner.broken = True
        for number in range(1, 4):
            with pytest.raises(JournalUnavailable, match="failed too"):
                await journal.append(click())
            assert (journal.spooled, journal.unlogged, journal.waiting) == (0, number, 0)
        inner.broken = False
        one = click()
        async with asyncio.timeout(30):
            while True:
                try:
                    await journal.append(one)
                    break
                except JournalUnavailable:
                    await asyncio.sleep(0.01)
        assert await inner.kept() == [one.event_id]


async def recovered(folder: Path) -> set[str]:
    """Start anew after a crash; return all event ids that come out."""
    journal = SpooledJournal(SqliteJournal(folder / "journal.db"), folder / "spool", 5)
    journal.start()
    await until_drained(journal, folder / "spool")
    found = set(ids(await read_all(journal)))
    await journal.close()
    return found


async def test_what_was_spooled_before_a_kill_is_drained(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    path.mkdir()  # everything goes to the spool
    acknowledged = await asyncio.to_thread(kill_writers, "spooled", tmp_path, 5, 1)
    path.rmdir()
    assert acknowledged
    assert set(acknowledged) <= await recovered(tmp_path)


async def test_what_a_full_disk_lets_through_is_all_there_is_acknowledged(tmp_path: Path) -> None:
    acknowledged = []
    for _ in range(3):
        writer = Writer("spooled", tmp_path, "300000")
        acknowledged += await asyncio.to_thread(writer.kill_after, 2000, 0.1)
    assert set(acknowledged) <= await recovered(tmp_path)


async def test_on_a_full_disk_the_caller_is_told_and_later_all_is_well(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    with small_disk(disk, "1m"):
        journal = SpooledJournal(SqliteJournal(disk / "journal.db"), disk / "spool", 5)
        await journal.append(click())
        acknowledged = []
        refused = 0
        with filled(disk):
            for number in range(400):
                one = click(number)
                try:
                    await journal.append(one)
                except JournalUnavailable:
                    refused += 1
                else:
                    acknowledged.append(one.event_id)
            assert refused == journal.unlogged > 0
        await until_drained(journal, disk / "spool")
        one = click()
        async with asyncio.timeout(30):
            while True:
                try:
                    await journal.append(one)
                    break
                except JournalUnavailable:
                    await asyncio.sleep(0.01)
        assert {*acknowledged, one.event_id} <= set(ids(await read_all(journal)))
        await journal.close()
