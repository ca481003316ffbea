"""The command line: ``clicktrail``."""

import functools
import gc
import inspect
import os
import signal
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from clicktrail import __version__
from clicktrail.base.logs_later import configure_logs_later
from clicktrail.commands.shared.ending import INTERRUPTED, ending, open_standard_files, write_out
from clicktrail.commands.shared.given import Given
from clicktrail.commands.shared.topics import ByTopic, topic
from clicktrail.commands.shared.words import InWords
from clicktrail.settings.kinds import Setting
from clicktrail.settings.table import SETTINGS


class Command(NamedTuple):
    """A command, or a group of commands, that is loaded when it is asked for."""

    name: str
    place: str
    """Its module in `clicktrail.commands`, and its name in there."""
    help: str
    """The line about it in the list of all; what it says itself, where it is loaded."""
    every_flag: bool = False
    """Whether it takes every setting as a flag; others take the data folder only."""


COMMANDS = (
    Command("serve", "serve:serve", "Run the service until Ctrl-C or SIGTERM.", every_flag=True),
    Command("statistics", "events:statistics", "Show emails sent and clicks, by day."),
    Command(
        "rewrite",
        "offline:rewrite",
        "Rewrite an email: from standard input to standard output, as if its tracking were on.",
        every_flag=True,
    ),
    Command(
        "migrate",
        "upkeep.migrate:migrate",
        "Move what is stored in the data folder to PostgreSQL.",
    ),
    Command(
        "check",
        "upkeep.repair:check",
        "Look at journal, spool, store and keys, and say what is wrong.",
        every_flag=True,
    ),
    Command(
        "repair",
        "upkeep.repair:repair",
        "Count what can be read of files that were set aside, and mend the index of emails.",
        every_flag=True,
    ),
    Command(
        "settings",
        "serve:show_settings",
        "Show all settings: value, where it was given, what it means.",
        every_flag=True,
    ),
    Command(
        "configuration-set",
        "configuration:sets",
        "Configuration sets: what is tracked, who is told.",
    ),
    Command(
        "event-destination",
        "deliveries:destinations",
        "Event destinations of a configuration set: where its events go.",
    ),
    Command(
        "engagement-statistics",
        "configuration:engagement",
        "Engagement statistics: count clicks of a configuration set, notify nobody.",
    ),
    Command("identity", "identity:identities", "Domains and addresses that send."),
    Command("smtp-user", "identity:users", "Who may sign in to send emails by SMTP."),
    Command("access-key", "access_keys:keys", "Access keys: who may call the API."),
    Command("console-user", "console_users:users", "Who may sign in to the console."),
    Command("clicks", "clicks:clicks", "Who clicked; why a click is a person's or a machine's."),
    Command("events", "events:events", "Notifications: read, look at, replay."),
    Command("keys", "keys:keys", "The key ring that seals and opens tracking links."),
    Command("link", "links.link:links", "Tracking links."),
    Command("networks", "upkeep.networks:networks", "Networks of machines that look at links."),
    Command("nodes", "nodes:nodes", "Nodes that share a store or a journal, and their keys."),
    Command("recipients", "recipients:recipients", "The people who get emails."),
    Command(
        "unsubscribes",
        "people.unsubscribes:unsubscribes",
        "Who has unsubscribed from which contact list.",
    ),
    Command("suppression", "people.suppression:suppression", "Addresses that get no email."),
    Command("domain", "domains.domain:domains", "Domains of tracking links."),
)


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


def build(only: str | None = None, *, helps: bool = True) -> typer.Typer:
    """Return the command line; with ``only`` that command, and of the others their names alone.

    ``helps`` is whether it has options for help and for shells before the command. Typer loads
    Pydantic to see that they were not given, a third of the time of a group's help.
    """
    app = typer.Typer(
        add_help_option=helps,
        add_completion=helps,
        cls=InWords,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    for command in COMMANDS:
        if only not in (None, command.name):
            app.add_typer(typer.Typer(), name=command.name, help=command.help)
        elif isinstance(loaded := _load(command), typer.Typer):
            app.add_typer(loaded, name=command.name)
        else:
            app.command(command.name, cls=ByTopic)(loaded)
    return app


def _load(command: Command) -> Any:
    module, _, name = command.place.partition(":")
    loaded = getattr(import_module(f"clicktrail.commands.{module}"), name)
    if isinstance(loaded, typer.Typer):
        _give_flags(loaded)
        return loaded
    return with_flags(loaded, SETTINGS if command.every_flag else SETTINGS[:1])


def _asked_for() -> str:
    """Return the first word that may name a command; an empty one where none is there."""
    arguments = sys.argv[1:]
    if "_CLICKTRAIL_COMPLETE" in os.environ:  # a shell completes the line that stands there
        line = os.environ.get("COMP_WORDS") or os.environ.get("_TYPER_COMPLETE_ARGS", "")
        arguments = line.split()[1:]
    return next((word for word in arguments if not word.startswith("-")), "")


def _give_flags(app: typer.Typer) -> None:
    """Let every command of a group take flags of settings; it may be reached by two names."""
    for command in app.registered_commands:
        if command.callback is not None and not hasattr(command.callback, "__wrapped__"):
            flags = SETTINGS if command.cls is ByTopic else SETTINGS[:1]
            command.callback = with_flags(command.callback, flags)
    # A group that does something without a command.
    own = app.registered_callback
    if own is not None and own.invoke_without_command is True:
        called = own.callback
        if called is not None and not hasattr(called, "__wrapped__"):
            own.callback = with_flags(called, SETTINGS[:1])
    for group in app.registered_groups:
        if group.typer_instance is not None:
            _give_flags(group.typer_instance)


def with_flags(
    command: Callable[..., None], settings: Sequence[Setting[Any]]
) -> Callable[..., None]:
    """Return the command with ``--config`` and a flag for each setting.

    What they say is put into the context as `Given`. Errors end the command as `ending` says.
    """
    flags = {setting.flag.removeprefix("--").replace("-", "_"): setting for setting in settings}

    @functools.wraps(command)
    def run(**arguments: Any) -> None:
        given: Given = arguments["context"].ensure_object(Given)
        given.file = arguments.pop("config")
        texts = {setting.name: arguments.pop(flag) for flag, setting in flags.items()}
        given.flags = {name: text for name, text in texts.items() if text is not None}
        with ending():
            command(**arguments)

    extra: dict[str, Any] = {
        "config": Annotated[
            Path | None,
            typer.Option(
                "--config",
                metavar="FILE",
                help="Settings file; clicktrail.toml of this folder if there is one.",
            ),
        ]
    }
    extra |= {
        flag: Annotated[
            str | None,
            typer.Option(
                setting.flag,
                metavar="VALUE",
                help=setting.help + (f" [default: {setting.default}]" if setting.default else ""),
                rich_help_panel=topic(setting.name) if len(flags) > 1 else None,
            ),
        ]
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
    open_standard_files()
    asked = _asked_for()
    configure_logs_later()
    status: str | int | None = 0
    try:
        with ending():
            command_line = build(only=asked, helps=sys.argv[1:2] != [asked])
            # While it was loaded, Ctrl-C ended the process there and then (`__main__`).
            if callable(signal.getsignal(signal.SIGINT)):
                signal.signal(signal.SIGINT, signal.default_int_handler)
            command_line(prog_name="clicktrail")
    except SystemExit as end:
        status = end.code
    except typer.Exit as end:
        status = end.exit_code
    except KeyboardInterrupt:
        status = INTERRUPTED
    status = write_out(status)
    gc.freeze()  # else the interpreter looks at its end through all that was loaded, for garbage
    sys.exit(status)
