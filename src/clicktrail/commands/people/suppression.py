"""``clicktrail suppression``: the addresses that get no email."""

import csv
import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated

import typer

from clicktrail.base.ids import rfc3339
from clicktrail.commands.shared.common import (
    MOST_LISTED,
    Json,
    print_json,
    print_table,
    with_store,
)
from clicktrail.errors import InvalidInput

if TYPE_CHECKING:
    from clicktrail.store import Store
    from clicktrail.store.people.suppression import SuppressionReason

suppression = typer.Typer(no_args_is_help=True, help="Addresses that get no email.")

_BATCH = 1000
"""Entries that are read at once."""

Address = Annotated[str, typer.Argument(help="The address.")]
Reason = Annotated[
    str,
    typer.Option(help="BOUNCE, COMPLAINT, or UNSUBSCRIBE: the person wants no email."),
]


@suppression.command("list")
def list_suppressed(
    context: typer.Context,
    reason: Annotated[str | None, typer.Option(help="Only those with this reason.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=MOST_LISTED, help="How many at most.")] = 1000,
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
    from clicktrail.store.people.suppression import Entries  # noqa: PLC0415 - much to load

    default = _reason(reason)
    opened = nullcontext(sys.stdin) if file == "-" else open(file, encoding="utf-8-sig")  # noqa: SIM115, PTH123
    with opened as source:
        entries = Entries(source, default)
        taken = with_store(context, lambda store: store.suppression.take(entries))
    typer.echo(f"Put {taken} addresses on the suppression list.")
    if entries.wrong:
        shown = "\n  ".join(entries.wrong)
        raise InvalidInput(f"{entries.left_out} lines of {file} were left out:\n  {shown}")


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


def _reason(text: str) -> "SuppressionReason":
    from clicktrail.store.people.suppression import reason_named  # noqa: PLC0415 - much to load

    return reason_named(text)
