"""Roles that are killed, each a process of its own: the others go on, and it comes back."""

import os
import random
import signal
from collections.abc import Iterable
from pathlib import Path

import pytest

from clicktrail.service.service import ROLES
from support.crowd import Crowd, check_books
from support.service import Service, wait_for


def kill_roles(folder: Path, rounds: Iterable[list[str]]) -> None:
    """Kill some roles at once, round by round, each time after some clicks."""
    if not Path("/proc/self/stat").exists():
        pytest.skip("NOT TESTED: killing single roles; it needs Linux (/proc)")
    with Service(folder, embedded=False) as service:
        name = service.configuration_set()
        with Crowd(service, name) as crowd:
            for roles in rounds:
                crowd.wait_for(20)
                killed = {role: wait_for_role(service, role) for role in roles}
                for pid in killed.values():
                    os.kill(pid, signal.SIGKILL)
                for role, pid in killed.items():
                    wait_for_role(service, role, after=pid)
            crowd.wait_for(20)
        check_books(service, name, crowd)


def wait_for_role(service: Service, role: str, after: int | None = None) -> int:
    """Return the number of a role's process, when it has one, and not the one before."""

    def look() -> int | None:
        pid = service.pid_of(role)
        return pid if pid != after else None

    return wait_for(look, f"process of the role {role}")


def test_a_redirect_and_a_publisher_that_are_killed_come_back(tmp_path: Path) -> None:
    kill_roles(tmp_path, [["redirect", "publisher"]])


@pytest.mark.long
def test_roles_killed_many_times_lose_and_invent_nothing(tmp_path: Path) -> None:
    chance = random.Random(5)
    kill_roles(tmp_path, (chance.sample(ROLES, chance.randint(1, 4)) for _ in range(8)))
