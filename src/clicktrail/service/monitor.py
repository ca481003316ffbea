"""The operator's port: ``/healthz``, ``/readyz``, ``/readyz/redirect`` and ``/metrics``."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from clicktrail.base.ids import now_us
from clicktrail.base.logs import get_logger
from clicktrail.errors import ClicktrailError
from clicktrail.redirect.exchange import Exchange
from clicktrail.redirect.server import Listener, RedirectServer
from clicktrail.settings.kinds import Address

if TYPE_CHECKING:  # a node that only redirects has none
    from clicktrail.store import Store
    from clicktrail.store.certificates import State

log = get_logger(__name__)

CHECK_SECONDS = 5.0
"""How long the store may take to answer before it counts as unusable."""

MOST_CONNECTIONS = 200
"""To the port, at once."""

KEYS_OF_NODES = "keys of nodes"
"""The problem that links fail between this node and another: see `clicktrail.service.rollcall`."""

Problems = Mapping[str, str]
"""What is not ready, and why."""


def counted_in(folder: str) -> CollectorRegistry:
    """Return what other processes count into files of a folder, added up."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=folder)  # type: ignore[no-untyped-call]
    return registry


class _LookedUp(Collector):
    """Values of this moment, that is families and no `Gauge`.

    A `Gauge` is something that is counted: under a supervisor it would go to the files of
    `counted_in`, and be there once more with the next answer.
    """

    def __init__(self) -> None:
        self._families: list[GaugeMetricFamily] = []

    def gauge(self, name: str, help_: str, labels: Sequence[str] = ()) -> GaugeMetricFamily:
        """Begin a family, which has no value yet."""
        family = GaugeMetricFamily(f"clicktrail_{name}", help_, labels=labels)
        self._families.append(family)
        return family

    def collect(self) -> Iterable[Metric]:
        return self._families


class Monitor:
    """Serves the operator's port.

    ``registry`` holds what the hot paths count; what waits is looked up when somebody asks.
    ``problems`` tells what of the service is not ready: the roles try what they need. The store is
    tried here too.
    ``store`` is `None` on a node that needs none, and until it can be opened.
    ``certificates`` looks up in it those that are ordered here.
    """

    def __init__(
        self,
        address: Address,
        registry: CollectorRegistry,
        store: "Store | None",
        folder: Path,
        problems: Callable[[], Problems],
        certificates: Callable[["Store"], Awaitable[Sequence["State"]]],
    ) -> None:
        self._certificates = certificates
        self._registry = registry
        self.store = store
        self._folder = folder
        self._problems = problems
        self._tasks: set[asyncio.Task[None]] = set()
        self._server = RedirectServer(self, [Listener(address)], limit=MOST_CONNECTIONS)

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
            self._spawn(exchange, self._everything_ready(exchange))
        elif path == b"/readyz/redirect":
            _ready(exchange, _without_what_clicks_survive(self._problems()))
        elif path == b"/metrics":
            self._spawn(exchange, self._metrics(exchange))
        else:
            _json(
                exchange,
                "404 Not Found",
                {"message": "see /healthz, /readyz, /readyz/redirect, /metrics"},
            )

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

    async def _everything_ready(self, exchange: Exchange) -> None:
        problems = dict(self._problems())
        if self.store is not None:
            try:
                async with asyncio.timeout(CHECK_SECONDS):
                    await self.store.configuration.current()
            except (ClicktrailError, TimeoutError) as error:
                problems["store"] = str(error) or "it does not answer"
        _ready(exchange, problems)

    async def _metrics(self, exchange: Exchange) -> None:
        text = generate_latest(self._registry) + generate_latest(await self._looked_up())
        _answer(exchange, "200 OK", text, CONTENT_TYPE_LATEST)

    async def _looked_up(self) -> Collector:
        """Return what waits, as it is now."""
        found = _LookedUp()
        files = await asyncio.to_thread(_sizes, self._folder / "spool")
        size = found.gauge("spool_bytes", "Size of the spool: clicks on their way to the journal.")
        size.add_metric((), sum(files))
        found.gauge("spool_files", "Files of the spool.").add_metric((), len(files))
        if self.store is None:
            return found
        reachable = found.gauge("store_up", "Whether the store answers.")
        where = ("configuration_set", "destination")
        waiting = found.gauge("outbox_waiting", "Notifications that wait for a destination.", where)
        oldest = found.gauge("outbox_oldest_seconds", "Age of the oldest that waits.", where)
        dead = found.gauge("dead_letters", "Notifications that were given up.", where)
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                rows = await self.store.outbox.waiting()
                _tell_certificates(found, await self._certificates(self.store))
        except (ClicktrailError, TimeoutError):
            reachable.add_metric((), 0)
            return found
        reachable.add_metric((), 1)
        for each in rows:
            key = (each.configuration_set, each.destination)
            age = now_us() - each.oldest_at if each.oldest_at is not None else 0
            waiting.add_metric(key, each.count)
            oldest.add_metric(key, max(age, 0) / 1e6)
            dead.add_metric(key, each.dead)
        return found


def _tell_certificates(found: _LookedUp, states: Sequence["State"]) -> None:
    now = now_us()
    healths = Counter(str(each.health(now)) for each in states)
    count = found.gauge("certificates", "Certificates of tracking domains.", ("state",))
    for health in ("valid", "expiring", "expired", "missing"):
        count.add_metric((health,), healths[health])
    first = min((each.expires_at for each in states if each.expires_at), default=None)
    if first is not None:
        name = "certificates_first_expiry_timestamp_seconds"
        found.gauge(name, "When the first of them expires.").add_metric((), first / 1e6)


def _without_what_clicks_survive(problems: Problems) -> Problems:
    """Return the problems for which a click may not be answered, or not be kept.

    Without the journal clicks go to the spool, and without the spool to the journal: a node that
    has one of them is not to be taken out of rotation. Neither is one whose keys.json ("keys") was
    damaged or lost: it opens links with the keys that it has read, and without them no redirect
    starts.
    """
    needed = {"service", "redirect", KEYS_OF_NODES}
    if "journal" in problems and "spool" in problems:
        needed |= {"journal", "spool"}
    # Of several workers ("redirect:2") each has its part of the clicks.
    return {what: why for what, why in problems.items() if what.partition(":")[0] in needed}


def _ready(exchange: Exchange, problems: Problems) -> None:
    if problems:
        _json(exchange, "503 Service Unavailable", {"status": "not ready", "why": problems})
    else:
        _json(exchange, "200 OK", {"status": "ready"})


def _sizes(folder: Path) -> list[int]:
    sizes = []
    for path in folder.glob("[!.]*"):
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
