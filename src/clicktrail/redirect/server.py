"""The redirect's HTTP server: any number of listeners in this event loop."""

import asyncio
import contextlib
import resource
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from typing import Protocol

import structlog

from clicktrail.kinds import Address
from clicktrail.redirect.http import Connection, Exchange, Office

log = structlog.get_logger(__name__)

MAX_CONNECTIONS = 20_000
SPARE_FILES = 128
"""Files that the process may open beside connections."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the server waits, in seconds."""

    request: float = 10.0
    """For the head of a request, from its first byte; for the TLS handshake."""
    idle: float = 30.0
    """For another request on the same connection."""
    ending: float = 2.0
    """For the client to hang up after its last answer."""
    last_requests: float = 0.25
    """When stopping: for requests that are on their way."""
    stop: float = 5.0
    """When stopping: for the answers."""
    look: float = 1.0
    """How often it looks who has waited too long."""


@dataclass(frozen=True, slots=True)
class Listener:
    """Where to listen: plain http, or https with a certificate chain and its key (PEM files).

    With ``shared``, other processes on this machine may listen there too (``SO_REUSEPORT``).
    """

    address: Address
    certificate: Path | None = None
    key: Path | None = None
    shared: bool = False


class App(Protocol):
    """What answers requests."""

    def handle(self, exchange: Exchange) -> None:
        """Answer a request, now or later."""

    async def drain(self) -> None:
        """Return when all requests so far are dealt with."""


class _Certificate:
    """A certificate chain and its key; loaded again when its file has changed."""

    def __init__(self, chain: Path, key: Path | None) -> None:
        """Load them. Raises `OSError` or `ssl.SSLError`."""
        self._chain, self._key = chain, key
        self._seen = chain.stat().st_mtime_ns
        self._failure = ""
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.context.set_alpn_protocols(["http/1.1"])
        self.context.load_cert_chain(chain, key)

    def renew(self) -> None:
        """Take a new certificate for the handshakes to come."""
        try:
            changed = self._chain.stat().st_mtime_ns
            if changed == self._seen:
                return
            # On trial first: a chain without its key, which may still be on its way, would leave
            # the context with neither.
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self._chain, self._key)
            self.context.load_cert_chain(self._chain, self._key)
        except (OSError, ssl.SSLError) as error:
            if str(error) != self._failure:
                self._failure = str(error)
                log.warning("certificate not renewed", path=str(self._chain), reason=str(error))
        else:
            self._seen = changed
            self._failure = ""
            log.info("certificate renewed", path=str(self._chain))


class RedirectServer:
    """Serves one app on several listeners; ``addresses`` has their real ports after `start`."""

    def __init__(
        self,
        app: App,
        listeners: Sequence[Listener],
        patience: Patience = Patience(),
    ) -> None:
        self._app = app
        self._patience = patience
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        self._office = Office(app.handle, max(16, min(MAX_CONNECTIONS, files - SPARE_FILES)))
        self._listeners = tuple(listeners)
        self._servers: list[asyncio.Server] = []
        self._certificates: list[_Certificate] = []
        self._housekeeper: asyncio.Task[None] | None = None
        self.addresses: tuple[Address, ...] = ()

    async def start(self) -> None:
        """Listen. Raises `OSError` for an address that cannot be used, or `ssl.SSLError`."""
        self._tick()
        self._housekeeper = asyncio.create_task(self._keep_house())
        try:
            self.addresses = tuple([await self._listen(one) for one in self._listeners])
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Take no more connections, answer the requests that are here, and end."""
        office = self._office
        office.closing = True
        await asyncio.sleep(0)  # what the kernel has accepted is taken
        for server in self._servers:
            server.close()
        # A connection in use ends with its next answer; an idle one after a moment, in which a
        # request that is on its way may arrive.
        await self._until_empty(self._patience.last_requests)
        for connection in list(office.connections):
            if not connection.busy:
                connection.close()
        await self._until_empty(self._patience.stop)
        for connection in list(office.connections):
            connection.abort()
        await self._app.drain()  # clicks of people who did not wait for the answer
        for server in self._servers:
            await server.wait_closed()
        self._servers.clear()
        if self._housekeeper is not None:
            self._housekeeper.cancel()
            await asyncio.wait([self._housekeeper])
            self._housekeeper = None

    async def _until_empty(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._office.until_empty()

    async def _listen(self, listener: Listener) -> Address:
        context = None
        if listener.certificate is not None:
            certificate = _Certificate(listener.certificate, listener.key)
            self._certificates.append(certificate)
            context = certificate.context
        server = await asyncio.get_running_loop().create_server(
            self._connection,
            listener.address.host,
            listener.address.port,
            backlog=4096,
            reuse_port=listener.shared or None,
            ssl=context,
            ssl_handshake_timeout=self._patience.request if context else None,
        )
        self._servers.append(server)
        return Address(*server.sockets[0].getsockname()[:2])

    def _connection(self) -> Connection:
        return Connection(self._office)

    async def _keep_house(self) -> None:
        while True:
            await asyncio.sleep(self._patience.look)
            self._tick()
            self._sweep(self._office.now)
            for certificate in self._certificates:
                certificate.renew()

    def _tick(self) -> None:
        self._office.now = asyncio.get_running_loop().time()
        self._office.date = f"Date: {formatdate(usegmt=True)}\r\n".encode()

    def _sweep(self, now: float) -> None:
        """Hang up on clients that are silent, or slow on purpose."""
        for connection in list(self._office.connections):
            if connection.ending:
                limit = self._patience.ending
            elif connection.busy:
                continue
            else:
                limit = self._patience.request if connection.begun else self._patience.idle
            if now - connection.active_at > limit:
                connection.abort()
