"""``clicktrail console-user``: who may sign in to the console."""

from typing import Annotated

import typer

from clicktrail.commands.shared.common import (
    Json,
    Yes,
    confirm,
    print_json,
    print_table,
    settings_of,
    with_store,
)
from clicktrail.errors import NotFound
from clicktrail.model import Role

users = typer.Typer(no_args_is_help=True, help="Who may sign in to the console.")

Name = Annotated[str, typer.Argument(help="Name of the account.")]


@users.command("create")
def create(
    context: typer.Context,
    name: Name,
    role: Annotated[Role, typer.Option(help="What the account may do.")] = Role.VIEWER,
) -> None:
    """Create an account, and print the link by which its password is set."""
    token = with_store(context, lambda store: store.accounts.create(name, role))
    typer.echo(f"Created {role} {name}. The link to set the password, good for three days:")
    typer.echo(_address(context, token))


@users.command("link")
def link(context: typer.Context, name: Name) -> None:
    """Print a new link to set an account's password, for one that was forgotten."""
    token = with_store(context, lambda store: store.accounts.new_link(name))
    typer.echo(_address(context, token))


@users.command("role")
def role(
    context: typer.Context,
    name: Name,
    wanted: Annotated[Role, typer.Argument(metavar="ROLE", help="What the account may do.")],
) -> None:
    """Change what an account may do."""
    with_store(context, lambda store: store.accounts.set_role(name, wanted))
    typer.echo(f"{name} is {wanted} now.")


@users.command("list")
def list_users(context: typer.Context, as_json: Json = False) -> None:
    """List all accounts."""
    found = with_store(context, lambda store: store.accounts.list())
    if as_json:
        print_json([{"name": a.name, "role": a.role, "ready": a.ready} for a in found])
        return
    print_table(
        ("Name", "Role", "Password"),
        ((a.name, a.role, "set" if a.ready else "not set") for a in found),
        empty="There is no account yet: clicktrail console-user create NAME --role administrator",
    )


@users.command("delete")
def delete(context: typer.Context, name: Name, yes: Yes = False) -> None:
    """Delete an account; who is signed in with it is signed out."""
    accounts = with_store(context, lambda store: store.accounts.list())
    if name not in [account.name for account in accounts]:
        raise NotFound(f"there is no account {name!r}")
    confirm(f"Delete account {name}?", yes)
    with_store(context, lambda store: store.accounts.delete(name))
    typer.echo(f"Deleted account {name}.")


def _address(context: typer.Context, token: str) -> str:
    return f"http://{settings_of(context)['console.listen']}/welcome/{token}"
