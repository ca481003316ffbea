"""The command line: ``clicktrail``."""

import functools
import inspect
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from clicktrail import __version__
from clicktrail.commands import serve
from clicktrail.commands.common import Given
from clicktrail.errors import ClicktrailError
from clicktrail.kinds import Setting
from clicktrail.settings import SETTINGS

ALL_FLAGS = ("serve", "settings", "rewrite", "test")
"""Commands that take every setting as a flag; the others take the data folder only."""


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"clicktrail {__version__}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Self-hosted click tracking for email."""


def build(*, serving: bool = False) -> typer.Typer:
    """Return the whole command line; ``serving``, without what only the other commands need."""
    app = typer.Typer(
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        add_completion=False,
    )
    app.callback()(_root)
    app.command("serve")(serve.serve)
    if not serving:
        _add_others(app)
    app.command("settings")(serve.show_settings)
    _give_flags(app, set())
    return app


def _add_others(app: typer.Typer) -> None:
    # Here, because a service would carry them in memory.
    from clicktrail.commands import (  # noqa: PLC0415
        access_keys,
        configuration,
        console_users,
        deliveries,
        domain,
        events,
        identity,
        keys,
        migrate,
        nodes,
        offline,
        recipients,
    )

    app.add_typer(configuration.sets, name="configuration-set")
    app.add_typer(deliveries.destinations, name="event-destination")
    app.add_typer(configuration.engagement, name="engagement-statistics")
    app.add_typer(identity.identities, name="identity")
    app.add_typer(identity.users, name="smtp-user")
    app.add_typer(access_keys.keys, name="access-key")
    app.add_typer(console_users.users, name="console-user")
    app.add_typer(events.events, name="events")
    app.command("statistics")(events.statistics)
    app.add_typer(keys.keys, name="keys")
    app.add_typer(keys.links, name="link")
    app.add_typer(nodes.nodes, name="nodes")
    app.add_typer(recipients.recipients, name="recipients")
    app.add_typer(domain.domains, name="domain")
    app.command("rewrite")(offline.rewrite)
    app.command("migrate")(migrate.migrate)


def _give_flags(app: typer.Typer, done: set[int]) -> None:
    """Let every command take the flags of settings; a group may be reached by two names."""
    if id(app) in done:
        return
    done.add(id(app))
    for command in app.registered_commands:
        if command.callback is not None and not hasattr(command.callback, "__wrapped__"):
            every = command.name in ALL_FLAGS
            command.callback = with_flags(command.callback, SETTINGS if every else SETTINGS[:1])
    for group in app.registered_groups:
        if group.typer_instance is not None:
            _give_flags(group.typer_instance, done)


def with_flags(
    command: Callable[..., None], settings: Sequence[Setting[Any]]
) -> Callable[..., None]:
    """Return the command with ``--config`` and a flag for each setting.

    What they say is put into the context as `Given`. An error of ours ends the command with its
    message and exit status 1, never with a traceback.
    """
    flags = {setting.flag.removeprefix("--").replace("-", "_"): setting for setting in settings}

    @functools.wraps(command)
    def run(**arguments: Any) -> None:
        given: Given = arguments["context"].ensure_object(Given)
        given.file = arguments.pop("config")
        texts = {setting.name: arguments.pop(flag) for flag, setting in flags.items()}
        given.flags = {name: text for name, text in texts.items() if text is not None}
        try:
            command(**arguments)
        except ClicktrailError as error:
            typer.echo(f"clicktrail: {error}", err=True)
            raise typer.Exit(1) from None

    extra: dict[str, Any] = {
        "config": Annotated[
            Path | None,
            typer.Option(
                "--config", help="Settings file; clicktrail.toml of this folder if there is one."
            ),
        ]
    }
    extra |= {
        flag: Annotated[str | None, typer.Option(setting.flag, metavar="VALUE", help=setting.help)]
        for flag, setting in flags.items()
    }
    own = inspect.signature(command)
    parameters = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)
        for name, kind in extra.items()
    ]
    signature = own.replace(parameters=[*own.parameters.values(), *parameters])
    run.__signature__ = signature  # type: ignore[attr-defined]
    run.__annotations__ = {**command.__annotations__, **extra}
    return run


def main() -> None:
    """Run the command line."""
    try:
        build(serving=sys.argv[1:2] == ["serve"])(prog_name="clicktrail")
    except BrokenPipeError:
        # Who read our output went away: nothing more to tell, and nobody to tell it to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
