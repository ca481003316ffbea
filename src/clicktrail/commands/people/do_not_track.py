"""``clicktrail recipients do-not-track``: who is not to be tracked."""

import sys
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from clicktrail.base.ids import rfc3339
from clicktrail.commands.shared.common import Json, print_json, print_table, with_store
from clicktrail.commands.shared.who import who

if TYPE_CHECKING:
    from clicktrail.store import Store
    from clicktrail.store.people.do_not_track import Entry

_BATCH = 1000
"""Entries that are read or written at once."""

do_not_track = typer.Typer(no_args_is_help=True, help="Who is not to be tracked.")

Entries = Annotated[
    list[str],
    typer.Argument(
        metavar="ADDRESS|@DOMAIN...",
        help="anna@example.com, @example.com; - reads them from standard input, one a line.",
    ),
]


@do_not_track.callback()
def group() -> None:
    """Who is not to be tracked."""


@do_not_track.command("add")
def add(context: typer.Context, entries: Entries) -> None:
    """Track these people no more: their emails stay as they are, and clicks are not logged.

    Links that they have got already lead on, and nothing is written down of it.
    """

    async def work(store: "Store") -> int:
        count, given = 0, _given(entries)
        while some := list(islice(given, _BATCH)):
            count += len(await store.do_not_track.add(some, who()))
        return count

    count = with_store(context, work)
    typer.echo(f"{_whom(entries, count)} will not be tracked, from now on.")


@do_not_track.command("remove")
def remove(context: typer.Context, entries: Entries) -> None:
    """Take people off the list: their emails are tracked again."""

    async def work(store: "Store") -> int:
        count = 0
        for each in _given(entries):
            await store.do_not_track.remove(each)
            count += 1
        return count

    count = with_store(context, work)
    typer.echo(f"{_whom(entries, count)} may be tracked again.")


@do_not_track.command("list")
def list_entries(context: typer.Context, as_json: Json = False) -> None:
    """List them, in order."""

    async def work(store: "Store") -> "list[Entry]":
        found: list[Entry] = []
        while some := await store.do_not_track.page(found[-1].name if found else "", _BATCH):
            found += some
        return found

    found = with_store(context, work)
    if as_json:
        print_json(
            [{"entry": e.name, "made": rfc3339(e.made_at), "madeBy": e.made_by} for e in found]
        )
        return
    print_table(
        ("Who", "Since", "By"),
        ((e.name, rfc3339(e.made_at), e.made_by) for e in found),
        empty="Everybody may be tracked.",
    )


def _whom(entries: list[str], count: int) -> str:
    return str(count) if len(entries) > 1 or "-" in entries else entries[0]


def _given(entries: list[str]) -> Iterator[str]:
    for each in entries:
        if each != "-":
            yield each
            continue
        yield from filter(None, map(str.strip, sys.stdin))
