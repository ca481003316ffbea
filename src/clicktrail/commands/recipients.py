"""``clicktrail recipients``: the people who get emails."""

from dataclasses import asdict
from typing import Annotated

import typer

from clicktrail.commands.common import Json, Yes, confirm, print_json, with_store

recipients = typer.Typer(no_args_is_help=True, help="The people who get emails.")


@recipients.callback()
def group() -> None:
    """The people who get emails."""


@recipients.command("forget")
def forget(
    context: typer.Context,
    address: Annotated[str, typer.Argument(help="The person's address.")],
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Erase a person's address and clicks from all that is kept; what was counted stays."""
    confirm(f"Erase {address} for good?", yes)
    done = with_store(context, lambda store: store.forget_person(address))
    if as_json:
        print_json(asdict(done))
        return
    if not done:
        typer.echo(f"Nothing is kept of {address}.")
        return
    typer.echo(f"Erased {address}:")
    for count, what in (
        (done.messages, "emails to this address alone: contents deleted"),
        (done.messages_changed, "other emails in which it stood"),
        (done.clicks, "clicks deleted"),
        (done.links, "counted URLs that held it"),
        (done.events, "events of built-in streams"),
        (done.notifications, "notifications that wait, and dead letters"),
    ):
        typer.echo(f"  {count:>7}  {what}")
    typer.echo("A click that is on its way now is recorded after this: erase again in a minute.")
