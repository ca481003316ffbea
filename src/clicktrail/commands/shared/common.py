"""What the commands share: settings from the command line, the store, tables, JSON."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, TypeVar

import msgspec
import typer

from clicktrail.commands.shared.given import Given
from clicktrail.errors import InvalidInput
from clicktrail.keys.ringfile import KeyFile
from clicktrail.service.parts.folder import data_folder, lost_store, store_url
from clicktrail.service.parts.sealing import ready_keys
from clicktrail.settings.settings import Settings

if TYPE_CHECKING:
    from clicktrail.store import Store

T = TypeVar("T")

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
MOST_LISTED = 1_000_000
"""Rows of a list that is shown at once."""


def settings_of(context: typer.Context) -> Settings:
    """Return the settings in force for a command."""
    return context.ensure_object(Given).settings()


def keys_of(context: typer.Context) -> KeyFile:
    """Return the key ring's file; made with a first key where no link was ever sealed."""
    settings = settings_of(context)
    data_folder(settings)
    return ready_keys(settings)


def with_store(context: typer.Context, work: "Callable[[Store], Awaitable[T]]") -> T:
    """Run ``work`` with the store, and close it."""
    from clicktrail.store import Store  # noqa: PLC0415 - not every process needs it

    settings = settings_of(context)
    if not settings.text("store.url"):
        data_folder(settings)
        if lost := lost_store(settings):  # else it would answer from an empty one
            raise InvalidInput(lost)
    url = store_url(settings)

    async def run() -> T:
        store = await Store.open(url)
        try:
            return await work(store)
        finally:
            await store.close()

    return asyncio.run(run())


def print_json(value: object) -> None:
    """Print a value as JSON."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value)).decode() + "\n")


def print_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    title: str | None = None,
    numbers: Sequence[str] = (),
    empty: str = "",
    to_stderr: bool = False,
) -> None:
    """Print a table; the columns of ``numbers`` are aligned to the right."""
    from rich.console import Console  # noqa: PLC0415 - not every command shows a table
    from rich.table import Table  # noqa: PLC0415

    class Output(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError  # left to `clicktrail.commands.shared.ending`

    console = Output(stderr=to_stderr, highlight=False)
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, justify="right" if column in numbers else "left", overflow="fold")
    count = 0
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
        count += 1
    if count or not empty:
        console.print(table)
    else:
        console.print(empty, markup=False)


def escape(cell: object) -> str:
    """Return a cell's text with Rich's markup and control characters made harmless."""
    text = "" if cell is None else str(cell)
    shown = "".join(c if c.isprintable() or c == "\n" else f"\\x{ord(c):02x}" for c in text)
    return shown.replace("[", r"\[")


def confirm(question: str, yes: bool) -> None:
    """Ask, unless told not to. Raises `InvalidInput` where the answer is no, or none comes."""
    if yes:
        return
    try:
        agreed = typer.confirm(question)
    except typer.Abort:  # Ctrl-C or Ctrl-D at the prompt, or nobody to ask
        typer.echo(err=True)
        raise InvalidInput("nothing was done: nobody said yes (--yes says it beforehand)") from None
    if not agreed:
        raise InvalidInput("nothing was done")
