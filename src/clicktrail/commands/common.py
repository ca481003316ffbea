"""What the commands share: settings from the command line, the store, tables, JSON."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from clicktrail.keyfile import KeyFile
from clicktrail.settings import Settings, load_settings
from clicktrail.wiring import data_folder, key_file, store_url

if TYPE_CHECKING:
    from clicktrail.store import Store

T = TypeVar("T")

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


@dataclass
class Given:
    """What the command line said of the settings."""

    flags: dict[str, str] = field(default_factory=dict)
    file: Path | None = None

    def settings(self) -> Settings:
        """Return the settings in force."""
        return load_settings(self.flags, file=self.file)


def settings_of(context: typer.Context) -> Settings:
    """Return the settings in force for a command."""
    return context.ensure_object(Given).settings()


def keys_of(context: typer.Context) -> KeyFile:
    """Return the key ring's file; made with a first key where there is none."""
    return key_file(data_folder(settings_of(context)))


def with_store(context: typer.Context, work: "Callable[[Store], Awaitable[T]]") -> T:
    """Run ``work`` with the store, and close it."""
    from clicktrail.store import Store  # noqa: PLC0415 - not every process needs it

    url = store_url(settings_of(context))

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
    console = Console(stderr=to_stderr, highlight=False)
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
    """Ask, unless told not to; a no ends the command."""
    if not yes:
        typer.confirm(question, abort=True)
