"""Builds the store's index of emails anew, where it is damaged."""

import asyncio
import os
from pathlib import Path

import typer

from clicktrail.errors import ClicktrailError
from clicktrail.service.parts.folder import store_url
from clicktrail.settings.settings import Settings

RESTORE = "stop the service, put a backup of it back (docs/operations.md), start again"


def repair_index(settings: Settings, *, asked: bool) -> bool:
    """Build the index anew where it is damaged, or ``asked`` for; return whether all is well.

    Nothing is done, nor said, where there is no store, or nothing is wrong with it.
    """
    path = None if settings.text("store.url") else settings.data / "clicktrail.db"
    if path is None and not asked:
        return True  # PostgreSQL's own tools look for damage
    if path is not None and not os.path.lexists(path):
        return True
    try:
        return asyncio.run(_repair(store_url(settings), path, asked=asked))
    except ClicktrailError as error:
        typer.echo(f"The index of emails cannot be built anew: {error}.")
        return False


async def _repair(url: str, path: Path | None, *, asked: bool) -> bool:
    # Much to load, and not always needed.
    from clicktrail.store import Store  # noqa: PLC0415
    from clicktrail.store.integrity import Found, look_at  # noqa: PLC0415

    found = look_at(path) if path is not None else Found()
    if found.said and not found.can_be_repaired:
        typer.echo(f"{path}: {found.said[0]}{f': {RESTORE}' if found.is_damage else ''}.")
        return False
    store = await Store.open(url)
    try:
        if not asked and not found.said and await store.search.is_writable():
            return True
        await store.search.repair()
        if path is not None and look_at(path).said:
            typer.echo("The store's file is written anew: until that is done, emails are put off.")
            await store.rewrite()
    finally:
        await store.close()
    typer.echo("The index of emails is begun anew: the publisher fills it, the newest first.")
    left = look_at(path).said if path is not None else ()
    if left:
        typer.echo(f"{path}: {left[0]}: {RESTORE}.")
    return not left
