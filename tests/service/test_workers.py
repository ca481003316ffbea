"""Several processes of a role on one port."""

import os
import signal
import socket
from contextlib import ExitStack
from pathlib import Path

import pytest

from service.test_monitor import ask, measured
from support.crowd import Crowd, check_books
from support.service import Service, email_with, wait_for

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="NOT TESTED: it needs Linux (/proc)"
)
TWO = [
    word for role in ("redirect", "smtp", "api", "milter") for word in (f"--{role}-workers", "2")
]


def sockets_of(pid: int) -> int:
    links = (str(each.readlink()) for each in Path(f"/proc/{pid}/fd").iterdir())
    return sum(link.startswith("socket:") for link in links)


def test_all_of_them_answer_and_what_they_count_is_added_up(tmp_path: Path) -> None:
    with Service(tmp_path, *TWO, embedded=False) as service:
        name = service.configuration_set()
        pids = {}
        for role in ("redirect", "smtp", "api", "milter"):
            both = [service.pid_of(role), service.pid_of(f"{role}:2")]
            assert None not in both
            pids[role] = [pid for pid in both if pid is not None]
        for role, port in (
            ("redirect", service.http),
            ("smtp", service.smtp),
            ("api", service.api),
            ("milter", service.milter),
        ):
            before = [sockets_of(pid) for pid in pids[role]]
            with ExitStack() as stack:
                for _ in range(64):  # the kernel deals them out by their ports
                    stack.enter_context(socket.create_connection(("127.0.0.1", port)))

                def all_have_some(pids: list[int] = pids[role], before: list[int] = before) -> bool:
                    now = [sockets_of(pid) for pid in pids]
                    return all(a > b for a, b in zip(now, before, strict=True))

                wait_for(lambda: all_have_some() or None, f"clients of each worker of {role}")
        for _ in range(20):
            service.send(email_with('<a href="http://a.example/">x</a>', name))
        with Crowd(service, name, people=16, rate=100) as crowd:
            crowd.wait_for(200)
        check_books(service, name, crowd)
        found = measured(service)
        assert found["clicktrail_emails_total{outcome=tracked}"] == 21  # the crowd's own
        assert found["clicktrail_clicks_total"] >= len(crowd.redirected)
        assert service.said.count("redirect ") == 1


def test_one_that_is_killed_is_started_again_and_no_click_is_lost(tmp_path: Path) -> None:
    with Service(tmp_path, "--redirect-workers", "2", embedded=False) as service:
        name = service.configuration_set()
        with Crowd(service, name, people=16, rate=200) as crowd:
            for worker in ("redirect:2", "redirect"):
                crowd.wait_for(100)
                pid = service.pid_of(worker)
                assert pid is not None
                os.kill(pid, signal.SIGKILL)

                def is_back(worker: str = worker, old: int = pid) -> bool | None:
                    return service.pid_of(worker) not in (None, old) or None

                wait_for(is_back, f"{worker} that is back")
                wait_for(lambda: ask(service, "/readyz/redirect")[0] == 200 or None, "readiness")
            crowd.wait_for(100)
        check_books(service, name, crowd)


def test_several_need_a_port_that_is_named(tmp_path: Path) -> None:
    service = Service(tmp_path, "--smtp-workers", "2", "--smtp-tls-listen", "", embedded=False)
    service.smtp = 0
    with pytest.raises(AssertionError, match=r"smtp\.workers is 2, so smtp\.listen needs a port"):
        service.start()
    service.stop()
