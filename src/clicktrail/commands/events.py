"""``clicktrail events`` and ``clicktrail statistics``: what happened."""

import asyncio
import re
import sys
from datetime import UTC, date, datetime, timedelta
from typing import Annotated

import typer

from clicktrail.commands.common import (
    Json,
    print_json,
    print_table,
    settings_of,
    with_store,
)
from clicktrail.errors import InvalidInput
from clicktrail.ids import rfc3339
from clicktrail.model import OTHER_PROVIDER, PROVIDERS
from clicktrail.store import Store
from clicktrail.store.statistics import Where

events = typer.Typer(no_args_is_help=True, help="Notifications: read, look at, replay.")

FOLLOW_SECONDS = 0.1
PAGE = 500


@events.command("tail")
def tail(
    context: typer.Context,
    stream: Annotated[
        str | None, typer.Option(help="Name of the built-in stream; all of them if not given.")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Wait for more.")] = False,
    lines: Annotated[
        int, typer.Option("--lines", "-n", min=0, help="How many of the last events to show.")
    ] = 10,
    after: Annotated[
        int | None, typer.Option(min=0, help="Show all after this position instead.")
    ] = None,
    positions: Annotated[
        bool, typer.Option("--positions", help="Put the position and a tab before each event.")
    ] = False,
) -> None:
    """Print the events of the built-in stream, one JSON object a line."""

    async def read(store: Store) -> None:
        at = after if after is not None else await store.streams.back_from_end(stream, lines)
        while True:
            found = await store.streams.read(stream, at, PAGE)
            for event in found:
                prefix = f"{event.position}\t" if positions else ""
                sys.stdout.write(f"{prefix}{event.payload.decode()}\n")
                at = event.position
            sys.stdout.flush()
            if len(found) < PAGE:
                if not follow:
                    return
                await asyncio.sleep(FOLLOW_SECONDS)

    with_store(context, read)


@events.command("dead")
def dead(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, help="How many to show, the newest first.")] = 50,
    as_json: Json = False,
) -> None:
    """List dead letters: notifications that could not be delivered."""
    found = with_store(context, lambda store: store.outbox.dead(limit))
    if as_json:
        print_json(
            [
                {
                    "id": letter.id,
                    "eventId": letter.event_id,
                    "configurationSet": letter.configuration_set,
                    "eventDestination": letter.destination,
                    "arn": letter.arn,
                    "attempts": letter.attempts,
                    "lastError": letter.last_error,
                    "died": rfc3339(letter.died_at),
                }
                for letter in found
            ]
        )
        return
    print_table(
        ("Id", "Event", "Destination", "Attempts", "Died", "Last error"),
        (
            (
                letter.id,
                letter.event_id,
                f"{letter.configuration_set}/{letter.destination}",
                letter.attempts,
                rfc3339(letter.died_at),
                letter.last_error,
            )
            for letter in found
        ),
        numbers=("Id", "Attempts"),
        empty="There are no dead letters.",
    )


@events.command("replay")
def replay(
    context: typer.Context,
    ids: Annotated[list[int] | None, typer.Argument(help="Ids of dead letters.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Replay all dead letters.")] = False,
) -> None:
    """Try dead letters again, from the start."""
    if everything == bool(ids):
        raise InvalidInput("name the dead letters by id (see `clicktrail events dead`), or --all")
    count = with_store(context, lambda store: store.outbox.replay(ids or None))
    typer.echo(f"{count} dead letter{'' if count == 1 else 's'} will be tried again.")


def statistics(
    context: typer.Context,
    configuration_set: Annotated[str | None, typer.Option(help="Only this one.")] = None,
    identity: Annotated[str | None, typer.Option(help="Only this domain or address.")] = None,
    provider: Annotated[
        str | None,
        typer.Option(help=f"Only recipients at: {', '.join(PROVIDERS)}, {OTHER_PROVIDER}."),
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="First day (2026-11-23, UTC), or how long ago (7d).")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show emails sent and clicks, by day (UTC)."""
    settings_of(context)
    days = with_store(
        context,
        lambda store: store.statistics.daily(
            Where(configuration_set, identity, known_provider(provider), first_day(since))
        ),
    )
    if as_json:
        print_json(
            [
                {
                    "day": d.day,
                    "sent": d.sent,
                    "clicks": d.clicks,
                    "uniqueClicks": d.unique_clicks,
                    "humanClicks": d.human_clicks,
                }
                for d in days
            ]
        )
        return
    rows: list[tuple[object, ...]] = [
        (d.day, d.sent, d.clicks, d.unique_clicks, d.human_clicks) for d in days
    ]
    if len(rows) > 1:
        rows.append(
            ("Total", *(sum(column) for column in zip(*(r[1:] for r in rows), strict=True)))
        )
    columns = ("Day", "Sent", "Clicks", "Unique clicks", "Human clicks")
    print_table(columns, rows, numbers=columns[1:], empty="Nothing was sent or clicked.")


def known_provider(text: str | None) -> str | None:
    """Return a provider's name as the statistics have it. Raises `InvalidInput`."""
    if text is None:
        return None
    for name in (*PROVIDERS, OTHER_PROVIDER):
        if name.casefold() == text.casefold():
            return name
    raise InvalidInput(
        f"there is no provider {text!r}: use one of {', '.join((*PROVIDERS, OTHER_PROVIDER))}"
    )


def first_day(text: str | None) -> str | None:
    """Return the first day of ``2026-11-23`` or ``7d``. Raises `InvalidInput`."""
    if text is None:
        return None
    ago = re.fullmatch(r"(\d{1,4})d", text)
    if ago:
        return (datetime.now(UTC).date() - timedelta(days=int(ago[1]))).isoformat()
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise InvalidInput(
            f"--since {text!r} is no day: give one such as 2026-11-23, or how long ago, as 7d"
        ) from None
