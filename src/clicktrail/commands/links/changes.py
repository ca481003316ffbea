"""``clicktrail link replace`` and its like: where links lead that were sent already."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from clicktrail.base.ids import rfc3339
from clicktrail.commands.shared.common import (
    Json,
    print_json,
    print_table,
    settings_of,
    with_store,
)
from clicktrail.commands.shared.who import who
from clicktrail.keys.ringfile import KeyFile

if TYPE_CHECKING:
    from clicktrail.model import LinkChange

_Url = Annotated[str, typer.Argument(help="Where the links lead, as the emails have it.")]
_Set = Annotated[
    str,
    typer.Option("--configuration-set", help="Only links in emails of this configuration set."),
]
_Since = Annotated[
    str | None,
    typer.Option(
        help="Only links in emails accepted since 2026-11-23, 2026-11-23T18:00:00Z, or the last"
        " days (7d)."
    ),
]


def replace(
    context: typer.Context,
    url: _Url,
    new: Annotated[str, typer.Argument(help="Where they shall lead: http or https.")],
    configuration_set: _Set = "",
    since: _Since = None,
    as_json: Json = False,
) -> None:
    """Lead all links to a URL elsewhere, also in emails that were sent.

    Clicks are counted and told by the URL that the emails have.
    """
    begin = _begin(since)
    made = with_store(
        context,
        lambda store: store.orders.replace(
            url,
            new,
            by=who(),
            configuration_set=configuration_set,
            since=begin,
            leads_here=_leads_here(context),
        ),
    )
    _tell(made, f"Links to {made.url} lead to {made.destination}", as_json)


def block(
    context: typer.Context,
    url: _Url,
    because: Annotated[str, typer.Option(help="Why: who clicks such a link reads it.")],
    configuration_set: _Set = "",
    since: _Since = None,
    as_json: Json = False,
) -> None:
    """Lead all links to a URL nowhere, also in emails that were sent: to a page that says why."""
    begin = _begin(since)
    made = with_store(
        context,
        lambda store: store.orders.block(
            url, because, by=who(), configuration_set=configuration_set, since=begin
        ),
    )
    _tell(made, f"Links to {made.url} lead nowhere", as_json)


def changes(context: typer.Context, as_json: Json = False) -> None:
    """List all changes of links, the newest first, also those that were undone."""
    found = with_store(context, lambda store: store.orders.changes())
    if as_json:
        print_json([_object(each) for each in found])
        return
    print_table(
        ("Change", "Links to", "Lead to", "In emails", "Made", "Undone"),
        (
            (
                each.id,
                each.url,
                each.destination or f"nowhere: {each.because}",
                _where(each),
                f"{rfc3339(each.made_at)} by {each.made_by}",
                f"{rfc3339(each.undone_at)} by {each.undone_by}" if each.undone_at else "",
            )
            for each in found
        ),
        empty="All links lead where their emails say.",
    )


def undo(
    context: typer.Context,
    change: Annotated[str, typer.Argument(help="As `clicktrail link changes` calls it.")],
    as_json: Json = False,
) -> None:
    """End a change: links lead where they did before it."""
    undone = with_store(context, lambda store: store.orders.undo(change, who()))
    if as_json:
        print_json(_object(undone))
        return
    typer.echo(f"Links to {undone.url} lead again where they did before.")


def _leads_here(context: typer.Context) -> Callable[[str], bool] | None:
    """Return what tells our tracking links; ``None`` where no keys are: there it needs none."""
    keys = KeyFile(settings_of(context).data / "keys.json")
    return keys.ring().leads_here if keys.path.exists() else None


def _tell(made: "LinkChange", what: str, as_json: bool) -> None:
    if as_json:
        print_json(_object(made))
        return
    where = _where(made)
    within = "" if where == "all" else f", in emails {where}"
    typer.echo(f"{what}{within}, from now on. To undo it: clicktrail link undo {made.id}")


def _where(change: "LinkChange") -> str:
    told = [f"of {change.configuration_set}"] if change.configuration_set else []
    told += [f"accepted since {rfc3339(change.since)}"] if change.since else []
    return " ".join(told) or "all"


def _object(change: "LinkChange") -> dict[str, object]:
    return {
        "id": change.id,
        "url": change.url,
        "destination": change.destination,
        "because": change.because,
        "configurationSet": change.configuration_set or None,
        "since": rfc3339(change.since) if change.since else None,
        "made": rfc3339(change.made_at),
        "madeBy": change.made_by,
        "undone": rfc3339(change.undone_at) if change.undone_at else None,
        "undoneBy": change.undone_by or None,
    }


def _begin(since: str | None) -> int:
    if since is None:
        return 0
    from clicktrail.store.finding.clicker_rows import since_of  # noqa: PLC0415 - as the store

    return since_of(since)
