"""``clicktrail keys`` and ``clicktrail link``: the key ring and what tracking links hold."""

from typing import Annotated
from urllib.parse import urlsplit

import typer

from clicktrail.commands.common import (
    Json,
    Yes,
    confirm,
    keys_of,
    print_json,
    print_table,
    with_store,
)
from clicktrail.errors import InvalidInput, NotFound
from clicktrail.ids import rfc3339
from clicktrail.token import PATH

keys = typer.Typer(no_args_is_help=True, help="The key ring that seals and opens tracking links.")
links = typer.Typer(no_args_is_help=True, help="Tracking links.")


@keys.command("list")
def list_keys(context: typer.Context, as_json: Json = False) -> None:
    """List the keys; the newest seals new links."""
    ring = keys_of(context).ring()
    if as_json:
        print_json(
            [
                {"id": k.id, "created": rfc3339(k.created_at), "seals": k is ring.newest}
                for k in ring.keys
            ]
        )
        return
    print_table(
        ("Key", "Created", "Use"),
        (
            (k.id, rfc3339(k.created_at), "seals and opens" if k is ring.newest else "opens")
            for k in ring.keys
        ),
        numbers=("Key",),
    )


@keys.command("rotate")
def rotate(context: typer.Context) -> None:
    """Add a key for new links. Links that were sent keep working."""
    made = keys_of(context).rotate()
    typer.echo(f"Key {made.id} seals new links from now on; older keys still open theirs.")


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
    file.retire(key)
    typer.echo(f"Retired key {key}.")


@links.command("open")
def open_link(
    context: typer.Context,
    url: Annotated[str, typer.Argument(help="A tracking link, or its token.")],
    as_json: Json = False,
) -> None:
    """Show what a tracking link holds, and which email it is from."""
    path = urlsplit(url).path
    if "/" in url and not path.startswith(PATH):
        raise InvalidInput(f"{url!r} is not a tracking link: its path does not begin with {PATH}")
    opened = keys_of(context).open(path.removeprefix(PATH))
    try:
        message = with_store(context, lambda store: store.messages.get(opened.message_id))
    except NotFound:
        message = None
    holds: dict[str, object] = {
        "url": opened.url,
        "messageId": opened.message_id,
        "link": opened.link,
        "key": opened.key_id,
    }
    if message is not None:
        tags = next((link.tags for link in message.links if link.index == opened.link), ())
        holds |= {
            "tags": ";".join(f"{key}:{value}" for key, value in tags),
            "recipient": ", ".join(message.recipients),
            "configurationSet": message.configuration_set,
            "accepted": rfc3339(message.accepted_at),
        }
    if as_json:
        print_json(holds)
        return
    names = {"url": "Original URL", "messageId": "Message", "configurationSet": "Configuration set"}
    rows = [(names.get(name, name.capitalize()), value) for name, value in holds.items()]
    print_table(("What", "Value"), rows)
    if message is None:
        typer.echo("The email itself is not (or no longer) in the database.")
