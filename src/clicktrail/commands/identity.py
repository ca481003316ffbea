"""``clicktrail identity`` and ``clicktrail smtp-user``: who sends."""

from typing import TYPE_CHECKING, Annotated

import typer

from clicktrail.commands.dkim import dkim
from clicktrail.commands.shared.common import (
    Json,
    Yes,
    confirm,
    print_json,
    print_table,
    settings_of,
    with_store,
)
from clicktrail.errors import InvalidInput
from clicktrail.model import Identity

if TYPE_CHECKING:
    from clicktrail.store import Store

identities = typer.Typer(no_args_is_help=True, help="Domains and addresses that send.")
identities.add_typer(dkim, name="dkim")
users = typer.Typer(no_args_is_help=True, help="Who may sign in to send emails by SMTP.")

Name = Annotated[str, typer.Argument(help="A domain or an address.")]
User = Annotated[str, typer.Argument(help="User name.")]


@identities.command("create")
def create(
    context: typer.Context,
    name: Name,
    configuration_set: Annotated[
        str | None, typer.Option(help="Used for its emails that name no other.")
    ] = None,
) -> None:
    """Create an identity."""

    async def work(store: "Store") -> tuple[Identity, int]:
        made = await store.configuration.create_identity(name, configuration_set)
        return made, len(await store.configuration.list_identities())

    made, number = with_store(context, work)
    bound = f", bound to {configuration_set}" if configuration_set else ""
    typer.echo(f"Created identity {made.name} ({made.id}){bound}.")
    if number == 1:
        typer.echo(
            "It is the first one: from now on only identities may send"
            " (unless identities.required = no)."
        )


@identities.command("bind")
def bind(
    context: typer.Context,
    name: Name,
    configuration_set: Annotated[
        str | None, typer.Argument(metavar="SET", help="Name of the configuration set.")
    ] = None,
    none: Annotated[bool, typer.Option("--none", help="Bind it to no configuration set.")] = False,
) -> None:
    """Bind an identity to the configuration set of its emails that name no other."""
    if none == bool(configuration_set):
        raise InvalidInput("give a configuration set, or --none")
    with_store(context, lambda store: store.configuration.bind_identity(name, configuration_set))
    typer.echo(f"Bound identity {name} to {configuration_set or 'no configuration set'}.")


@identities.command("senders")
def senders(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="A domain.")],
    mailboxes: Annotated[
        list[str] | None, typer.Argument(metavar="[MAILBOX]...", help="news, or news@example.com.")
    ] = None,
    everybody: Annotated[bool, typer.Option("--all", help="Let all of them send.")] = False,
) -> None:
    """Say which mailboxes of a domain may send, and none else."""
    if everybody == bool(mailboxes):
        raise InvalidInput("give the mailboxes that may send, or --all")
    given = mailboxes or []
    kept = with_store(context, lambda store: store.configuration.restrict_identity(name, given))
    typer.echo(f"For {kept.name} may send: {', '.join(kept.senders) or 'all its mailboxes'}.")
    if kept.senders and settings_of(context)["identities.required"] == "no":
        typer.echo("Nobody is asked for that while identities.required = no.", err=True)


@identities.command("list")
def list_identities(context: typer.Context, as_json: Json = False) -> None:
    """List all identities."""
    found = with_store(context, lambda store: store.configuration.list_identities())
    if as_json:
        print_json(
            [
                {
                    "id": i.id,
                    "name": i.name,
                    "configurationSet": i.configuration_set,
                    "senders": i.senders,
                }
                for i in found
            ]
        )
        return
    print_table(
        ("Name", "Id", "Configuration set", "Senders"),
        ((i.name, i.id, i.configuration_set, ", ".join(i.senders) or "all") for i in found),
        empty="There is no identity yet: clicktrail identity create DOMAIN",
    )


@identities.command("delete")
def delete(context: typer.Context, name: Name, yes: Yes = False) -> None:
    """Delete an identity."""
    with_store(context, lambda store: store.configuration.get_identity(name))
    confirm(f"Delete identity {name}?", yes)
    with_store(context, lambda store: store.configuration.delete_identity(name))
    typer.echo(f"Deleted identity {name}.")


@users.command("create")
def create_user(context: typer.Context, name: User) -> None:
    """Create an SMTP user with a new password, which is shown once."""
    password = with_store(context, lambda store: store.users.create(name))
    typer.echo(f"Created SMTP user {name}. Its password, shown only now:\n{password}")


@users.command("list")
def list_users(context: typer.Context, as_json: Json = False) -> None:
    """List all SMTP users."""
    found = with_store(context, lambda store: store.users.list())
    if as_json:
        print_json(found)
        return
    print_table(
        ("Name",),
        ((name,) for name in found),
        empty="There is no SMTP user yet: clicktrail smtp-user create NAME",
    )


@users.command("delete")
def delete_user(context: typer.Context, name: User) -> None:
    """Delete an SMTP user."""
    with_store(context, lambda store: store.users.delete(name))
    typer.echo(f"Deleted SMTP user {name}.")
