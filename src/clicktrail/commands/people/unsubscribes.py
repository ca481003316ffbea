"""``clicktrail unsubscribes``: who has unsubscribed from which contact list."""

import csv
import sys
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
from clicktrail.model import Subscription

if TYPE_CHECKING:
    from clicktrail.store import Store

unsubscribes = typer.Typer(
    no_args_is_help=True, help="Who has unsubscribed from which contact list."
)

_BATCH = 1000
"""Entries that are read at once."""

ContactList = Annotated[str, typer.Argument(metavar="LIST", help="The contact list.")]
Address = Annotated[str, typer.Argument(help="The address.")]
Topic = Annotated[str, typer.Option(help="A topic of the list; without one, all of it.")]


@unsubscribes.command("list")
def list_unsubscribed(
    context: typer.Context,
    contact_list: Annotated[str | None, typer.Option(help="Only from this list.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=MOST_LISTED, help="How many at most.")] = 1000,
    as_json: Json = False,
) -> None:
    """List who has unsubscribed, by list and address; `export` gives all."""
    found = with_store(
        context, lambda s: s.unsubscribed.page(limit=limit, contact_list=contact_list)
    )
    if as_json:
        print_json(
            [
                {
                    "contactList": each.subscription.contact_list,
                    "topic": each.subscription.topic,
                    "address": each.subscription.address,
                    "updatedAt": rfc3339(each.at),
                }
                for each in found
            ]
        )
        return
    print_table(
        ("Contact list", "Topic", "Address", "Since"),
        (
            (
                each.subscription.contact_list,
                each.subscription.topic or "all",
                each.subscription.address,
                rfc3339(each.at),
            )
            for each in found
        ),
        empty="Nobody has unsubscribed.",
    )


@unsubscribes.command("export")
def export(
    context: typer.Context,
    contact_list: Annotated[str | None, typer.Option(help="Only from this list.")] = None,
) -> None:
    """Print all as CSV: list, topic (empty: all of it), address, since when."""
    writer = csv.writer(sys.stdout, lineterminator="\n")

    async def work(store: "Store") -> None:
        after = ("", "", "")
        while found := await store.unsubscribed.page(after, _BATCH, contact_list):
            for each in found:
                its = each.subscription
                writer.writerow((its.contact_list, its.topic, its.address, rfc3339(each.at)))
            last = found[-1].subscription
            after = (last.contact_list, last.address, last.topic)

    with_store(context, work)


@unsubscribes.command("add")
def add(
    context: typer.Context, contact_list: ContactList, address: Address, topic: Topic = ""
) -> None:
    """Unsubscribe somebody: emails for the list, or the topic, to them are refused from now on."""
    subscription = Subscription(contact_list, topic, address)
    with_store(context, lambda store: store.unsubscribed.put([subscription]))
    typer.echo(f"{address} has unsubscribed from {_what(subscription)}.")


@unsubscribes.command("remove")
def remove(
    context: typer.Context, contact_list: ContactList, address: Address, topic: Topic = ""
) -> None:
    """Take back that somebody has unsubscribed. Without a topic: from the list and all of them."""
    subscription = Subscription(contact_list, topic, address)
    with_store(context, lambda store: store.unsubscribed.remove(subscription))
    typer.echo(f"{address} gets emails of {_what(subscription)} again.")


def _what(subscription: Subscription) -> str:
    topic = f"topic {subscription.topic} of " if subscription.topic else ""
    return f"{topic}the contact list {subscription.contact_list}"
