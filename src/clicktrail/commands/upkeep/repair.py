"""``clicktrail check`` and ``clicktrail repair``: what is damaged, and what can be had back."""

import asyncio
import errno
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from itertools import islice
from pathlib import Path

import typer

from clicktrail.base.complaints import complaint, database_complaint
from clicktrail.base.files import is_orphaned
from clicktrail.base.redact import reason_of
from clicktrail.commands.shared.common import Json, print_json, print_table, settings_of
from clicktrail.commands.upkeep.set_aside import clicks_of, finish, set_aside
from clicktrail.errors import ClicktrailError, InvalidInput
from clicktrail.journal import ClicksTooLarge, Journal
from clicktrail.journal.spoolfile import SpoolReader, spool_files, try_to_write
from clicktrail.journal.sqlite_damage import is_damage
from clicktrail.keys.ringfile import KeyFile
from clicktrail.service.parts.folder import lost_store, secret_in, store_url
from clicktrail.service.parts.journal import open_journal
from clicktrail.service.parts.sealing import check_ring, has_store, sealed
from clicktrail.settings.settings import Settings

RESTORE = "stop the service, put a backup of it back (docs/operations.md), start again"


def check(context: typer.Context, as_json: Json = False) -> None:
    """Look at journal, spool, store and keys, and say what is wrong. The service may run.

    The exit status is 1 where something is.
    """
    settings = settings_of(context)
    folder = settings.data
    if not folder.is_dir():
        raise InvalidInput(f"there is no data folder {str(folder)!r}: name it with --data")
    looks: dict[str, Callable[[], list[str]]] = {
        "keys": lambda: _keys(settings, folder),
        "vault-key": lambda: _vault(settings, folder),
        "api-token": lambda: _api_token(settings, folder / "api-token"),
        "webhook-secret": lambda: _webhook_secret(settings, folder / "webhook-secret"),
        "store": lambda: _store(settings, folder),
        "journal": lambda: _journal(settings, folder),
        "spool": lambda: _spool(folder),
        "disk": lambda: _disk(settings, folder),
        "set aside": lambda: _set_aside(folder),
    }
    found = {name: look() for name, look in looks.items()}
    if as_json:
        print_json(found)
    else:
        print_table(
            ("What", "Found"),
            ((name, "; ".join(problems) or "well") for name, problems in found.items()),
        )
    if any(found.values()):
        raise typer.Exit(1)


def _keys(settings: Settings, folder: Path) -> list[str]:
    keys = KeyFile(folder / "keys.json")
    try:
        keys.check()
        if has_store(settings, keys) and not _store(settings, folder):
            known, _ = asyncio.run(sealed(settings, store_url(settings), keys))
            check_ring(known, keys)
    except ClicktrailError as error:
        return [str(error)]
    return []


def _vault(settings: Settings, folder: Path) -> list[str]:
    if not has_store(settings, KeyFile(folder / "keys.json")) or _store(settings, folder):
        return []
    try:
        asyncio.run(_open_secrets(settings, folder))
    except ClicktrailError as error:
        return [str(error)]
    return []


def _api_token(settings: Settings, path: Path) -> list[str]:
    if settings["api.token"] or not os.path.lexists(path):  # it is made at the next start
        return []
    try:
        secret_in(path)
    except ClicktrailError as error:
        return [str(error)]
    return []


def _webhook_secret(settings: Settings, path: Path) -> list[str]:
    if not settings["webhook.secret"] and not os.path.lexists(path):
        return []
    from clicktrail.service.parts.destinations import webhook_secret  # noqa: PLC0415

    try:
        webhook_secret(settings, path)
    except ClicktrailError as error:
        return [str(error)]
    return []


async def _open_secrets(settings: Settings, folder: Path) -> None:
    from clicktrail.service.parts.vault import look_at_vault  # noqa: PLC0415
    from clicktrail.store import Store  # noqa: PLC0415 - not every process needs it

    store = await Store.open(store_url(settings))
    try:
        await look_at_vault(folder, store)
    finally:
        await store.close()


def _store(settings: Settings, folder: Path) -> list[str]:
    if settings.text("store.url"):
        try:
            asyncio.run(sealed(settings, store_url(settings), KeyFile(folder / "keys.json")))
        except ClicktrailError as error:
            return [str(error)]
        return []
    path = folder / "clicktrail.db"
    if is_orphaned(path):
        return [f"{path} is empty or gone, but its log is there: {RESTORE}"]
    if lost := lost_store(settings):
        return [lost]
    return _integrity(path, f": {RESTORE}")


def _journal(settings: Settings, folder: Path) -> list[str]:
    if settings["journal.url"]:
        try:
            asyncio.run(_try_stream(settings, folder))
        except ClicktrailError as error:
            return [str(error)]
        return []
    path = folder / "journal.db"
    if is_orphaned(path):
        return [f"{path} is empty or gone, but its log is there: the service sets that aside"]
    return _integrity(path)


async def _try_stream(settings: Settings, folder: Path) -> None:
    journal = open_journal(settings, folder)
    try:
        await journal.append()
    finally:
        await journal.close()


_HAS_INDEX = "SELECT 1 FROM sqlite_master WHERE name = 'message_index'"
_WORDS = "CREATE VIRTUAL TABLE temp.words USING fts5vocab(main, message_index, row)"


def _integrity(path: Path, remedy: str = "") -> list[str]:
    """Return what SQLite finds wrong with a file, where there is one. It is only read.

    ``remedy`` is what helps against damage.
    """
    if not os.path.lexists(path):
        return []
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=15)) as database:
            rows = database.execute("PRAGMA quick_check(3)").fetchall()
            if database.execute(_HAS_INDEX).fetchone():
                # SQLite looks into it by itself from 3.44 on. Of what cannot be written, the list
                # of its words is all that can be read (SQLite, "FTS5", § 7).
                database.execute(_WORDS)
                database.execute("SELECT count(*) FROM temp.words").fetchall()
    except sqlite3.Error as error:
        helps = remedy if is_damage(error) else ""
        return [f"{path} cannot be used: {database_complaint(error, path)}{helps}"]
    return [] if rows == [("ok",)] else [f"{path} is damaged: {row[0]}{remedy}" for row in rows]


def _spool(folder: Path) -> list[str]:
    problems = []
    if os.path.lexists(folder / "spool") and not (folder / "spool").is_dir():
        return [f"{folder / 'spool'} is no folder: remove it, and the service makes one"]
    for path in spool_files(folder / "spool"):
        try:
            reader = SpoolReader.take(path)
        except OSError as error:
            problems.append(f"{path} cannot be read: {complaint(error, path)}")
            continue
        if reader is None:
            continue  # it is written to, or being drained
        while reader.read(500):
            pass
        if reader.damage is not None and not reader.damage.only_tail:
            problems.append(
                f"{path}: {reader.damage.size} bytes are damaged; the service counts the rest"
            )
        reader.close()
    return problems


def _disk(settings: Settings, folder: Path) -> list[str]:
    """Return where nothing can be written, as far as whoever asks may; nothing is left there."""
    files = [folder / "spool"]
    files += [] if settings["journal.url"] else [folder / "journal.db"]
    files += [] if settings.text("store.url") else [folder / "clicktrail.db"]
    # Each may be elsewhere, by a link, or a disk of its own.
    places = {(path if path.is_dir() else path.resolve().parent): None for path in files}
    problems = []
    for place in places:
        if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK, effective_ids=True):
            continue
        try:
            try_to_write(place)
            if place.stat().st_uid and not os.statvfs(place).f_bavail:  # root has a reserve
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(place))
        except OSError as error:
            problems.append(f"{place} cannot be written to: {complaint(error, place)}")
    return problems


def _set_aside(folder: Path) -> list[str]:
    return [f"{path} was set aside: run `clicktrail repair`" for path in set_aside(folder)]


def repair(context: typer.Context) -> None:
    """Count what can be read of files that were set aside. The service may run.

    Each click is put into the journal again, and counted once, however often this is run. A file
    that is done with gets another name (`.repaired`) and may be deleted.
    """
    settings = settings_of(context)
    folder = settings.data
    files = set_aside(folder) if folder.is_dir() else []
    if not files:
        typer.echo(f"Nothing was set aside in {folder}.")
        return
    left = asyncio.run(_repair(settings, files))
    if left:
        raise typer.Exit(1)


async def _repair(settings: Settings, files: list[Path]) -> int:
    """Put clicks into the journal; return how many files are to be tried again."""
    journal = open_journal(settings, settings.data)
    left = 0
    try:
        for path in files:
            try:
                number, refused = await _append_all(journal, path)
            except OSError as error:
                left += 1
                typer.echo(f"{path} cannot be read: {reason_of(error)}.")
                continue
            if refused is not None:
                left += 1
                typer.echo(
                    f"{path}: {number} clicks go to the journal; others are too large for it"
                    f" ({refused}). Raise that, then run this again."
                )
            elif number or path.suffix != ".record":
                finish(path)
                typer.echo(f"{path}: {number} clicks go to the journal, and are counted once.")
            else:  # perhaps a newer version can
                left += 1
                typer.echo(f"{path}: no click can be read of it. Delete it, or keep it for later.")
    finally:
        await journal.close()
    return left


async def _append_all(journal: Journal, path: Path) -> tuple[int, ClicksTooLarge | None]:
    """Return how many clicks of a file are in the journal, and why some are not."""
    number, refused = 0, None
    found = clicks_of(path)
    while clicks := list(islice(found, 500)):
        number += len(clicks)
        try:
            await journal.append(*clicks)
        except ClicksTooLarge as error:
            number -= len(error.clicks)
            refused = error
    return number, refused
