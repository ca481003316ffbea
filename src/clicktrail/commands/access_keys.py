"""``clicktrail access-key``: who may call the API."""

from typing import Annotated

import typer

from clicktrail.base.ids import rfc3339
from clicktrail.commands.shared.common import (
    Json,
    print_json,
    print_table,
    settings_of,
    with_store,
)
from clicktrail.model import Scope
from clicktrail.service.parts.folder import data_folder, vault

keys = typer.Typer(no_args_is_help=True, help="Access keys: who may call the API.")


@keys.command("create")
def create(
    context: typer.Context,
    scope: Annotated[
        list[Scope], typer.Option(help="What the key is good for; may be given several times.")
    ] = [Scope.SEND],  # noqa: B006 - typer copies it
    description: Annotated[str, typer.Option(help="What it is for.")] = "",
    as_json: Json = False,
) -> None:
    """Create an access key. Its secret is shown once."""
    safe = vault(data_folder(settings_of(context)))
    key_id, secret = with_store(
        context, lambda store: store.access_keys.create(safe, scope, description)
    )
    if as_json:
        print_json({"AccessKeyId": key_id, "SecretAccessKey": secret})
        return
    typer.echo(f"Access key id:      {key_id}")
    typer.echo(f"Secret access key:  {secret}")
    typer.echo("The secret is shown only now. By SMTP, the id is the user name and the secret the")
    typer.echo("password; a password that an SES tool derives from the secret works as well.")


@keys.command("list")
def list_keys(context: typer.Context, as_json: Json = False) -> None:
    """List all access keys, without their secrets."""
    found = with_store(context, lambda store: store.access_keys.list())
    if as_json:
        print_json(
            [
                {
                    "id": key.id,
                    "scopes": sorted(key.scopes),
                    "description": key.description,
                    "created": rfc3339(key.created_at),
                    "disabled": rfc3339(key.disabled_at) if key.disabled_at else None,
                }
                for key in found
            ]
        )
        return
    print_table(
        ("Id", "Scopes", "Description", "Created", "Disabled"),
        (
            (
                key.id,
                ", ".join(sorted(key.scopes)),
                key.description,
                rfc3339(key.created_at),
                rfc3339(key.disabled_at) if key.disabled_at else "",
            )
            for key in found
        ),
        empty="There is no access key yet: clicktrail access-key create --scope send",
    )


@keys.command("disable")
def disable(
    context: typer.Context, key_id: Annotated[str, typer.Argument(help="Id of the access key.")]
) -> None:
    """Switch an access key off for good."""
    with_store(context, lambda store: store.access_keys.disable(key_id))
    typer.echo(f"Access key {key_id} is off.")
