"""``clicktrail suppression``: the addresses that get no email."""

import csv
import sys
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from itertools import islice
from typing import IO, TYPE_CHECKING, Annotated, Any

import typer

from clicktrail.base.ids import rfc3339
from clicktrail.base.redact import reason_of
from clicktrail.commands.shared.common import Json, print_json, print_table, with_store
from clicktrail.errors import InvalidInput

if TYPE_CHECKING:
    from clicktrail.store import Store
    from clicktrail.store.people.suppression import SuppressionReason

suppression = typer.Typer(no_args_is_help=True, help="Addresses that get no email.")

_BATCH = 1000
"""Entries that are read or written at once."""
_SHOWN = 5

Address = Annotated[str, typer.Argument(help="The address.")]
Reason = Annotated[
    str,
    typer.Option(help="BOUNCE, COMPLAINT, or UNSUBSCRIBE: the person wants no email."),
]


@suppression.command("list")
def list_suppressed(
    context: typer.Context,
    reason: Annotated[str | None, typer.Option(help="Only those with this reason.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 1000,
    as_json: Json = False,
) -> None:
    """List addresses, in order; `export` gives all."""
    wanted = [_reason(reason)] if reason else []
    found = with_store(context, lambda s: s.suppression.page(limit=limit, reasons=wanted))
    if as_json:
        print_json(
            [
                {"address": e.address, "reason": e.reason, "updatedAt": rfc3339(e.updated_at)}
                for e in found
            ]
        )
        return
    print_table(
        ("Address", "Reason", "Since"),
        ((e.address, e.reason, rfc3339(e.updated_at)) for e in found),
        empty="Nobody is on the suppression list.",
    )


@suppression.command("add")
def add(context: typer.Context, address: Address, reason: Reason = "UNSUBSCRIBE") -> None:
    """Put an address on the list: it gets no email from now on."""
    named = _reason(reason)
    with_store(context, lambda store: store.suppression.put(address, named))
    typer.echo(f"{address} is on the suppression list ({named}).")


@suppression.command("remove")
def remove(context: typer.Context, address: Address) -> None:
    """Take an address off the list."""
    with_store(context, lambda store: store.suppression.remove(address))
    typer.echo(f"{address} is off the suppression list.")


@suppression.command("import")
def import_list(
    context: typer.Context,
    file: Annotated[str, typer.Argument(help="A CSV file; - for standard input.")],
    reason: Reason = "UNSUBSCRIBE",
) -> None:
    """Put many addresses on the list: `address,REASON` a line, as Amazon SES exports and takes it.

    A line without a reason gets that of --reason. Lines that cannot be used are named, the others
    are taken; then the exit status is 1.
    """
    default = _reason(reason)
    opened = nullcontext(sys.stdin) if file == "-" else open(file, encoding="utf-8-sig")  # noqa: SIM115, PTH123
    with opened as source:
        lines = _Lines(source, default)

        async def work(store: "Store") -> int:
            taken = 0
            while entries := list(islice(lines, _BATCH)):
                await store.suppression.put_many(entries)
                taken += len(entries)
            return taken

        taken = with_store(context, work)
    typer.echo(f"Put {taken} addresses on the suppression list.")
    if lines.wrong:
        shown = "\n  ".join(lines.wrong[:_SHOWN])
        raise InvalidInput(f"{len(lines.wrong)} lines of {file} were left out:\n  {shown}")


@suppression.command("export")
def export(context: typer.Context) -> None:
    """Print the whole list as CSV: address, reason, since when. `import` takes it."""
    writer = csv.writer(sys.stdout, lineterminator="\n")

    async def work(store: "Store") -> None:
        after = ""
        while found := await store.suppression.page(after, _BATCH):
            writer.writerows((e.address, e.reason, rfc3339(e.updated_at)) for e in found)
            after = found[-1].address

    with_store(context, work)


class _Lines(Iterable[tuple[str, "SuppressionReason"]]):
    """The entries of a CSV file; ``wrong`` tells of lines that are none."""

    def __init__(self, source: IO[str], reason: "SuppressionReason") -> None:
        self.wrong: list[str] = []
        self._entries = self._read(csv.reader(source), reason)

    def __iter__(self) -> Iterator[tuple[str, "SuppressionReason"]]:
        return self._entries

    def _read(self, rows: Any, reason: str) -> Iterator[tuple[str, "SuppressionReason"]]:
        from clicktrail.store.people.suppression import entry_of  # noqa: PLC0415 - much to load

        try:
            for row in rows:
                address, given, *_ = (*(cell.strip() for cell in row), "", "")
                if not address or (rows.line_num == 1 and "@" not in address):  # names of columns
                    continue
                try:
                    yield entry_of(address, given or reason)
                except InvalidInput as error:
                    self.wrong.append(f"line {rows.line_num}: {error}")
        except (csv.Error, UnicodeDecodeError) as error:
            raise InvalidInput(
                f"line {rows.line_num + 1} is no line of a CSV file in UTF-8: {reason_of(error)}"
            ) from None


def _reason(text: str) -> "SuppressionReason":
    from clicktrail.store.people.suppression import reason_named  # noqa: PLC0415 - much to load

    return reason_named(text)
