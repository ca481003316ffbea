"""``clicktrail clicks``: who clicked, and what was seen of single clicks."""

import sys
from collections.abc import AsyncIterator
from itertools import chain
from typing import TYPE_CHECKING, Annotated

import typer

from clicktrail.base.ids import ID_LENGTH, rfc3339
from clicktrail.commands.shared.common import Json, escape, print_json, print_table, with_store
from clicktrail.errors import InvalidInput, NotFound
from clicktrail.model import USUAL

if TYPE_CHECKING:
    from clicktrail.store import Store
    from clicktrail.store.finding.clickers import Clicker

clicks = typer.Typer(help="Who clicked; why a click is a person's or a machine's.")

SHOWN = 50


@clicks.callback(invoke_without_command=True)
def who_clicked(
    context: typer.Context,
    mailing: Annotated[
        str | None, typer.Option(help="Of this mailing: its subject, or its tag=value.")
    ] = None,
    link: Annotated[str, typer.Option(help="On links whose URL has this in it.")] = "",
    since: Annotated[
        str | None,
        typer.Option(help="Clicked since 2026-11-23, 2026-11-23T18:00:00Z, or the last days (7d)."),
    ] = None,
    search: Annotated[
        str, typer.Option(help="Only emails with this in address, subject, tags or links.")
    ] = "",
    as_csv: Annotated[bool, typer.Option("--csv", help="Print all of them as CSV.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print all of them as JSON, an object a line.")
    ] = False,
) -> None:
    """Show who clicked, those of the newest emails first: the newest 50, or all as CSV or JSON."""
    if context.invoked_subcommand is not None:
        return
    if as_csv and as_json:
        raise InvalidInput("give --csv or --json, not both")
    from clicktrail.store.finding.clicker_rows import (  # noqa: PLC0415 - as the store
        csv_of,
        json_lines_of,
        since_of,
    )
    from clicktrail.store.finding.clickers import Wanted  # noqa: PLC0415

    begin = since_of(since) if since else 0

    async def read(store: "Store") -> None:
        digests = await store.clickers.mailings(mailing) if mailing is not None else [None]
        wanted = [Wanted(search, digest, link, begin) for digest in digests]

        async def pages() -> "AsyncIterator[list[Clicker]]":
            for each in wanted:
                async for some in store.clickers.all(each):
                    yield some

        if as_csv or as_json:
            async for text in (csv_of if as_csv else json_lines_of)(pages()):
                sys.stdout.write(text)
            return
        shown = []
        async for some in pages():
            shown.append(some)
            if sum(map(len, shown)) > SHOWN:
                break
        _print(list(chain.from_iterable(shown)))

    with_store(context, read)


@clicks.command("explain")
def explain(
    context: typer.Context,
    event_id: Annotated[
        str, typer.Argument(metavar="EVENT-ID", help="The click's eventId, as an event has it.")
    ],
    as_json: Json = False,
) -> None:
    """Say why a click is a person's, suspect or a machine's, in words."""
    from clicktrail.store.clicks.judging.reasons import REASONS, why  # noqa: PLC0415

    row = with_store(context, lambda store: store.browse.click(event_id[:ID_LENGTH]))
    if row is None:
        raise NotFound(
            f"no click with the eventId {event_id!r} is kept: an event has it, and the console's"
            " live clicks; clicks are kept for retention.clicks"
        )
    told = why(row.reasons)
    if as_json:
        print_json(
            {
                "eventId": row.click.event_id,
                "messageId": row.click.message_id,
                "timestamp": rfc3339(row.click.clicked_at),
                "verdict": row.verdict,
                "reasons": [{"reason": reason, "sentence": words} for reason, words in told],
            }
        )
        return
    typer.echo(f"{row.verdict}: {rfc3339(row.click.clicked_at)}, email {row.click.message_id}")
    typer.echo(f"  {escape(row.click.url)}")
    for reason, words in told:
        weight = REASONS[reason].weight if reason in REASONS else 0
        typer.echo(f"{reason} (weighs {weight})\n  {words}")
    if not told:
        typer.echo("Nothing speaks against a person.")
    else:
        typer.echo(
            f"{USUAL.machine} together is a machine's, less is suspect, 0 is a person's, unless its"
            " configuration set has thresholds of its own."
        )


def _print(found: "list[Clicker]") -> None:
    print_table(
        ("Recipient", "Who", "First click", "Clicks", "Subject"),
        (
            (
                each.recipient,
                each.verdict or "",
                rfc3339(each.first_at)[:19] if each.first_at else "",
                each.clicks,
                each.subject,
            )
            for each in found[:SHOWN]
        ),
        numbers=("Clicks",),
        empty="Nobody clicked.",
    )
    if len(found) > SHOWN:
        typer.echo(f"There are more than these {SHOWN}: --csv and --json have all of them.")
