"""The journal that the settings name."""

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from clicktrail.errors import SettingError
from clicktrail.journal import Journal
from clicktrail.journal.sqlite import SqliteJournal
from clicktrail.journal.undecodable import FOLDER
from clicktrail.settings.settings import Settings


def open_journal(settings: Settings, folder: Path) -> Journal:
    """Return the journal that the settings name. Raises `SettingError`."""
    if not settings["journal.url"]:
        return SqliteJournal(folder / "journal.db")
    if find_spec("nats") is None:
        raise SettingError("journal.url needs NATS's library: pip install 'clicktrail[nats]'")
    journal: Journal = import_module("clicktrail.service.parts.jetstream").open_stream(
        settings, folder / FOLDER
    )
    return journal
