"""``clicktrail event-destination list``, ``show`` and ``test``: do events arrive?"""

from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clicktrail.base.ids import now_us, rfc3339
from clicktrail.commands.configuration import DestinationName, SetName, destinations, on
from clicktrail.commands.shared.common import Json, print_json, print_table, settings_of, with_store
from clicktrail.commands.shared.topics import ByTopic
from clicktrail.errors import NotFound
from clicktrail.model import EventDestination, Waiting
from clicktrail.service.parts.folder import data_folder

if TYPE_CHECKING:
    from clicktrail.store import Store

__all__ = ["destinations"]  # with the commands of this module in it

_UNKNOWN = Waiting("", "", 0, None, 0, None, None, "")


@destinations.command("list")
def list_destinations(
    context: typer.Context,
    set_name: Annotated[
        str | None, typer.Argument(metavar="[SET]", help="Only those of this configuration set.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List event destinations, and how their deliveries are doing."""
    found = with_store(context, lambda store: _reports(store, set_name))
    if as_json:
        print_json(found)
        return
    print_table(
        ("Destination", "Enabled", "Waiting", "Lag (s)", "Dead", "Last success", "Failure"),
        (
            (
                f"{r['configurationSet']}/{r['name']}",
                on(r["enabled"]),
                r["waiting"],
                r["lagSeconds"],
                r["dead"],
                r["lastSuccess"],
                ": ".join(filter(None, (r["lastFailure"], r["lastError"]))),
            )
            for r in found
        ),
        numbers=("Waiting", "Lag (s)", "Dead"),
        empty="There is no event destination: nobody is notified.",
    )


@destinations.command("show")
def show_destination(
    context: typer.Context, set_name: SetName, name: DestinationName, as_json: Json = False
) -> None:
    """Show one event destination, and how its deliveries are doing."""

    async def read(store: "Store") -> dict[str, Any]:
        for report in await _reports(store, set_name):
            if report["name"] == name:
                return report
        raise NotFound(f"configuration set {set_name!r} has no event destination {name!r}")

    found = with_store(context, read)
    if as_json:
        print_json(found)
        return
    rows = {**found, "enabled": on(found["enabled"]), "types": ", ".join(found["types"])}
    print_table(("Setting", "Value"), ((_LABELS[key], value) for key, value in rows.items()))


@destinations.command("test", cls=ByTopic)
def test_destination(context: typer.Context, set_name: SetName, name: DestinationName) -> None:
    """Send a test event straight to an event destination, and tell what comes of it."""
    settings = settings_of(context)
    folder = data_folder(settings)

    async def test(store: "Store") -> str:
        # What sends events is loaded where it is used: no other command of the group needs it.
        send = import_module("clicktrail.service.parts.destinations").send_test
        event_id: str = await send(settings, folder, store, set_name, name)
        return event_id

    event_id = with_store(context, test)
    typer.echo(f"{set_name}/{name} has taken the test event {event_id}")


async def _reports(store: "Store", set_name: str | None) -> list[dict[str, Any]]:
    """Return every event destination, or those of one set, as JSON shows them."""
    configuration = store.configuration
    sets = (
        await configuration.list_sets()
        if set_name is None
        else [await configuration.get_set(set_name)]
    )
    doing = {(w.configuration_set, w.destination): w for w in await store.outbox.waiting()}
    return [
        _report(s.name, d, doing.get((s.name, d.name), _UNKNOWN))
        for s in sets
        for d in s.destinations
    ]


def _report(set_name: str, destination: EventDestination, doing: Waiting) -> dict[str, Any]:
    """Return one destination as JSON shows it.

    ``lagSeconds`` is the age of the oldest event that waits, 0 where none does. A built-in stream
    has its events with the click that they tell of: nothing waits for it.
    """
    lag = 0 if doing.oldest_at is None else max(0, now_us() - doing.oldest_at)
    return {
        "configurationSet": set_name,
        "name": destination.name,
        "enabled": destination.enabled,
        "types": sorted(destination.types),
        "arn": destination.arn,
        "waiting": doing.count,
        "lagSeconds": round(lag / 1_000_000, 3),
        "dead": doing.dead,
        "lastSuccess": _time(doing.last_success_at),
        "lastFailure": _time(doing.last_failure_at),
        "lastError": doing.last_error,
    }


def _time(at: int | None) -> str | None:
    return None if at is None else rfc3339(at)


_LABELS = {
    "configurationSet": "Configuration set",
    "name": "Event destination",
    "enabled": "Enabled",
    "types": "Types",
    "arn": "ARN",
    "waiting": "Waiting",
    "lagSeconds": "Oldest has waited (seconds)",
    "dead": "Dead letters",
    "lastSuccess": "Last success",
    "lastFailure": "Last failure",
    "lastError": "Last error",
}
