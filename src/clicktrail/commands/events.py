"""``clicktrail events`` and ``clicktrail statistics``: what happened."""

import asyncio
import re
import sys
from datetime import date, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from clicktrail.base.arn import Kind, parse_arn
from clicktrail.base.ids import first_of, rfc3339
from clicktrail.commands.shared.common import (
    Json,
    print_json,
    print_table,
    with_store,
)
from clicktrail.errors import InvalidInput, NotFound
from clicktrail.model import OTHER_PROVIDER, PROVIDERS, Where

if TYPE_CHECKING:
    from clicktrail.store import Store
    from clicktrail.store.clicks.opens import DayOfOpens
    from clicktrail.store.clicks.statistics import Day
    from clicktrail.store.clicks.unsubscribes import DayOfUnsubscribes

events = typer.Typer(no_args_is_help=True, help="Notifications: read, look at, replay.")

FOLLOW_SECONDS = 0.1
PAGE = 500
LARGEST = 2**63 - 1
"""The largest number of both databases."""


@events.command("tail")
def tail(
    context: typer.Context,
    stream: Annotated[
        str | None, typer.Option(help="Name of the built-in stream; all of them if not given.")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Wait for more.")] = False,
    lines: Annotated[
        int,
        typer.Option(
            "--lines", "-n", min=0, max=LARGEST, help="How many of the last events to show."
        ),
    ] = 10,
    after: Annotated[
        int | None, typer.Option(min=0, max=LARGEST, help="Show all after this position instead.")
    ] = None,
    positions: Annotated[
        bool, typer.Option("--positions", help="Put the position and a tab before each event.")
    ] = False,
) -> None:
    """Print the events of the built-in stream, one JSON object a line."""

    async def read(store: "Store") -> None:
        if stream is not None:
            await _need_stream(store, stream)
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
    limit: Annotated[
        int, typer.Option(min=1, max=LARGEST, help="How many to show, the newest first.")
    ] = 50,
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
    ids: Annotated[
        list[int] | None, typer.Argument(min=1, max=LARGEST, help="Ids of dead letters.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Replay all dead letters.")] = False,
) -> None:
    """Try dead letters again, from the start."""
    if everything == bool(ids):
        raise InvalidInput("name the dead letters by id (see `clicktrail events dead`), or --all")
    count = with_store(context, lambda store: store.outbox.replay(ids or None))
    if ids and not count:
        raise NotFound("there is no dead letter of that id: see `clicktrail events dead`")
    typer.echo(f"{count} dead letter{'' if count == 1 else 's'} will be tried again.")


async def _need_stream(store: "Store", name: str) -> None:
    """Raise `NotFound` where no event went to a stream, and none is to go there."""
    sets = await store.configuration.list_sets()
    arns = [parse_arn(each.arn) for found in sets for each in found.destinations]
    known = {arn.name for arn in arns if arn.kind is Kind.STREAM} | {*await store.streams.names()}
    if name not in known:
        there = ", ".join(sorted(known)) or "there is none yet"
        raise NotFound(
            f"there is no built-in stream {name!r} ({there}): `clicktrail event-destination add SET"
            f" NAME --stream {name}` makes one"
        )


def statistics(
    context: typer.Context,
    configuration_set: Annotated[str | None, typer.Option(help="Only this one.")] = None,
    identity: Annotated[str | None, typer.Option(help="Only this domain or address.")] = None,
    provider: Annotated[
        str | None,
        typer.Option(help=f"Only recipients at: {', '.join(PROVIDERS)}, {OTHER_PROVIDER}."),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(help="First day (2026-11-23), or how many days, today's included (7d)."),
    ] = None,
    time_zone: Annotated[str, typer.Option(help="Whose days they are, as Europe/Berlin.")] = "UTC",
    opens: Annotated[
        bool, typer.Option("--opens", help="Show opens instead, by day of UTC.")
    ] = False,
    unsubscribes: Annotated[
        bool, typer.Option("--unsubscribes", help="Show unsubscribes instead, by day of UTC.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show emails sent and clicks, by day.

    Tracked emails count in the day when each was accepted, and again where a person clicked it,
    whenever that is; the rate is the click-through rate, the share of these.
    """
    from clicktrail.store.clicks import zoned  # noqa: PLC0415 - as the store
    from clicktrail.store.clicks.statistics import sum_of  # noqa: PLC0415

    zone = zoned.time_zone(time_zone)
    today = datetime.now(zone).date()
    where = Where(configuration_set, identity, known_provider(provider), first_day(since, today))

    if opens and unsubscribes:
        raise InvalidInput("give one of --opens and --unsubscribes")
    if (opens or unsubscribes) and time_zone != "UTC":
        what = "opens" if opens else "unsubscribes"
        raise InvalidInput(f"{what} are counted by day of UTC: leave out --time-zone")
    if unsubscribes:
        found = with_store(context, lambda store: store.unsubscribes.daily(where))
        _show_unsubscribes(found, as_json=as_json)
        return
    if opens:
        _show_opens(with_store(context, lambda store: store.opens.daily(where)), as_json=as_json)
        return

    async def count(store: "Store") -> "list[Day]":
        days = await zoned.daily(store.statistics, where, zone)
        if not days and configuration_set is not None:  # a deleted one has numbers still
            await store.configuration.get_set(configuration_set)
        if not days and identity is not None:
            await store.configuration.get_identity(identity)
        return days

    days = with_store(context, count)
    if as_json:
        print_json(
            [
                {
                    "day": d.day,
                    "sent": d.sent,
                    "tracked": d.tracked,
                    "clickedByPeople": d.clicked,
                    "clickThroughRate": d.click_through_rate,
                    "clicks": d.clicks,
                    "uniqueClicks": d.unique_clicks,
                    "humanClicks": d.human_clicks,
                    "machineClicks": d.machine_clicks,
                }
                for d in days
            ]
        )
        return
    rows = [_row(day) for day in days]
    if len(rows) > 1:
        rows.append(_row(sum_of(days).of("Total")))
    columns = (  # which fit into 80 characters
        *("Day", "Sent", "Tracked", "Clicked by people", "Rate"),
        *("Clicks", "Unique clicks", "Machine clicks"),
    )
    print_table(columns, rows, numbers=columns[1:], empty="Nothing was sent or clicked.")


def _show_opens(days: "list[DayOfOpens]", *, as_json: bool) -> None:
    if as_json:
        print_json([{"day": d.day, "opens": d.opens, "humanOpens": d.human_opens} for d in days])
        return
    rows: list[tuple[object, ...]] = [(d.day, d.opens, d.human_opens) for d in days]
    if len(rows) > 1:
        rows.append(("Total", sum(d.opens for d in days), sum(d.human_opens for d in days)))
    columns = ("Day", "Opens", "Opens by people")
    print_table(columns, rows, numbers=columns[1:], empty="Nothing was opened.")


def _show_unsubscribes(days: "list[DayOfUnsubscribes]", *, as_json: bool) -> None:
    if as_json:
        print_json([{"day": d.day, "unsubscribes": d.unsubscribes} for d in days])
        return
    rows: list[tuple[object, ...]] = [(d.day, d.unsubscribes) for d in days]
    if len(rows) > 1:
        rows.append(("Total", sum(d.unsubscribes for d in days)))
    columns = ("Day", "Unsubscribes")
    print_table(columns, rows, numbers=columns[1:], empty="Nobody has unsubscribed.")


def _row(day: "Day") -> tuple[object, ...]:
    rate = day.click_through_rate
    shown = "–" if rate is None else f"{rate:.1f} %"
    emails = (day.day, day.sent, day.tracked, day.clicked, shown)
    return *emails, day.clicks, day.unique_clicks, day.machine_clicks


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


def first_day(text: str | None, today: date) -> str | None:
    """Return the first day of ``2026-11-23`` or ``7d``, the last 7 days. Raises `InvalidInput`."""
    if text is None:
        return None
    days = re.fullmatch(r"([1-9]\d{0,3})d", text)
    if days:
        return first_of(int(days[1]), today).isoformat()
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise InvalidInput(
            f"--since {text!r} is no day: give one such as 2026-11-23, or 7d for the last 7 days"
        ) from None
