"""Connections that are held open by a process of their own."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support import idle_clients


@contextmanager
def holding(port: int, count: int, kind: str, address: int = 2) -> Iterator[None]:
    """Hold so many connections open, from 127.0.0.ADDRESS: see `idle_clients`."""
    script = Path(idle_clients.__file__)
    command = [sys.executable, str(script), str(port), str(count), f"127.0.0.{address}", kind]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"%d\n" % count
        yield
