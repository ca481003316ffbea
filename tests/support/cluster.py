"""Clicktrail on several nodes, each a process with a data folder of its own, with PostgreSQL and
NATS as real servers; and a network between them that can be parted."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Self

import psycopg

from support.crowd import Crowd, check_books
from support.postgres import Postgres
from support.proxy import Proxy
from support.service import Service, wait_for
from support.stream_servers import NatsCluster

STREAM = "clicktrail"
PATIENCE = 120.0
"""What a lost publisher has read comes to another after half a minute."""


class Cluster:
    """One node for emails, two redirects, two publishers; a journal with three replicas.

    ``roles`` are more roles of the first. The second redirect and the second publisher reach the
    broker by a `Network` of their own.
    """

    def __init__(self, folder: Path, *roles: str) -> None:
        self._folder = folder
        self._roles = ("smtp", "api", *roles)
        self._ends = ExitStack()
        self.postgres = Postgres(durable=True)
        # Else the servers would tell everybody of the ways around the network that is parted.
        self.nats = NatsCluster(folder / "nats", "--no_advertise")
        self.networks = {name: Network() for name in ("redirect-2", "publisher-2")}
        self.nodes: dict[str, Service] = {}

    def __enter__(self) -> Self:
        with ExitStack() as ends:
            ends.enter_context(self.postgres)
            ends.enter_context(self.nats)
            self.url = self.postgres.url(self.postgres.fresh())
            self._start("front", *self._roles, ends=ends)
            for role in ("redirect", "publisher"):
                for number in (1, 2):
                    self._start(f"{role}-{number}", role, ends=ends)
            self._ends = ends.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.close()

    @property
    def front(self) -> Service:
        """The node that takes emails, and on which commands are run."""
        return self.nodes["front"]

    def crowd(self, configuration_set: str, rate: float, *, leave: bool = False) -> Crowd:
        """Return people who click through both redirects: where one fails, by the other."""
        ports = [self.nodes[f"redirect-{number}"].http for number in (1, 2)]
        return Crowd(self.front, configuration_set, rate=rate, ports=ports, leave=leave)

    def check_books(self, configuration_set: str, crowd: Crowd) -> None:
        """See that each redirected click is counted once and notified, by all nodes together."""
        wait_for(lambda: not self._left() or None, "empty stream and spools", PATIENCE)
        check_books(self.front, configuration_set, crowd, left_in_journal=lambda: 0)
        with closing(psycopg.connect(self.url)) as store:
            marks = store.execute(
                "SELECT count(*), count(DISTINCT user_agent) FROM clicks WHERE user_agent LIKE %s",
                (f"{crowd.name}-%",),
            ).fetchone()
        assert marks is not None
        assert marks[0] == marks[1] >= len(crowd.redirected), "rows of the store"

    def _left(self) -> int:
        spools = [f for n in self.nodes.values() for f in (n.data / "spool").glob("*.spool")]
        return len(spools) + self.nats.servers[0].left(STREAM)

    def _start(self, name: str, *roles: str, ends: ExitStack) -> None:
        ports = [server.port for server in self.nats.servers]
        if name in self.networks:
            ports = ends.enter_context(self.networks[name]).to(ports)
        journal = ",".join(f"127.0.0.1:{port}" for port in ports)
        node = Service(
            self._folder / name,
            *(flag for role in roles for flag in ("--role", role)),
            *("--journal-url", f"nats://{journal}", "--journal-replicas", "3"),
            environment={"CLICKTRAIL_STORE_URL": self.url},
        )
        if self.nodes:
            node.data.mkdir(parents=True)
            for secret in ("keys.json", "vault-key"):
                shutil.copy(self.front.data / secret, node.data)
        ends.enter_context(node)
        self.nodes[name] = node


class Network(Proxy):
    """The way to some servers. When it is parted, all that is sent is lost, and nobody is told.

    Connections from before stay silent for ever, as when a firewall has forgotten them.
    """

    def __init__(self) -> None:
        super().__init__()
        self._is_parted = False
        self.swallowed = 0
        """Bytes that were lost."""

    def to(self, ports: Sequence[int]) -> list[int]:
        """Listen for each of the servers; return the ports."""
        return [self.listen(lambda port=port: [port]) for port in ports]  # type: ignore[misc]

    @contextmanager
    def parted(self) -> Iterator[None]:
        """Lose all that is sent, in both directions."""
        self.generation += 1
        self._is_parted = True
        try:
            yield
        finally:
            # Those that were made meanwhile are lost too.
            self.generation += 1
            self._is_parted = False

    def is_lost(self, born: int, data: bytes) -> bool:
        lost = self._is_parted or born != self.generation
        self.swallowed += len(data) if lost else 0
        return lost
