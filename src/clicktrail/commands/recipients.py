"""``clicktrail recipients``: the people who get emails."""

from dataclasses import asdict
from typing import Annotated

import typer

from clicktrail.commands.people.do_not_track import do_not_track
from clicktrail.commands.shared.common import Json, Yes, confirm, print_json

recipients = typer.Typer(no_args_is_help=True, help="The people who get emails.")
recipients.add_typer(do_not_track, name="do-not-track")


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
    from clicktrail.commands.upkeep.forget import erase  # noqa: PLC0415 - much to load
    from clicktrail.store.people.person import Person  # noqa: PLC0415

    Person(address)  # what is none is told before anything is asked
    confirm(f"Erase {address} for good?", yes)
    done, uncounted, damaged = erase(context, address)
    if as_json:
        print_json(
            asdict(done)
            | {"journal_emptied": not uncounted, "damaged_files": [str(p) for p in damaged]}
        )
        return
    if done:
        typer.echo(f"Erased {address}:")
    else:
        typer.echo(f"Nothing is kept of {address}.")
    for count, what in (
        (done.messages, "emails to this address alone: contents deleted"),
        (done.messages_changed, "other emails in which it stood: replaced"),
        (done.clicks, "clicks: address, User-Agent and URL deleted"),
        (done.opens, "opens: address and User-Agent deleted"),
        (done.contacts, "contact lists: taken off, but for what they have unsubscribed from"),
        (done.events, "events of built-in streams: reduced"),
        (done.notifications, "notifications that wait: reduced"),
        (done.dead_letters, "dead letters: reduced"),
        (done.suppressed, "on the suppression list: stays there, unreadable"),
        (done.untracked, "on the list of who is not tracked: stays there, unreadable"),
        (done.counters, "counted URLs, tags and other texts in which it stood: replaced"),
    ):
        if done:
            typer.echo(f"  {count:>7}  {what}")
    if not done.flushed:
        typer.echo(
            "Somebody reads the database for long: until that has ended, its log"
            " (clicktrail.db-wal) holds what was erased. Run the command again then."
        )
    if uncounted:
        typer.echo(
            "Clicks wait in journal.db or spool/ to be counted. Should some be this person's, their"
            " addresses and User-Agents are there until then; they come out without them."
        )
    for path in damaged:
        typer.echo(f"{path} was set aside, and could not be searched.")
