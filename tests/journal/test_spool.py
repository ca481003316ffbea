"""When the journal fails, is slow, or full: the click goes to the spool, and from there back."""

import asyncio
import os
import random
import sqlite3
import stat
import struct
import time
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from clicktrail.base.faults import Faults
from clicktrail.errors import JournalUnavailable
from clicktrail.journal.memory import MemoryJournal, MemoryShelf
from clicktrail.journal.record import encode
from clicktrail.journal.spool import SpooledJournal
from clicktrail.journal.spoolfile import SpoolReader, SpoolWriter, spool_files
from clicktrail.journal.sqlite import SqliteJournal
from clicktrail.model import Click
from support.faults import filled, small_disk
from support.journals import Writer, click, ids, kill_writers, read_all
from support.service import PATIENCE


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
    async with asyncio.timeout(PATIENCE):
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
        files = spool_files(tmp_path)  # more than one where the drainer came between
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
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
        async with asyncio.timeout(PATIENCE):
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


def damages(whole: bytes, places: list[int], chance: random.Random) -> Iterator[tuple[str, bytes]]:
    """Give what a bad day makes of a file; ``places`` is where its frames begin."""
    for place in places:
        for at in (*range(place, place + 8), place + 20):
            yield (
                "flipped",
                whole[:at] + bytes([whole[at] ^ 1 << chance.randrange(8)]) + whole[at + 1 :],
            )
            yield "set", whole[:at] + bytes([chance.randrange(256)]) + whole[at + 1 :]
            yield "removed", whole[:at] + whole[at + 1 :]
            yield "inserted", whole[:at] + b"\0" + whole[at:]
    for _ in range(100):
        at = chance.randrange(len(whole))
        size = chance.randrange(1, 300)
        yield "zeroed", whole[:at] + bytes(len(whole[at : at + size])) + whole[at + size :]
        yield "hole", whole[:at] + whole[at + size :]
        yield "noise", whole[:at] + chance.randbytes(size) + whole[at:]


def test_damage_anywhere_costs_the_clicks_that_it_hit_and_no_other(tmp_path: Path) -> None:
    clicks = [click(number) for number in range(30)]
    whole = write_spool(tmp_path, clicks).read_bytes()
    places = [0]
    for one in clicks:
        places.append(places[-1] + 8 + len(encode(one)))
    path = tmp_path / "damaged.spool"
    for what, data in damages(whole, places[:-1], random.Random(9)):
        path.write_bytes(data)
        found, reader = read_spool(path)
        by_id = {one.event_id: one for one in clicks}
        assert len(found) == len(set(ids(found)))
        assert all(one == by_id[one.event_id] for one in found), "only what was written is a click"
        # What was not touched is there: the frames that stand whole in what is left of the file.
        untouched = {
            one.event_id
            for one, start, end in zip(clicks, places, places[1:], strict=False)
            if whole[start:end] in data
        }
        assert untouched <= set(ids(found)), what
        is_tail = reader.damage is not None and reader.damage.only_tail
        kept = reader.finish()
        assert kept or is_tail or len(found) == len(clicks) or what == "hole", what
        for each in tmp_path.glob("*damaged*"):
            each.unlink()


def test_one_damaged_length_costs_no_click(tmp_path: Path) -> None:
    clicks = [click(number) for number in range(50)]
    path = write_spool(tmp_path, clicks)
    whole = path.read_bytes()
    at = whole.index(clicks[10].event_id.encode()) - 2 - 8
    for length in (0, 7, 1 << 19, 0xFFFFFFFF):
        path.write_bytes(whole[:at] + length.to_bytes(4, "little") + whole[at + 4 :])
        found, reader = read_spool(path)
        assert found == clicks
        kept = reader.finish()
        assert kept is not None
        kept.rename(path)


def test_what_a_visitor_sends_is_no_click_in_a_damaged_file(tmp_path: Path) -> None:
    forged = encode(click(1))
    agent = b"x" * 40 + b"\x00" * 4 + zlib.crc32(forged).to_bytes(4, "little") + forged
    real = replace(click(2), user_agent=agent.decode("latin-1"))
    raw = encode(click(3))
    # As bytes on the disk: the forged record stands within the field of another.
    record = encode(real).replace(agent.decode("latin-1").encode(), agent)
    path = write_spool(tmp_path, [])
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(
        struct.pack("<II", len(record), 1)
        + record
        + struct.pack("<II", len(raw), zlib.crc32(raw))
        + raw
    )
    found, reader = read_spool(path)
    reader.close()
    assert [one.link for one in found] == [3]


def test_reading_a_damaged_file_takes_steps_in_proportion_to_its_size(tmp_path: Path) -> None:
    # The worst: every few bytes a record seems to begin, which is longer than the file's rest, or
    # of a length that holds but for its checksum.
    costs = []
    for copies in (1000, 2000, 4000, 8000):
        for kind in (b"\xdb\x00\x01\x00\x00", b"\xda\x08\x00", b"\xc6\xff\xff\xff\xff"):
            begun = b"\x97\xb5" + b"A" * 21 + b"\xb5" + b"B" * 21 + b"\x01" + kind
            path = tmp_path / f"{copies}.spool"
            path.write_bytes(begun * copies)
            started = time.process_time()
            found, reader = read_spool(path)
            reader.close()
            costs.append((copies, kind, time.process_time() - started))
            assert found == []
    for kind in {kind for _, kind, _ in costs}:
        spent = [seconds for _, each, seconds in costs if each == kind]
        assert spent[-1] < 8 * 4 * max(spent[0], 0.01), spent


@pytest.mark.parametrize("content", [b"", b"not ours\n", b"\0" * 5000, b"SQLite format 3\0" * 900])
async def test_files_of_strangers_cost_no_click(tmp_path: Path, content: bytes) -> None:
    clicks = [click(number) for number in range(20)]
    write_spool(tmp_path, clicks)
    (tmp_path / "0.spool").write_bytes(content)
    async with spooled(tmp_path) as (inner, journal):
        journal.start()
        await until_drained(journal, tmp_path)
        assert await inner.kept() == ids(clicks)
    kept = [path.read_bytes() for path in sorted(tmp_path.iterdir())]  # noqa: ASYNC240
    assert kept == ([content] if content.strip(b"\0") else [])


async def test_what_cannot_be_read_holds_up_no_other_file(tmp_path: Path) -> None:
    clicks = [click(number) for number in range(20)]
    write_spool(tmp_path, clicks)
    (tmp_path / "0.spool").mkdir()
    (tmp_path / "1.spool").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "2.spool")
    inner, faults = MoodyJournal(), Faults()
    journal = SpooledJournal(inner, tmp_path, 0.05, faults=faults)
    journal.UNREADABLE_PAUSE = 0.01
    journal.start()

    async def until(done: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not done():  # noqa: ASYNC110 - what happens sets no event
                await asyncio.sleep(0.01)

    await until(lambda: journal.drained == 20 and not journal.spooling)
    assert await inner.kept() == ids(clicks)
    await until(lambda: "2 more" in faults.current().get("spool file", ""))
    # What comes now, when the journal fails again, is drained too.
    inner.broken = True
    last = click(20)
    await journal.append(last)
    inner.broken = False
    await until(lambda: journal.drained == 21)
    assert last.event_id in await inner.kept()
    (tmp_path / "0.spool").rmdir()
    (tmp_path / "1.spool").unlink()
    (tmp_path / "2.spool").unlink()
    await until(lambda: not faults.current())
    await journal.close()


def test_a_kept_file_takes_no_other_ones_place(tmp_path: Path) -> None:
    path = write_spool(tmp_path, [click()], tail=b"\xff" * 100)
    other = path.with_name(path.name + ".damaged")
    other.write_text("kept before")
    _, reader = read_spool(path)
    kept = reader.finish()
    assert kept not in (None, other)
    assert other.read_text() == "kept before"


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
        async with asyncio.timeout(PATIENCE):
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
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    await journal.append(one)
                    break
                except JournalUnavailable:
                    await asyncio.sleep(0.01)
        assert {*acknowledged, one.event_id} <= set(ids(await read_all(journal)))
        await journal.close()
