"""Clicks that are larger than the journal takes: set aside, whichever way they come."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from clicktrail.errors import JournalUnavailable
from clicktrail.journal import ClicksTooLarge
from clicktrail.journal.memory import MemoryJournal, MemoryShelf
from clicktrail.journal.spool import SpooledJournal
from clicktrail.journal.spoolfile import SpoolReader
from clicktrail.model import Click
from journal.test_spool import until_drained
from support.journals import click, ids


class NarrowJournal(MemoryJournal):
    """Takes no click whose URL is longer than 100 characters."""

    def __init__(self) -> None:
        super().__init__(MemoryShelf())

    async def append(self, *clicks: Click) -> None:
        large = [each for each in clicks if len(each.url) > 100]
        await super().append(*[each for each in clicks if each not in large])
        if large:
            raise ClicksTooLarge(large, "a URL has 100 characters")

    def kept(self) -> list[str]:
        """Return the event ids in the journal."""
        return ids([entry.click for entry in self._shelf.entries.values()])


def large() -> Click:
    return replace(click(), url="https://a.example/" + "x" * 100)


def set_aside(folder: Path) -> list[str]:
    found = []
    for path in folder.glob("*.too-large"):
        reader = SpoolReader.take(path)
        assert reader is not None
        found += ids(reader.read(1000))
        reader.close()
    return found


async def test_clicks_too_large_for_the_journal_hold_up_no_others(tmp_path: Path) -> None:
    inner = NarrowJournal()
    journal = SpooledJournal(inner, tmp_path, 30)
    one, two, three = large(), click(), large()
    await journal.append(one, two, three)
    assert (journal.spooled, journal.unlogged, journal.spooling) == (0, 0, False)
    inner.broken = True
    four, five = large(), click()
    await asyncio.gather(journal.append(four), journal.append(five))
    assert journal.spooling
    inner.broken = False
    await until_drained(journal, tmp_path)
    assert journal.drained == 1
    await journal.close()
    assert inner.kept() == ids([two, five])
    assert sorted(set_aside(tmp_path)) == sorted(ids([one, three, four]))


async def test_clicks_too_large_that_cannot_be_kept_are_unlogged_and_no_others(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "spool"
    folder.write_text("no folder")
    journal = SpooledJournal(NarrowJournal(), folder, 30)
    with pytest.raises(JournalUnavailable, match="failed too"):
        await journal.append(large())
    await journal.append(click())
    assert (journal.unlogged, journal.spooling) == (1, False)
    await journal.close()
