"""``clicktrail check`` and ``clicktrail repair``: what is damaged, and what can be had back."""

import asyncio
import errno
import os
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from clicktrail.base.complaints import complaint
from clicktrail.base.files import is_orphaned
from clicktrail.base.redact import reason_of
from clicktrail.commands.shared.common import Json, print_json, print_table, settings_of
from clicktrail.commands.upkeep.set_aside import clicks_of, finish, set_aside
from clicktrail.commands.upkeep.store_index import RESTORE, repair_index
from clicktrail.errors import ClicktrailError, InvalidInput
from clicktrail.journal import ClicksTooLarge, Journal
from clicktrail.journal.spoolfile import SpoolReader, spool_files, try_to_write
from clicktrail.keys.orders import OrdersCopy
from clicktrail.keys.ringfile import KeyFile
from clicktrail.service.parts.folder import lost_store, secret_in, store_url
from clicktrail.service.parts.journal import open_journal
from clicktrail.service.parts.sealing import check_ring, has_store, sealed
from clicktrail.settings.settings import Settings


def check(context: typer.Context, as_json: Json = False) -> None:
    """Look at journal, spool, store and keys, and say what is wrong. The service may run.

    The exit status is 1 where something is.
    """
    settings = settings_of(context)
    folder = settings.data
    if not folder.is_dir():
        raise InvalidInput(f"there is no data folder {str(folder)!r}: name it with --data")
    stored = _store(settings, folder)
    looks: dict[str, Callable[[], list[str]]] = {
        "keys": lambda: _keys(settings, folder, opens=not stored),
        "vault-key": lambda: [] if stored else _vault(settings, folder),
        "api-token": lambda: _api_token(settings, folder / "api-token"),
        "webhook-secret": lambda: _webhook_secret(settings, folder / "webhook-secret"),
        "store": lambda: stored,
        "dictionaries": lambda: [] if stored else _dictionaries(settings, folder),
        "journal": lambda: _journal(settings, folder),
        "spool": lambda: _spool(folder),
        "orders": lambda: _orders(folder),
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


def _keys(settings: Settings, folder: Path, *, opens: bool) -> list[str]:
    """``opens`` is whether the store can be asked."""
    keys = KeyFile(folder / "keys.json")
    try:
        keys.check()
        if opens and has_store(settings, keys):
            known, _ = asyncio.run(sealed(settings, store_url(settings), keys))
            check_ring(known, keys)
    except ClicktrailError as error:
        return [str(error)]
    return []


def _vault(settings: Settings, folder: Path) -> list[str]:
    if not has_store(settings, KeyFile(folder / "keys.json")):
        return []
    try:
        asyncio.run(_open_secrets(settings, folder))
    except ClicktrailError as error:
        return [str(error)]
    return []


def _dictionaries(settings: Settings, folder: Path) -> list[str]:
    if not has_store(settings, KeyFile(folder / "keys.json")):
        return []
    try:
        damaged, gone = asyncio.run(_unusable_dictionaries(settings))
    except ClicktrailError as error:
        return [str(error)]
    return [
        f"{number} of the dictionaries that emails are kept with {what}: these emails cannot be"
        f" read, and the next person that is erased ends them: {RESTORE}"
        for number, what in ((damaged, "cannot be used"), (gone, "are not there any more"))
        if number
    ]


async def _unusable_dictionaries(settings: Settings) -> tuple[int, int]:
    from clicktrail.store import Store  # noqa: PLC0415 - not every process needs it

    store = await Store.open(store_url(settings))
    try:
        return await store.messages.unusable_dictionaries()
    finally:
        await store.close()


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


def _orders(folder: Path) -> list[str]:
    copy = OrdersCopy(folder)
    try:
        copy.read()
    except OSError as error:
        return [f"{copy.path}: {complaint(error, copy.path)}"]
    except ValueError:
        return [f"{copy.path} is damaged: delete it, and the service writes it anew"]
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


def _integrity(path: Path, remedy: str = "") -> list[str]:
    """Return what is wrong with a SQLite file, where there is one.

    ``remedy`` is what helps against damage.
    """
    if not os.path.lexists(path):
        return []
    from clicktrail.store.integrity import look_at  # noqa: PLC0415 - not always needed

    found = look_at(path)
    helps = remedy if found.is_damage else ""
    if remedy and found.can_be_repaired:
        helps = ": run `clicktrail repair`, which builds the index of emails anew"
    what = "is damaged" if found.is_damage else "cannot be used"
    return [f"{path} {what}: {said}{helps}" for said in found.said]


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


def repair(
    context: typer.Context,
    index: Annotated[
        bool,
        typer.Option("--index", help="Build the index of emails anew, also where it seems well."),
    ] = False,
) -> None:
    """Count what can be read of files that were set aside, and mend the store's index of emails.

    Each click is put into the journal again, and counted once, however often this is run. A file
    that is done with gets another name (`.repaired`) and may be deleted. An index that is damaged
    is begun anew, and the publisher fills it, the newest emails first. The service may run.
    """
    settings = settings_of(context)
    folder = settings.data
    files = set_aside(folder) if folder.is_dir() else []
    if not files:
        typer.echo(f"Nothing was set aside in {folder}.")
    left = asyncio.run(_repair(settings, files)) if files else 0
    if not repair_index(settings, asked=index) or left:
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
