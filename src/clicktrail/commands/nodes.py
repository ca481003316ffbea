"""``clicktrail nodes``: who else is there, where several nodes share a store or a journal."""

from typing import Annotated

import typer

from clicktrail.base.ids import now_us, rfc3339
from clicktrail.commands.shared.common import (
    Json,
    Yes,
    confirm,
    print_json,
    print_table,
    with_store,
)
from clicktrail.errors import NotFound

nodes = typer.Typer(
    no_args_is_help=True, help="Nodes that share a store or a journal, and their keys."
)


@nodes.command("list")
def list_nodes(context: typer.Context, as_json: Json = False) -> None:
    """List the nodes, also those that were killed and have not come back."""
    found, now = with_store(context, lambda store: store.nodes.list()), now_us()
    if as_json:
        print_json(
            [
                {
                    "name": node.name,
                    "roles": node.roles,
                    "version": node.version,
                    "keys": sorted(node.keys),
                    "seals": node.seals,
                    "lastSeen": rfc3339(node.seen_at),
                    "live": node.is_live(now),
                }
                for node in found
            ]
        )
        return
    print_table(
        ("Node", "Keys", "Seals with", "Version", "Last seen"),
        (
            (
                node.name,
                ", ".join(map(str, sorted(node.keys))),
                node.seals,
                node.version,
                rfc3339(node.seen_at) + ("" if node.is_live(now) else " (away)"),
            )
            for node in found
        ),
        numbers=("Seals with",),
        empty="No node is known: they say that they are there where store.url or journal.url"
        " is set.",
    )


@nodes.command("forget")
def forget(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The node, as `clicktrail nodes list` calls it.")],
    yes: Yes = False,
) -> None:
    """Strike out a node that will not come back: no key waits for it any more."""
    nodes = with_store(context, lambda store: store.nodes.list())
    if name not in [node.name for node in nodes]:
        raise NotFound(f"there is no node {name!r}: see `clicktrail nodes list`")
    confirm(f"Forget node {name}? If it comes back with old keys, links will fail there.", yes)
    with_store(context, lambda store: store.nodes.forget(name))
    typer.echo(f"Forgot {name}.")
