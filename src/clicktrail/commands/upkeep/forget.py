"""Erases a person from store and journal, and finds what of a data folder could not be searched."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console

from clicktrail.base.files import at_work
from clicktrail.commands.shared.common import escape, settings_of, with_store
from clicktrail.commands.upkeep.set_aside import with_clicks
from clicktrail.journal.spoolfile import SUFFIX
from clicktrail.journal.sqlite_reader import forget_read
from clicktrail.service.orders import renew_copy
from clicktrail.service.parts.folder import data_folder

if TYPE_CHECKING:
    from clicktrail.store import Store
    from clicktrail.store.people.forget import Forgotten

PATIENCE = 10.0
"""Seconds in which clicks that are in the journal should be counted."""


def erase(context: typer.Context, address: str) -> "tuple[Forgotten, bool, list[Path]]":
    """Erase a person.

    Return what was found, whether clicks wait that may be of this person, and which damaged files
    may hold some.
    """
    with Console(stderr=True).status(f"Erasing {escape(address)}"):
        folder = data_folder(settings_of(context))

        async def work(store: "Store") -> "Forgotten":
            done = await store.forget_person(address)
            await renew_copy(folder, store.orders)  # of changes that may have named the person
            return done

        done = with_store(context, work)
        journal_emptied = forget_read(folder / "journal.db", 0 if _is_idle(folder) else PATIENCE)
    uncounted = not journal_emptied or any((folder / "spool").glob(f"*{SUFFIX}"))
    return done, uncounted, with_clicks(folder)


def _is_idle(folder: Path) -> bool:
    """Whether nobody is at work in a data folder who would count what is in its journal."""
    with at_work(folder, alone=True) as alone:
        return alone
