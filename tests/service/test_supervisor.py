"""The process that runs the roles: what it does when they, or it, come to an end."""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from clicktrail.wiring import ROLES
from support.service import Service, wait_for

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


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["sigterm", "ctrl-c"])
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


@pytest.mark.parametrize("role", EVERYBODY)
def test_a_role_that_dies_is_started_again(tmp_path: Path, role: str) -> None:
    with Service(tmp_path, embedded=False) as service:
        before = pids_of(service)
        os.kill(before[role], signal.SIGKILL)

        def again() -> int | None:
            pid = service.pid_of(role)
            return pid if pid != before[role] else None

        wait_for(again, f"another {role}")
        (line,) = wait_for(lambda: service.logged("role_ended") or None, "a line in the log")
        assert (line["role"], line["status"]) == (role, -signal.SIGKILL)
        others = {name: pid for name, pid in before.items() if name != role}
        assert {name: service.pid_of(name) for name in others} == others


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
            other.communicate(b"\n", timeout=10)
        said = service.log.read_text()
        assert f"127.0.0.1:{port}" in said or what in said
        assert "Traceback" not in said
        service.log.unlink()


def is_taken(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_role_that_does_not_stop_is_killed(tmp_path: Path) -> None:
    script = """
import signal, time
from clicktrail import supervisor
supervisor.STOP_SECONDS = 0.5
def work(role, ties):
    if role == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    ties.tell_ready([role])
    time.sleep(60)
    return 0
print(supervisor.Supervisor(["stubborn"], work).run(lambda lines: print(*lines, flush=True)))
"""
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "stubborn\n"
        started = time.monotonic()
        process.send_signal(signal.SIGTERM)
        rest, _ = process.communicate(timeout=30)
    assert rest.endswith("\n0\n")
    assert "role_killed" in rest  # the log
    assert time.monotonic() - started < 30
