"""``clicktrail clicks``: what was seen of single clicks."""

from typing import Annotated

import typer

from clicktrail.base.ids import ID_LENGTH, rfc3339
from clicktrail.commands.shared.common import Json, escape, print_json, with_store
from clicktrail.errors import NotFound

clicks = typer.Typer(no_args_is_help=True, help="Clicks: why one is a person's or a machine's.")


@clicks.callback()
def group() -> None:
    """Clicks: why one is a person's or a machine's."""


@clicks.command("explain")
def explain(
    context: typer.Context,
    event_id: Annotated[
        str, typer.Argument(metavar="EVENT-ID", help="The click's eventId, as an event has it.")
    ],
    as_json: Json = False,
) -> None:
    """Say why a click is a person's, suspect or a machine's, in words."""
    from clicktrail.store.clicks.reasons import MACHINE_WEIGHT, REASONS, why  # noqa: PLC0415

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
        typer.echo(f"{MACHINE_WEIGHT} together is a machine's, less is suspect, 0 is a person's.")
