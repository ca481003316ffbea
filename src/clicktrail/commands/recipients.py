"""``clicktrail recipients``: the people who get emails."""

from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console

from clicktrail.commands.common import Json, Yes, confirm, escape, print_json, with_store

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
    """Erase a person's address and clicks from all that is kept; what was counted stays.

    It works while the service runs. When nothing is found it says so, with exit status 0.
    """
    confirm(f"Erase {address} for good?", yes)
    with Console(stderr=True).status(f"Erasing {escape(address)}"):
        done = with_store(context, lambda store: store.forget_person(address))
    if as_json:
        print_json(asdict(done))
        return
    if done:
        typer.echo(f"Erased {address}:")
    else:
        typer.echo(f"Nothing is kept of {address}.")
    for count, what in (
        (done.messages, "emails to this address alone: contents deleted"),
        (done.messages_changed, "other emails in which it stood: replaced"),
        (done.clicks, "clicks: address, User-Agent and URL deleted"),
        (done.events, "events of built-in streams: reduced"),
        (done.notifications, "notifications that wait: reduced"),
        (done.dead_letters, "dead letters: reduced"),
        (done.counters, "counted URLs and tags in which it stood: replaced"),
    ):
        if done:
            typer.echo(f"  {count:>7}  {what}")
    if not done.flushed:
        typer.echo(
            "Somebody reads the database for long: until that has ended, its log"
            " (clicktrail.db-wal) holds what was erased. Run the command again then."
        )
