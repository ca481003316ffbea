"""A process that appends clicks to a journal as fast as it can, until it is killed.

    python journal_writer.py sqlite|spooled FOLDER [BYTES]

Writes the event id of each click that was acknowledged, one a line, to its standard output. With
BYTES no file may grow beyond that size, as on a full disk.
"""

import asyncio
import os
import resource
import sys
from pathlib import Path

import structlog

from clicktrail.base.ids import new_id, now_us
from clicktrail.errors import JournalUnavailable
from clicktrail.journal import Journal
from clicktrail.journal.spool import SpooledJournal
from clicktrail.journal.sqlite import SqliteJournal
from clicktrail.model import Click

AT_ONCE = 40


def journal_of(kind: str, folder: Path) -> Journal:
    inner = SqliteJournal(folder / "journal.db")
    return inner if kind == "sqlite" else SpooledJournal(inner, folder / "spool", 0.1)


async def write(journal: Journal) -> None:
    while True:
        click = Click(
            new_id(), "m" * 21, 1, "https://example.com/?" + "x" * 200, now_us(), "::1", ""
        )
        try:
            await journal.append(click)
        except JournalUnavailable:
            await asyncio.sleep(0.01)
        else:
            os.write(1, click.event_id.encode() + b"\n")


async def main() -> None:
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    journal = journal_of(sys.argv[1], Path(sys.argv[2]))
    if len(sys.argv) > 3:
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]),) * 2)
    await asyncio.gather(*(write(journal) for _ in range(AT_ONCE)))


if __name__ == "__main__":
    asyncio.run(main())
