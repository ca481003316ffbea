"""``clicktrail serve`` and ``clicktrail settings``."""

import asyncio
import gc
import os
import sys
from collections.abc import Coroutine, Mapping, Sequence
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
import uvloop

from clicktrail import __version__
from clicktrail.base.files import at_work, is_orphaned, served, size_of
from clicktrail.base.logs import configure_logs, get_logger
from clicktrail.base.metrics import count_into
from clicktrail.base.redact import reason_of, without_login
from clicktrail.commands.shared.common import Json, print_json, print_table, settings_of
from clicktrail.doors.connections import allow_many_files
from clicktrail.errors import ClicktrailError, InvalidInput, StoreBeingMoved
from clicktrail.service.checks.opening import check_doors
from clicktrail.service.monitor import Problems, counted_in
from clicktrail.service.parts.folder import new_data_folder
from clicktrail.service.parts.sealing import ready_keys
from clicktrail.service.parts.watch import Watch
from clicktrail.service.pipes import Ties
from clicktrail.service.service import (
    ROLES,
    Service,
    check_roles,
    load,
    usual_roles,
)
from clicktrail.service.shared import Shared
from clicktrail.service.signals import ignore_all, on_signals
from clicktrail.service.supervisor import Supervisor, role_of, workers_of
from clicktrail.settings.settings import Settings
from clicktrail.settings.table import SETTINGS
from clicktrail.settings.tracking import SEALING, describe_links

log = get_logger(__name__)


def serve(
    context: typer.Context,
    role: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ROLE",
            help=f"Run only this role ({', '.join(ROLES)}); may be given several times.",
        ),
    ] = None,
    embedded: Annotated[
        bool, typer.Option("--embedded", help="All roles in one process, not a process each.")
    ] = False,
) -> None:
    """Run the service until Ctrl-C or SIGTERM."""
    settings = settings_of(context)
    roles = check_roles(settings, role or usual_roles(settings))
    configure_logs(
        settings["log.level"], settings["log.format"], addresses=settings["log.addresses"] == "yes"
    )
    warn_of_secrets(settings)
    allow_many_files()
    folder = new_data_folder(settings)
    with at_work(folder) as possible:
        if not possible:
            raise InvalidInput(f"{folder} is being moved: start when `clicktrail migrate` is done")
        for each in map(load, roles):
            each.check(settings)
        check_doors(settings, roles)
        if makes_store(settings, roles) and (folder / "keys.json").exists():
            log.warning(
                "a new database is made in a data folder that is not new: if there was one, stop,"
                " and put a backup of it back; if it is elsewhere, say so in store.url",
                data=str(folder.absolute()),
            )
        ready_keys(settings, roles)
        with served(folder, roles) as others:
            if others:
                log.warning(
                    "another service works in this data folder: nothing is lost or counted twice,"
                    " but is it meant?",
                    data=str(folder.absolute()),
                    roles=others,
                )
            processes = workers(settings, roles)
            if embedded and len(processes) > len(roles):
                log.warning("one process for all roles: *.workers are passed over")
            if len(processes) == 1 or embedded:
                status = uvloop.run(_serve_here(settings, roles))
            else:
                status = _serve_apart(settings, roles, processes)
    raise typer.Exit(status)


def warn_of_secrets(settings: Settings) -> None:
    """Say which secrets stand on the command line, where they had better not."""
    for setting in SETTINGS:
        text = settings.text(setting.name)
        is_public = not text or ("://" in text and without_login(text) == text)
        if setting.secret and not is_public and settings.source(setting.name) == setting.flag:
            log.warning(
                "a secret is on the command line, where every user of this machine can see it:"
                " give it in a file",
                flag=setting.flag,
                instead=f"{setting.flag}-file",
            )


def makes_store(settings: Settings, roles: Sequence[str]) -> bool:
    """Whether the store of these roles is a file that is not there yet."""
    path = settings.data / "clicktrail.db"
    return (
        not settings.text("store.url")
        and list(roles) != ["redirect"]
        and not size_of(path)
        and not is_orphaned(path)  # which is refused
    )


async def _serve_here(
    settings: Settings,
    roles: list[str],
    ties: Ties | None = None,
    shared: Shared | None = None,
) -> int:
    """Run roles in this process; ``ties`` where it is a supervisor's child."""
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    service = Service(settings, roles, shared)
    on_signals(loop, stopping.set, service.reload)
    if ties is not None:
        ties.stop_with_supervisor(loop, stopping.set)
    starting = {"service": "it is starting"}

    def problems() -> Problems:
        if stopping.is_set():
            return {"service": "it is stopping"}
        return {**starting, **service.faults.current()}

    watch = Watch(settings, roles, service.metrics.registry, problems)

    async def start() -> None:
        if ties is None:  # a supervisor has a process for it
            await watch.start(patient=False)
        else:
            ties.tell_faults(loop, service.faults)
        await service.start()

    started = False
    try:
        started = await _unless(stopping, start())
        if not started:
            return 0
        starting.clear()
        gc.collect()
        gc.freeze()  # what is here now stays: no collection need look at it
        if ties is not None:
            ties.tell_ready(service.lines)
        else:
            _announce(settings, roles, [*service.lines, *watch.lines])
        await stopping.wait()
    finally:
        await service.stop()
        await watch.stop()
        ignore_all()
        if stopping.is_set() and not started:
            os._exit(0)  # a thread may wait for somebody else's lock: it cannot be ended
    return 0


async def _serve_monitor(settings: Settings, roles: list[str], counts: str, ties: Ties) -> int:
    """Run the operator's port and the roll call in this process, a supervisor's child."""
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    on_signals(loop, stopping.set, lambda: None)  # it reads keys by itself
    ties.stop_with_supervisor(loop, stopping.set)
    problems: dict[str, str] = {"service": "it is starting"}

    def see(found: dict[str, str]) -> None:
        problems.clear()
        problems.update(found)

    ties.follow_problems(loop, see)
    watch = Watch(settings, roles, counted_in(counts), lambda: problems)
    try:
        await watch.start(patient=True)
        ties.tell_ready(watch.lines)
        await stopping.wait()
    finally:
        await watch.stop()
        ignore_all()
    return 0


async def _unless(stopping: asyncio.Event, starting: Coroutine[None, None, None]) -> bool:
    """Start; return whether it was done before told to stop, which gives it up."""
    start = asyncio.create_task(starting)
    stop = asyncio.create_task(stopping.wait())
    try:
        await asyncio.wait((start, stop), return_when=asyncio.FIRST_COMPLETED)
        if not start.done():
            return False
        await start
        return True
    finally:
        start.cancel()
        stop.cancel()
        await asyncio.gather(start, stop, return_exceptions=True)


def workers(settings: Settings, roles: Sequence[str]) -> list[str]:
    """Return the names of the processes of these roles."""
    return [each for role in roles for each in workers_of(role, settings.workers(role))]


def _serve_apart(settings: Settings, roles: list[str], processes: Sequence[str]) -> int:
    """Run each role in a process of its own, or in several."""
    with TemporaryDirectory(prefix="clicktrail-") as counts:
        count_into(counts)
        shared = Shared()
        shared.open_doors(settings, roles)
        gc.collect()  # what the roles need is loaded, and shared

        def work(name: str, ties: Ties) -> int:
            try:
                if name == Supervisor.MONITOR:
                    return uvloop.run(_serve_monitor(settings, roles, counts, ties))
                return uvloop.run(_serve_here(settings, [role_of(name)], ties, shared))
            except ClicktrailError as error:
                for_good = error.permanent or isinstance(error, StoreBeingMoved)
                ties.tell_failure(reason_of(error), permanent=for_good)
                return 1

        # The monitor is ready before it says of the others that they are.
        monitor = [Supervisor.MONITOR] if Watch.is_wanted(settings) else []
        supervisor = Supervisor([*processes, *monitor], work, shared.close_doors)
        return supervisor.run(
            lambda lines, missing: _announce(settings, roles, lines, missing),
            lambda why: typer.echo(f"clicktrail: {why}", err=True),
        )


def _announce(
    settings: Settings, roles: list[str], lines: list[str], missing: Mapping[str, str] | None = None
) -> None:
    typer.echo(f"Clicktrail {__version__}, data in {settings.data}/")
    links = [] if SEALING.isdisjoint(roles) else describe_links(settings)
    for line in (*lines, *links):
        typer.echo(f"  {line}")
    if missing:
        for why in dict.fromkeys(missing.values()):
            typer.echo(f"clicktrail: {why}", err=True)
        names = ", ".join(dict.fromkeys(map(role_of, missing)))
        typer.echo(f"Ready, but not {names}: tried again until all are. Ctrl-C stops it.")
    else:
        typer.echo("Ready. Ctrl-C stops it.")
    sys.stdout.flush()


def show_settings(context: typer.Context, as_json: Json = False) -> None:
    """Show all settings: value, where it was given, what it means."""
    settings = settings_of(context)
    rows = [
        (
            setting.name,
            settings.shown(setting.name),
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
