"""``clicktrail link``: what a tracking link holds."""

from typing import Annotated
from urllib.parse import urlsplit

import typer

from clicktrail.base.ids import rfc3339
from clicktrail.commands.links.changes import block, changes, replace, undo
from clicktrail.commands.shared.common import Json, keys_of, print_json, print_table, with_store
from clicktrail.errors import InvalidInput, NotFound
from clicktrail.keys.token import PATH, PATHS
from clicktrail.model.anonymous import is_anonymous

links = typer.Typer(no_args_is_help=True, help="Tracking links.")


@links.command("open")
def open_link(
    context: typer.Context,
    url: Annotated[str, typer.Argument(help="A tracking link, or its token.")],
    as_json: Json = False,
) -> None:
    """Show what a tracking link holds, and which email it is from."""
    try:
        path = urlsplit(url).path
    except ValueError:  # a bracket without its pair
        path = ""
    if "/" in url and not path.startswith(PATHS):
        raise InvalidInput(f"{url!r} is not a tracking link: its path does not begin with {PATH}")
    opened = keys_of(context).open(path.rpartition("/")[2])
    try:
        message = with_store(context, lambda store: store.messages.get(opened.message_id))
    except NotFound:
        message = None
    holds: dict[str, object] = {
        "url": opened.url.replace("\n", " "),  # of one to unsubscribe: list, topic, address
        "messageId": None if is_anonymous(opened.message_id) else opened.message_id,
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
    if is_anonymous(opened.message_id):
        typer.echo("It does not say of which email it is: its configuration set is anonymous.")
    elif message is None:
        typer.echo("The email itself is not (or no longer) in the database.")


links.command("replace")(replace)
links.command("block")(block)
links.command("changes")(changes)
links.command("undo")(undo)
