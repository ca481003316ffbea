"""The process that runs the roles: what it does when they, or it, come to an end."""

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

import pytest

from clicktrail.service.service import ROLES
from service.test_monitor import ask
from support.service import PATIENCE, Service, wait_for
from support.terminal import Terminal

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="NOT TESTED: it needs Linux (/proc)"
)
EVERYBODY = (*ROLES, "monitor")


def pids_of(service: Service) -> dict[str, int]:
    found = {role: service.pid_of(role) for role in EVERYBODY}
    assert None not in found.values(), found
    return {role: pid for role, pid in found.items() if pid is not None}


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not yet waited for does not."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_all_roles_end_with_it(tmp_path: Path, number: signal.Signals) -> None:
    with Service(tmp_path, embedded=False) as service:
        pids = pids_of(service)
        service.signal(number)
        assert service.wait() == 0
        assert [role for role, pid in pids.items() if is_alive(pid)] == []
        assert service.logged("role_ended") == []


def test_all_roles_end_when_it_is_killed(tmp_path: Path) -> None:
    with Service(tmp_path, embedded=False) as service:
        pids = pids_of(service)
        service.kill()
        wait_for(lambda: not any(map(is_alive, pids.values())) or None, "end of all roles")


@pytest.mark.parametrize("embedded", [True, False], ids=["embedded", "apart"])
def test_signals_that_mean_nothing_do_nothing(tmp_path: Path, embedded: bool) -> None:
    with Service(tmp_path, embedded=embedded) as service:
        pids = [service.pid] if embedded else list(pids_of(service).values())
        for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGPIPE, signal.SIGHUP):
            service.signal(number)
            for pid in pids:
                os.kill(pid, number)
        assert service.request("http://any/c/none").status == 404
        assert service.stop() == 0
        assert service.logged("role_ended") == []


@pytest.mark.parametrize("embedded", [True, False], ids=["embedded", "apart"])
@pytest.mark.parametrize(
    "number", [signal.SIGHUP, signal.SIGTERM, signal.SIGINT, signal.SIGQUIT], ids=lambda n: n.name
)
def test_signals_while_it_stops_do_not_kill(
    tmp_path: Path, number: signal.Signals, embedded: bool
) -> None:
    """Also in its last moments, when there is no loop any more."""
    with Service(tmp_path, embedded=embedded) as service:
        process, over = os.pidfd_open(service.pid), threading.Event()

        def send_again_and_again() -> None:
            with suppress(ProcessLookupError):
                while not over.wait(0.001):
                    signal.pidfd_send_signal(process, number)

        service.signal(signal.SIGTERM)
        sending = threading.Thread(target=send_again_and_again)
        sending.start()
        try:
            assert service.wait() == 0
        finally:
            over.set()
            sending.join()
            os.close(process)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGABRT, signal.SIGALRM])
def test_roles_that_are_still_starting_end_when_it_dies(
    tmp_path: Path, number: signal.Signals
) -> None:
    service = Service(tmp_path, embedded=False)
    service.data.mkdir()
    with (service.data / "clicktrail.db.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # they wait for the end of another's upgrade
        with service.starting():
            pids = wait_for(lambda: found_pids(service), "roles that start")
            service.signal(number)
            service.wait()
            wait_for(lambda: not any(map(is_alive, pids)) or None, "end of all roles")


def found_pids(service: Service) -> list[int] | None:
    found = [service.pid_of(role) for role in ROLES]
    return [pid for pid in found if pid] if all(found) else None


def test_a_role_that_hangs_is_killed_when_it_dies(tmp_path: Path) -> None:
    script = f"""
import os, time
from clicktrail.service import supervisor
supervisor.STOP_SECONDS = 0.5
def work(role, ties):
    ties.tell_ready([str(os.getpid())])
    time.sleep({2 * PATIENCE})  # longer than anybody waits for its end
    return 0
supervisor.Supervisor(["stubborn"], work).run(lambda lines, _: print(*lines, flush=True))
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        process.kill()
        wait_for(lambda: not is_alive(pid) or None, "end of the role")


@pytest.mark.parametrize("embedded", [True, False], ids=["embedded", "apart"])
@pytest.mark.parametrize("nohup", [False, True], ids=["plain", "nohup"])
def test_it_ends_with_its_terminal_unless_told_to_outlive_it(
    tmp_path: Path, nohup: bool, embedded: bool
) -> None:
    service, terminal = Service(tmp_path, embedded=embedded), Terminal(nohup=nohup)
    with service.starting(**terminal.options):
        terminal.started()
        service.wait_until_ready()
        pids = [service.pid] if embedded else list(pids_of(service).values())
        terminal.close()
        if nohup:
            service.signal(signal.SIGHUP)
            wait_for(lambda: service.logged("reloaded") or None, "files that were read again")
            assert all(map(is_alive, pids))
            assert service.stop() == 0
        else:
            assert service.wait() == 0
            assert not any(map(is_alive, pids))


@contextmanager
def waiting_for_settings(
    folder: Path, *, embedded: bool, terminal: Terminal | None = None
) -> Iterator[tuple[Service, TextIO]]:
    """Start a service that waits for its settings; it goes on when they are closed."""
    file = folder / "settings.toml"
    os.mkfifo(file)
    service = Service(folder, f"--config={file}", embedded=embedded)
    with service.starting(**(terminal.options if terminal else {})):
        if terminal:
            terminal.started()
        with file.open("w") as settings:  # opened when the service has opened it
            yield service, settings


@pytest.mark.parametrize("embedded", [True, False], ids=["embedded", "apart"])
def test_signals_while_it_starts_do_what_they_do_later(tmp_path: Path, embedded: bool) -> None:
    with waiting_for_settings(tmp_path, embedded=embedded) as (service, settings):
        for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP):
            service.signal(number)
        settings.close()
        service.wait_until_ready()
        wait_for(lambda: service.logged("reloaded") or None, "files that were read again")
        assert service.stop() == 0
        assert service.logged("role_ended") == []


@pytest.mark.parametrize("embedded", [True, False], ids=["embedded", "apart"])
def test_it_ends_with_a_terminal_that_is_closed_while_it_starts(
    tmp_path: Path, embedded: bool
) -> None:
    terminal = Terminal()
    with waiting_for_settings(tmp_path, embedded=embedded, terminal=terminal) as (
        service,
        settings,
    ):
        terminal.close()
        settings.close()
        assert service.wait() == 0


def test_a_role_that_dies_is_started_again(tmp_path: Path) -> None:
    with Service(tmp_path, embedded=False) as service:
        for number, role in enumerate(EVERYBODY):
            before = pids_of(service)
            os.kill(before[role], signal.SIGKILL)

            def again(role: str = role, before: int = before[role]) -> int | None:
                pid = service.pid_of(role)
                return pid if pid != before else None

            wait_for(again, f"another {role}")
            lines = wait_for(
                lambda: found if len(found := service.logged("role_ended")) > number else None,  # noqa: B023
                "a line in the log",
            )
            assert len(lines) == number + 1
            assert (lines[-1]["role"], lines[-1]["status"]) == (role, -signal.SIGKILL)
            others = {name: pid for name, pid in before.items() if name != role}
            assert {name: service.pid_of(name) for name in others} == others


@pytest.mark.parametrize("role", ["redirect", pytest.param("publisher", marks=pytest.mark.long)])
def test_a_role_that_hangs_is_not_ready_until_it_goes_on(tmp_path: Path, role: str) -> None:
    with Service(tmp_path, embedded=False) as service:
        pid = service.pid_of(role)
        assert pid is not None
        paths = ("/readyz", "/readyz/redirect") if role == "redirect" else ("/readyz",)

        def answer(status: int) -> bool | None:
            return all(ask(service, path)[0] == status for path in paths) or None

        os.kill(pid, signal.SIGSTOP)
        try:
            wait_for(lambda: answer(503), "a service that is not ready", 90.0)
            assert role in json.loads(ask(service, "/readyz")[1])["why"]
            assert [line["what"] for line in service.logged("not ready")] == [role]
        finally:
            os.kill(pid, signal.SIGCONT)
        wait_for(lambda: answer(200), "a ready service", 90.0)


def test_a_role_that_dies_again_and_again_is_started_less_and_less_often(tmp_path: Path) -> None:
    with Service(tmp_path, embedded=False) as service:
        last = None
        for _ in range(3):
            pid = wait_for(
                lambda: found if (found := service.pid_of("smtp")) != last else None,  # noqa: B023
                "another smtp",
            )
            os.kill(pid, signal.SIGKILL)
            last = pid
        lines = wait_for(
            lambda: found if len(found := service.logged("role_ended")) == 3 else None,
            "three lines in the log",
        )
        assert [line["restart_in"] for line in lines] == [0.2, 0.4, 0.8]


def test_what_cannot_start_stops_the_others_and_says_why(tmp_path: Path) -> None:
    service = Service(tmp_path, embedded=False)
    for what, port in (("redirect", service.http), ("metrics", service.monitor)):
        blocker = f"import socket, sys; s = socket.create_server(('127.0.0.1', {port})); input()"
        with subprocess.Popen([sys.executable, "-c", blocker], stdin=subprocess.PIPE) as other:
            wait_for(lambda: is_taken(port) or None, "a taken port")  # noqa: B023
            with pytest.raises(AssertionError, match="did not start"):
                service.start()
            assert service.wait() == 1
            other.communicate(b"\n", timeout=PATIENCE)
        said = service.log.read_text()
        assert f"127.0.0.1:{port}" in said or what in said
        assert "Traceback" not in said
        service.log.unlink()


def is_taken(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_role_that_does_not_stop_is_killed(tmp_path: Path) -> None:
    script = f"""
import signal, time
from clicktrail.service import supervisor
supervisor.STOP_SECONDS = 0.5
def work(role, ties):
    if role == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    ties.tell_ready([role])
    time.sleep({3 * PATIENCE})
    return 0
print(supervisor.Supervisor(["stubborn"], work).run(lambda lines, _: print(*lines, flush=True)))
"""
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "stubborn\n"
        process.send_signal(signal.SIGTERM)
        rest, _ = process.communicate(timeout=PATIENCE)
    assert rest.endswith("\n0\n")
    assert "role_killed" in rest  # the log


def test_the_monitor_hears_of_each_fault_until_it_is_mended_or_its_role_has_died(
    tmp_path: Path,
) -> None:
    orders = tmp_path / "orders"
    script = f"""
import asyncio, json, os, pathlib, signal
from clicktrail.service import supervisor
from clicktrail.base.faults import Faults
from clicktrail.service.signals import on_signals
orders = pathlib.Path({str(orders)!r})
async def work(role, ties):
    loop, faults, done = asyncio.get_running_loop(), Faults(), asyncio.Event()
    on_signals(loop, done.set, lambda: None)
    ties.stop_with_supervisor(loop, done.set)
    ties.tell_faults(loop, faults)
    if role == "monitor":
        ties.follow_problems(loop, lambda found: print(json.dumps(found), flush=True))
    ties.tell_ready([role])
    while not done.is_set():
        await asyncio.sleep(0.02)
        order = orders.with_suffix("." + role)
        if role != "monitor" and order.exists():
            text = order.read_text()
            order.unlink()
            for line in text.splitlines():
                getattr(faults, line.split()[0])(*line.split(maxsplit=2)[1:])
    return 0
def run(role, ties):
    return asyncio.run(work(role, ties))
print(os.getpid(), flush=True)
both = supervisor.Supervisor(["one", "two", "monitor"], run)
both.run(lambda *_: print("ready", flush=True))
"""

    def order(role: str, text: str) -> None:
        path = orders.with_suffix(f".{role}")
        path.with_suffix(".new").write_text(text)
        path.with_suffix(".new").replace(path)

    heard = tmp_path / "heard"
    with (
        heard.open("w") as out,
        subprocess.Popen(
            [sys.executable, "-c", script], stdout=out, stderr=subprocess.DEVNULL
        ) as process,
    ):

        def told(want: dict[str, str]) -> None:
            def look() -> bool | None:
                lines = [line for line in heard.read_text().splitlines() if line[:1] == "{"]
                return (bool(lines) and json.loads(lines[-1]) == want) or None

            wait_for(look, f"{want}", 120)

        try:
            wait_for(lambda: "ready" in heard.read_text() or None, "supervisor")
            order("one", "report journal malformed\nreport spool full")
            told({"journal": "malformed", "spool": "full"})
            order("two", "report journal gone")
            told({"journal": "malformed; gone", "spool": "full"})
            order("one", "report journal gone\nmend spool")
            told({"journal": "gone"})
            # More than a pipe takes at once: what fits is told, and the rest of the roles too.
            order("two", "mend journal\n" + "".join(f"report {n} {'x' * 490}\n" for n in range(9)))
            told({"journal": "gone"} | {str(n): "x" * 490 for n in range(7)})
            order("two", "".join(f"mend {n}\n" for n in range(9)))
            told({"journal": "gone"})
        finally:
            process.terminate()
