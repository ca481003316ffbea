"""Clients that hold connections and say next to nothing: all others are served meanwhile."""

import resource
from contextlib import ExitStack
from pathlib import Path

import pytest

from support.crowd import Crowd, check_books
from support.holding import holding
from support.service import Service

WISHED = 100_000
FOR_ONE_ADDRESS = 12_500
"""Connections from one address: each takes a port, and free ones are soon hard to find."""
SPARE = 64
"""Files that a process needs beside its connections."""


def test_silent_and_slow_clients_keep_nobody_from_clicking(service: Service) -> None:
    name = service.configuration_set()
    with (
        holding(service.http, 800, "silent", 2),
        holding(service.http, 100, "kept", 3),
        holding(service.http, 100, "slow", 4),
        Crowd(service, name, people=16) as crowd,
    ):
        crowd.wait_for(100)
    check_books(service, name, crowd)
    assert crowd.redirected == crowd.tried


@pytest.mark.long
def test_as_many_idle_clients_as_there_can_be_keep_nobody_from_clicking(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    each = min(files - SPARE, FOR_ONE_ADDRESS)
    holders = min(-(-WISHED // each), 10)
    count = min(each * holders, WISHED)
    if count < WISHED:
        with capsys.disabled():
            print(f"\nNOT TESTED: {WISHED} idle clients, but {count}: open files are limited here")
    with Service(tmp_path) as service, ExitStack() as stack:
        name = service.configuration_set()
        with Crowd(service, name, people=16) as crowd:
            for number in range(holders):
                stack.enter_context(holding(service.http, count // holders, "silent", 2 + number))
                crowd.wait_for(20)
        check_books(service, name, crowd)
