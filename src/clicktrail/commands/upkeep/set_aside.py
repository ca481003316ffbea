"""Finds what was set aside in a data folder, and reads what can be read of it."""

import errno
from collections.abc import Iterator
from pathlib import Path

from clicktrail.journal.salvage import clicks_of_journal, clicks_of_row
from clicktrail.journal.spoolfile import DAMAGED as SPOOL_DAMAGED
from clicktrail.journal.spoolfile import TOO_LARGE, SpoolReader
from clicktrail.journal.sqlite_damage import DAMAGED, LOG
from clicktrail.journal.undecodable import FOLDER
from clicktrail.model import Click

DONE = ".repaired"
"""Added to the name of a file whose clicks are all in the journal again."""


_SPOOLS = (SPOOL_DAMAGED, TOO_LARGE)


def set_aside(folder: Path) -> list[Path]:
    """Return the files that were set aside and are still to be repaired."""
    journals = {
        path.with_name(path.name.removesuffix(LOG))  # of some only the log was there
        for path in folder.glob(f"journal.db{DAMAGED}*")
        if not path.name.endswith((DONE, "-shm"))
    }
    spools = [path for kind in _SPOOLS for path in (folder / "spool").glob(f"*{kind}")]
    return [*sorted(journals), *sorted(spools), *sorted((folder / FOLDER).glob("*.record"))]


def with_clicks(folder: Path) -> list[Path]:
    """Return all files that were set aside and may hold clicks, repaired or not."""
    spools = ((folder / "spool").glob(f"*{kind}*") for kind in _SPOOLS)
    found = [
        *folder.glob(f"*.db{DAMAGED}*"),
        *(path for each in spools for path in each),
        *(folder / FOLDER).glob("*.record*"),
    ]
    return sorted(path for path in found if path.is_file())


def clicks_of(path: Path) -> Iterator[Click]:
    """Give the clicks that can be read of such a file. Raises `OSError`."""
    if path.name.endswith(_SPOOLS):
        reader = SpoolReader.take(path)
        if reader is None:
            raise BlockingIOError(errno.EAGAIN, "another process has it")
        try:
            while clicks := reader.read(500):
                yield from clicks
        finally:
            reader.close()
    elif path.suffix == ".record":
        yield from clicks_of_row(path.read_bytes())
    else:
        yield from clicks_of_journal(path)


def finish(path: Path) -> None:
    """Give a repaired file, with the log beside it, the name of one that is done with."""
    for each in (path.with_name(path.name + LOG), path):
        if each.exists():
            each.rename(each.with_name(each.name + DONE))
