"""``clicktrail migrate``: from the data folder's file to PostgreSQL."""

import asyncio
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from clicktrail.base.files import at_work
from clicktrail.commands.shared.common import print_table, settings_of
from clicktrail.errors import InvalidInput
from clicktrail.service.parts.folder import data_folder


def migrate(
    context: typer.Context,
    to: Annotated[
        str,
        typer.Option(
            metavar="URL",
            help="postgresql://user:password@host/database, which must be empty; store.url where"
            " that is set.",
        ),
    ] = "",
) -> None:
    """Move what is stored in the data folder to PostgreSQL. The service must not run.

    A move that was interrupted goes on where it was when the command is run again. The file stays
    as it is.
    """
    settings = settings_of(context)
    folder = data_folder(settings)
    url = to or settings.text("store.url")
    if not url:
        raise InvalidInput("say where to: --to postgresql://user:password@host/database")
    with ExitStack() as ends:
        if not ends.enter_context(at_work(folder, alone=True)):
            raise InvalidInput(f"Clicktrail runs on {folder}: stop it first, then move")
        asyncio.run(_move(folder / "clicktrail.db", url))
    typer.echo(
        "All is there. Now give every node the URL, as store.url in clicktrail.toml or as"
        " CLICKTRAIL_STORE_URL, and start.\n"
        f"Keep {folder}: its keys.json opens the links that were sent, vault-key what is sealed in"
        " the database, and clicks that wait in its journal are counted after the start."
    )


async def _move(file: Path, url: str) -> None:
    from clicktrail.store.database.move import Move  # noqa: PLC0415 - only where it is used

    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    async with Move(file, url) as move:
        with Progress(*columns, console=Console(stderr=True)) as bar:
            total = bar.add_task("Moving", total=sum((await move.rows()).values()))

            def arrived(table: str, rows: int) -> None:
                bar.update(total, description=table, advance=rows)

            moved = await move.run(arrived)
            bar.update(total, description="Moved")
        print_table(
            ("Table", "Rows", "Sent", "Clicks"),
            (
                (each.table, each.rows, each.counted.get("sent"), each.counted.get("clicks"))
                for each in moved
                if each.rows
            ),
            title=f"In {move.target}",
            numbers=("Rows", "Sent", "Clicks"),
        )
