"""The operator's port: ``/healthz``, ``/readyz`` and ``/metrics``."""

import asyncio
import os
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

import msgspec
import structlog
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from clicktrail.errors import ClicktrailError
from clicktrail.ids import now_us
from clicktrail.kinds import Address
from clicktrail.redirect.http import Exchange
from clicktrail.redirect.server import Listener, RedirectServer
from clicktrail.store import Store

log = structlog.get_logger(__name__)

CHECK_SECONDS = 5.0
"""How long the store may take to answer before it counts as unusable."""

Problems = Mapping[str, str]
"""What is not ready, and why."""


def counted_in(folder: str) -> CollectorRegistry:
    """Return what other processes count into files of a folder, added up."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=folder)  # type: ignore[no-untyped-call]
    return registry


class Monitor:
    """Serves the operator's port.

    ``registry`` holds what the hot paths count; what waits is looked up when somebody asks.
    ``problems`` tells what of the service is not ready; the store and the journal are tried here.
    ``store`` is `None` on a node that needs none.
    """

    def __init__(
        self,
        address: Address,
        registry: CollectorRegistry,
        store: Store | None,
        folder: Path,
        problems: Callable[[], Problems],
    ) -> None:
        self._registry = registry
        self._store = store
        self._folder = folder
        self._problems = problems
        self._tasks: set[asyncio.Task[None]] = set()
        self._server = RedirectServer(self, [Listener(address)])

    @property
    def address(self) -> Address:
        """Where it listens, after `start`."""
        return self._server.addresses[0]

    async def start(self) -> None:
        """Listen. Raises `OSError`."""
        await self._server.start()

    async def stop(self) -> None:
        """Answer the requests that are here, and end."""
        await self._server.stop()

    def handle(self, exchange: Exchange) -> None:
        """Answer a request."""
        path = exchange.target.partition(b"?")[0]
        if exchange.method not in (b"GET", b"HEAD"):
            _answer(exchange, "405 Method Not Allowed", b"", "text/plain")
        elif path == b"/healthz":
            _json(exchange, "200 OK", {"status": "ok"})
        elif path == b"/readyz":
            self._spawn(exchange, self._ready(exchange))
        elif path == b"/metrics":
            self._spawn(exchange, self._metrics(exchange))
        else:
            _json(exchange, "404 Not Found", {"message": "see /healthz, /readyz, /metrics"})

    async def drain(self) -> None:
        """Return when all requests so far are answered."""
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _spawn(self, exchange: Exchange, answering: Coroutine[Any, Any, None]) -> None:
        async def answer() -> None:
            try:
                await answering
            except Exception:
                log.exception("the monitor failed", path=exchange.target.decode("latin-1"))
                _json(exchange, "500 Internal Server Error", {"message": "see the log"})

        task = asyncio.create_task(answer())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _ready(self, exchange: Exchange) -> None:
        problems = dict(self._problems())
        if self._store is not None:
            try:
                async with asyncio.timeout(CHECK_SECONDS):
                    await self._store.configuration.current()
            except (ClicktrailError, TimeoutError) as error:
                problems["store"] = str(error) or "it does not answer"
        journal = self._folder / "journal.db"
        if journal.exists() and not os.access(journal, os.W_OK):
            problems["journal"] = f"{journal} cannot be written"
        if problems:
            _json(exchange, "503 Service Unavailable", {"status": "not ready", "why": problems})
        else:
            _json(exchange, "200 OK", {"status": "ready"})

    async def _metrics(self, exchange: Exchange) -> None:
        text = generate_latest(self._registry) + generate_latest(await self._looked_up())
        _answer(exchange, "200 OK", text, CONTENT_TYPE_LATEST)

    async def _looked_up(self) -> CollectorRegistry:
        """Return what waits, as it is now."""
        registry = CollectorRegistry()

        def gauge(name: str, help_: str, *labels: str) -> Gauge:
            return Gauge(f"clicktrail_{name}", help_, labels, registry=registry)

        files = await asyncio.to_thread(_sizes, self._folder / "spool")
        gauge("spool_bytes", "Size of the spool: clicks on their way to the journal.").set(
            sum(files)
        )
        gauge("spool_files", "Files of the spool.").set(len(files))
        if self._store is None:
            return registry
        reachable = gauge("store_up", "Whether the store answers.")
        where = ("configuration_set", "destination")
        waiting = gauge("outbox_waiting", "Notifications that wait for a destination.", *where)
        oldest = gauge("outbox_oldest_seconds", "Age of the oldest that waits.", *where)
        dead = gauge("dead_letters", "Notifications that were given up.", *where)
        try:
            found = await self._store.outbox.waiting()
        except ClicktrailError:
            return registry  # store_up says it
        reachable.set(1)
        for each in found:
            key = (each.configuration_set, each.destination)
            age = now_us() - each.oldest_at if each.oldest_at is not None else 0
            waiting.labels(*key).set(each.count)
            oldest.labels(*key).set(max(age, 0) / 1e6)
            dead.labels(*key).set(each.dead)
        return registry


def _sizes(folder: Path) -> list[int]:
    sizes = []
    for path in folder.glob("*"):
        try:
            sizes.append(path.stat().st_size)
        except OSError:
            continue  # it was drained meanwhile
    return sizes


def _json(exchange: Exchange, status: str, value: object) -> None:
    _answer(exchange, status, msgspec.json.encode(value), "application/json")


def _answer(exchange: Exchange, status: str, body: bytes, kind: str) -> None:
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
        "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
    )
    exchange.answer(head.encode("ascii"), b"" if exchange.method == b"HEAD" else body)
