"""Clicktrail on several nodes, each a process with a data folder of its own, with PostgreSQL and
NATS as real servers; and a network between them that can be parted."""

import asyncio
import shutil
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Self

import psycopg

from support.crowd import Crowd, check_books
from support.postgres import Postgres
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

    def crowd(self, configuration_set: str, rate: float) -> Crowd:
        """Return people who click through both redirects: where one fails, by the other."""
        ports = [self.nodes[f"redirect-{number}"].http for number in (1, 2)]
        return Crowd(self.front, configuration_set, rate=rate, ports=ports)

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
            ports = ends.enter_context(self.networks[name].to(ports))
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


class Network:
    """The way to some servers. When it is parted, all that is sent is lost, and nobody is told.

    Connections from before stay silent for ever, as when a firewall has forgotten them.
    """

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._parted = False
        self._generation = 0
        self._servers: list[asyncio.Server] = []
        self.swallowed = 0
        """Bytes that were lost."""

    @contextmanager
    def to(self, ports: Sequence[int]) -> Iterator[list[int]]:
        """Listen for each of the servers; give the ports."""
        self._thread.start()
        try:
            opening = asyncio.run_coroutine_threadsafe(self._listen(ports), self._loop)
            yield opening.result(10)
        finally:
            asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    @contextmanager
    def parted(self) -> Iterator[None]:
        """Lose all that is sent, in both directions."""
        self._parted = True
        self._generation += 1
        try:
            yield
        finally:
            self._parted = False

    async def _listen(self, ports: Sequence[int]) -> list[int]:
        found = []
        for port in ports:
            server = await asyncio.start_server(self._way(port), "127.0.0.1", 0)
            self._servers.append(server)
            found.append(int(server.sockets[0].getsockname()[1]))
        return found

    def _way(
        self, port: int
    ) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
        async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            born = None if self._parted else self._generation
            ends = [writer]

            async def carry(source: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
                while data := await source.read(1 << 16):
                    if self._generation == born:
                        to.write(data)
                        await to.drain()
                    else:
                        self.swallowed += len(data)
                raise ConnectionError  # one side has ended: so does the other

            try:
                back, out = await asyncio.open_connection("127.0.0.1", port)
                ends.append(out)
                async with asyncio.TaskGroup() as group:
                    group.create_task(carry(reader, out))
                    group.create_task(carry(back, writer))
            except* OSError:
                pass
            finally:
                for each in ends:
                    each.transport.abort()

        return connect

    async def _close(self) -> None:
        for server in self._servers:
            server.close()
        ways = asyncio.all_tasks() - {asyncio.current_task()}
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        await asyncio.sleep(0)  # their transports end with the next round of the loop
