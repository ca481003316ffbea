"""``clicktrail keys``: the key ring."""

from typing import Annotated

import typer

from clicktrail.base.ids import rfc3339
from clicktrail.commands.shared.common import (
    Json,
    Yes,
    confirm,
    keys_of,
    print_json,
    print_table,
    settings_of,
    with_store,
)
from clicktrail.errors import InvalidInput, NotFound
from clicktrail.keys import nodes
from clicktrail.keys.ringfile import KeyFile
from clicktrail.service.parts.folder import data_folder
from clicktrail.service.parts.nodes import are_several, node_name
from clicktrail.service.parts.sealing import begin_anew, has_store, lost_of, missing

keys = typer.Typer(no_args_is_help=True, help="The key ring that seals and opens tracking links.")


@keys.command("list")
def list_keys(context: typer.Context, as_json: Json = False) -> None:
    """List the keys, and which of them seals new links."""
    ring = keys_of(context).ring()
    if as_json:
        print_json(
            [
                {"id": k.id, "created": rfc3339(k.created_at), "seals": k is ring.sealing}
                for k in ring.keys
            ]
        )
        return
    print_table(
        ("Key", "Created", "Use"),
        (
            (k.id, rfc3339(k.created_at), "seals and opens" if k is ring.sealing else "opens")
            for k in ring.keys
        ),
        numbers=("Key",),
    )


@keys.command("rotate")
def rotate(context: typer.Context) -> None:
    """Add a key for new links. Links that were sent keep working."""
    if are_several(settings_of(context)):
        raise InvalidInput(
            "several nodes share these keys: make one with `clicktrail keys add`, copy keys.json to"
            " every node, and then let it seal with `clicktrail keys seal`"
        )
    made = keys_of(context).rotate()
    typer.echo(f"Key {made.id} seals new links from now on; older keys still open theirs.")


@keys.command("add")
def add(context: typer.Context) -> None:
    """Add a key that only opens links: the first step of two, where there are several nodes."""
    file = keys_of(context)
    made = file.add()
    typer.echo(
        f"Key {made.id} opens links, and seals none yet. Copy {file.path} to every node;"
        f" then: clicktrail keys seal {made.id}"
    )


@keys.command("seal")
def seal(
    context: typer.Context,
    key: Annotated[int, typer.Argument(help="Number of the key.")],
) -> None:
    """Seal new links with a key from now on: the second step.

    Refused as long as a node cannot open its links (see `clicktrail nodes list`).
    """
    file, settings = keys_of(context), settings_of(context)
    mark = nodes.keys_of(file.ring()).get(key)
    if mark is None:
        raise NotFound(f"there is no key {key} on the key ring: see `clicktrail keys list`")
    if are_several(settings):
        found = with_store(context, lambda store: store.nodes.list())
        if not found:
            raise InvalidInput(
                "no node is known here: run this on a node that has the store, while nodes run"
            )
        if without := nodes.cannot_open(found, key, mark):
            names = ", ".join(
                f"{node.name} (last seen {rfc3339(node.seen_at)})" for node in without
            )
            raise InvalidInput(
                f"links sealed with key {key} would fail on {names}: copy keys.json there, and try"
                f" again {nodes.EVERY_SECONDS:g} seconds later. A node that is gone for good:"
                " clicktrail nodes forget NAME"
            )
    file.seal_with(key)
    typer.echo(f"Key {key} seals new links from now on; the others still open theirs.")
    if are_several(settings):
        typer.echo(f"Copy {file.path} to the nodes that take emails: they seal with it as well.")


@keys.command("retire")
def retire(
    context: typer.Context,
    key: Annotated[int, typer.Argument(help="Number of the key.")],
    yes: Yes = False,
) -> None:
    """Take a key off the ring for ever: the links sealed with it stop working."""
    file = keys_of(context)
    file.ring().without(key)
    confirm(f"Links sealed with key {key} will stop working, for ever. Retire it?", yes)
    mark = nodes.keys_of(file.ring())[key]
    if has_store(settings_of(context), file):  # first: a key that is known to have sealed is missed
        with_store(context, lambda store: store.sealing_keys.forget([(key, mark)]))
    file.retire(key)
    typer.echo(f"Retired key {key}.")


@keys.command("begin-anew")
def begin(context: typer.Context, yes: Yes = False) -> None:
    """Make new keys where keys.json is lost for good: links in emails already sent stay dead.

    A keys.json that cannot be read is kept under another name. Nothing happens to one that is whole
    and opens all links that were sealed, nor while another node has the keys.
    """
    settings = settings_of(context)
    file = KeyFile(data_folder(settings) / "keys.json")
    known = []
    if has_store(settings, file):
        known = with_store(context, lambda store: store.sealing_keys.known())
        if are_several(settings):
            here = node_name(settings, file.path.parent, ())
            found = with_store(context, lambda store: store.nodes.list())
            if having := nodes.that_open(found, lost_of(file, known), here):
                raise InvalidInput(
                    f"the keys are not lost: node {having[0].name} has them. Copy keys.json from"
                    " there. A node that is gone for good: clicktrail nodes forget NAME"
                )
    confirm("Links in emails already sent will stay dead, for ever. Make new keys?", yes)
    made, aside = begin_anew(file, known)
    lost = missing(known, file.ring())
    if lost:
        with_store(context, lambda store: store.sealing_keys.forget(lost))
    if aside is not None:
        typer.echo(f"What was there is kept as {aside}.")
    typer.echo(f"Key {made} in {file.path} seals new links. Start the service, and keep a copy.")
