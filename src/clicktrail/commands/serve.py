"""``clicktrail serve`` and ``clicktrail settings``."""

import asyncio
import os
import sys
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer
import uvloop

from clicktrail import __version__
from clicktrail.commands.common import Json, print_json, print_table, settings_of
from clicktrail.logs import configure_logs
from clicktrail.settings import SETTINGS, Settings
from clicktrail.supervisor import Supervisor, on_signals, stop_with_parent, tell_ready
from clicktrail.wiring import (
    ROLES,
    Service,
    check_roles,
    data_folder,
    key_file,
    start_monitor,
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
    key_file(data_folder(settings))
    if len(roles) == 1 or embedded:
        status = uvloop.run(_serve_here(settings, roles))
    else:
        status = asyncio.run(_serve_children(settings, roles))
    raise typer.Exit(status)


async def _serve_here(settings: Settings, roles: list[str]) -> int:
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    on_signals(loop, stopping.set)
    service = Service(settings, roles)
    starting = {"service": "it is starting"}

    def problems() -> "Problems":
        return {"service": "it is stopping"} if stopping.is_set() else starting

    stop_monitor = await start_monitor(settings, service.metrics.registry, problems)
    try:
        await service.start()
        starting.clear()
        if tell_ready(service.lines):
            stop_with_parent(loop, stopping.set)
        else:
            _announce(settings, service.lines)
        await stopping.wait()
    finally:
        await service.stop()
        await stop_monitor()
    return 0


async def _serve_children(settings: Settings, roles: list[str]) -> int:
    from clicktrail.monitor import counted_in  # noqa: PLC0415 - a role's process needs it not

    # The children get the settings from the environment, so that a secret given as a flag
    # does not show in the list of processes once more.
    given = settings.given()
    environment = dict(os.environ)
    environment |= {s.environment: given[s.name] for s in SETTINGS if s.name in given}
    with TemporaryDirectory(prefix="clicktrail-") as counts:
        # The operator's port is here; the children count into files for it.
        environment |= {"CLICKTRAIL_CONFIG": os.devnull, "CLICKTRAIL_METRICS_LISTEN": ""}
        environment |= {"PROMETHEUS_MULTIPROC_DIR": counts}
        command = [sys.executable, "-m", "clicktrail", "serve"]
        supervisor = Supervisor(roles, command, environment)
        on_signals(asyncio.get_running_loop(), supervisor.stop)
        stop_monitor = await start_monitor(settings, counted_in(counts), supervisor.problems)
        try:
            return await supervisor.run(lambda lines: _announce(settings, lines))
        finally:
            await stop_monitor()


def _announce(settings: Settings, lines: list[str]) -> None:
    typer.echo(f"Clicktrail {__version__}, data in {settings.data}/")
    for line in lines:
        typer.echo(f"  {line}")
    if settings["metrics.listen"] is not None:
        typer.echo(f"  metrics    http://{settings['metrics.listen']}/metrics")
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
