"""``clicktrail serve`` and ``clicktrail settings``."""

import asyncio
import gc
import sys
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer
import uvloop

from clicktrail import __version__
from clicktrail.commands.common import Json, print_json, print_table, settings_of
from clicktrail.errors import ClicktrailError, InvalidInput
from clicktrail.files import at_work
from clicktrail.logs import configure_logs
from clicktrail.metrics import count_into
from clicktrail.settings import SETTINGS, Settings
from clicktrail.supervisor import Supervisor, Ties, on_signals
from clicktrail.wiring import (
    ROLES,
    Service,
    Watch,
    check_roles,
    data_folder,
    key_file,
    load_parts,
)

if TYPE_CHECKING:
    from clicktrail.monitor import Problems


def serve(
    context: typer.Context,
    role: Annotated[
        list[str] | None,
        typer.Option(help=f"Run only this role ({', '.join(ROLES)}); may be given several times."),
    ] = None,
    embedded: Annotated[
        bool, typer.Option("--embedded", help="All roles in one process, not a process each.")
    ] = False,
) -> None:
    """Run the service until Ctrl-C or SIGTERM."""
    settings = settings_of(context)
    roles = check_roles(settings, role or list(ROLES))
    configure_logs(settings["log.level"], settings["log.format"])
    folder = data_folder(settings)
    with at_work(folder) as possible:
        if not possible:
            raise InvalidInput(f"{folder} is being moved: start when `clicktrail migrate` is done")
        key_file(folder)
        if len(roles) == 1 or embedded:
            status = uvloop.run(_serve_here(settings, roles))
        else:
            status = _serve_apart(settings, roles)
    raise typer.Exit(status)


async def _serve_here(settings: Settings, roles: list[str], ties: Ties | None = None) -> int:
    """Run roles in this process; ``ties`` where it is a supervisor's child."""
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    on_signals(loop, stopping.set)
    service = Service(settings, roles)
    starting = {"service": "it is starting"}

    def problems() -> "Problems":
        return {"service": "it is stopping"} if stopping.is_set() else starting

    watch = Watch(settings, roles, service.metrics.registry, problems)
    try:
        if ties is None:  # a supervisor has a process for it
            await watch.start()
        await service.start()
        starting.clear()
        gc.collect()
        gc.freeze()  # what is here now stays: no collection need look at it
        if ties is not None:
            ties.stop_with_supervisor(loop, stopping.set)
            ties.tell_ready(service.lines)
        else:
            _announce(settings, [*service.lines, *watch.lines])
        await stopping.wait()
    finally:
        await service.stop()
        await watch.stop()
    return 0


async def _serve_monitor(settings: Settings, roles: list[str], counts: str, ties: Ties) -> int:
    """Run the operator's port and the roll call in this process, a supervisor's child."""
    from clicktrail.monitor import counted_in  # noqa: PLC0415 - a role's process needs it not

    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    on_signals(loop, stopping.set)
    ties.stop_with_supervisor(loop, stopping.set)
    problems: dict[str, str] = {"service": "it is starting"}

    def see(found: dict[str, str]) -> None:
        problems.clear()
        problems.update(found)

    ties.follow_problems(loop, see)
    watch = Watch(settings, roles, counted_in(counts), lambda: problems)
    try:
        await watch.start()
        ties.tell_ready(watch.lines)
        await stopping.wait()
    finally:
        await watch.stop()
    return 0


def _serve_apart(settings: Settings, roles: list[str]) -> int:
    """Run each role in a process of its own."""
    with TemporaryDirectory(prefix="clicktrail-") as counts:
        count_into(counts)
        load_parts(roles)

        def work(role: str, ties: Ties) -> int:
            try:
                if role == Supervisor.MONITOR:
                    return uvloop.run(_serve_monitor(settings, roles, counts, ties))
                return uvloop.run(_serve_here(settings, [role], ties))
            except ClicktrailError as error:
                typer.echo(f"clicktrail: {error}", err=True)
                return 1

        # The monitor is ready before it says of the others that they are.
        monitor = [Supervisor.MONITOR] if Watch.is_wanted(settings) else []
        supervisor = Supervisor([*roles, *monitor], work)
        return supervisor.run(lambda lines: _announce(settings, lines))


def _announce(settings: Settings, lines: list[str]) -> None:
    typer.echo(f"Clicktrail {__version__}, data in {settings.data}/")
    for line in lines:
        typer.echo(f"  {line}")
    typer.echo("Ready. Ctrl-C stops it.")
    sys.stdout.flush()


def show_settings(context: typer.Context, as_json: Json = False) -> None:
    """Show all settings: value, where it was given, what it means."""
    settings = settings_of(context)
    rows = [
        (
            setting.name,
            "(hidden)"
            if setting.secret and settings.text(setting.name)
            else settings.text(setting.name),
            settings.source(setting.name),
            setting.kind.expects,
            setting.help,
        )
        for setting in SETTINGS
    ]
    names = ("Setting", "Value", "From", "Expected", "Meaning")
    if as_json:
        print_json([dict(zip((n.lower() for n in names), row, strict=True)) for row in rows])
    else:
        print_table(names, rows)
