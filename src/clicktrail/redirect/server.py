"""The redirect's HTTP server: any number of listeners in this event loop."""

import asyncio
import contextlib
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from typing import Protocol

from clicktrail.base.logs import get_logger
from clicktrail.doors.connections import Connections, Stage, most_connections
from clicktrail.doors.handshake import BACKLOG, Choose, TlsListener
from clicktrail.doors.tls import Certificate, server_context
from clicktrail.redirect.exchange import Exchange, Office
from clicktrail.redirect.http import Connection
from clicktrail.settings.kinds import Address

log = get_logger(__name__)

MAX_CONNECTIONS = 20_000
FOR_ONE = 4
"""The part of all connections, a fourth, that one client may have."""


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
    ``names`` has more certificates, by the name that a client asks for: https with or without one
    of files.
    """

    address: Address
    certificate: Path | None = None
    key: Path | None = None
    shared: bool = False
    names: "Names | None" = None


class Names(Protocol):
    """Certificates by name."""

    def serve(self, context: ssl.SSLContext, *, has_own: bool) -> Choose:
        """Return what chooses the context of each handshake.

        A name without a certificate gets that of ``context``, where it has one: ``has_own``.
        """


class App(Protocol):
    """What answers requests."""

    def handle(self, exchange: Exchange) -> None:
        """Answer a request, now or later."""

    async def drain(self) -> None:
        """Return when all requests so far are dealt with."""


class RedirectServer:
    """Serves one app on several listeners; ``addresses`` has their real ports after `start`.

    ``limit`` is how many connections there may be at once, fewer where few files may be open;
    ``trusts`` tells which addresses are proxies', which stand for many clients: see `Connections`.
    """

    def __init__(
        self,
        app: App,
        listeners: Sequence[Listener],
        patience: Patience = Patience(),
        limit: int = MAX_CONNECTIONS,
        trusts: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self._app = app
        self._patience = patience
        most = most_connections(limit)
        self._office = Office(app.handle, Connections(most, -(-most // FOR_ONE), trusts))
        self._listeners = tuple(listeners)
        self._servers: list[asyncio.Server | TlsListener] = []
        self._certificates: list[Certificate] = []
        self._housekeeper: asyncio.Task[None] | None = None
        self.addresses: tuple[Address, ...] = ()

    async def start(self) -> None:
        """Listen. Raises `OSError` for an address or a certificate that cannot be used."""
        self._tick()
        self._housekeeper = asyncio.create_task(self._keep_house())
        try:
            self.addresses = tuple([await self._listen(one) for one in self._listeners])
        except BaseException:
            await self.stop()
            raise

    def reload(self) -> None:
        """Load the certificates again. Raises `OSError`; then the old ones stay in use."""
        for certificate in self._certificates:
            certificate.reload()

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
        for connection in office.connections:
            if connection.stage is Stage.SILENT:
                connection.close()
        await self._until_empty(self._patience.stop)
        for connection in office.connections:
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
                await self._office.connections.until_empty()

    async def _listen(self, listener: Listener) -> Address:
        if listener.certificate is not None or listener.names is not None:
            context = self._context(listener)
            choose = None
            if listener.names is not None:
                has_own = listener.certificate is not None
                choose = listener.names.serve(context, has_own=has_own)
            secure = TlsListener(
                self._connection,
                self._office.connections,
                context,
                self._patience.request,
                lambda: self._office.now,
                choose,
            )
            address = await secure.start(listener.address, shared=listener.shared)
            self._servers.append(secure)
            return address
        server = await asyncio.get_running_loop().create_server(
            self._connection,
            listener.address.host,
            listener.address.port,
            backlog=BACKLOG,
            reuse_port=listener.shared or None,
        )
        self._servers.append(server)
        return Address(*server.sockets[0].getsockname()[:2])

    def _context(self, listener: Listener) -> ssl.SSLContext:
        if listener.certificate is None:
            context = server_context()
        else:
            certificate = Certificate(listener.certificate, listener.key)
            self._certificates.append(certificate)
            context = certificate.context
        context.set_alpn_protocols(["http/1.1"])
        return context

    def _connection(self) -> Connection:
        return Connection(self._office)

    async def _keep_house(self) -> None:
        while True:
            await asyncio.sleep(self._patience.look)
            try:
                self._tick()
                self._sweep(self._office.now)
                for certificate in self._certificates:
                    certificate.renew()
            except Exception:  # a fault of ours must not leave silent clients here for ever
                log.exception("housekeeping failed")

    def _tick(self) -> None:
        self._office.now = asyncio.get_running_loop().time()
        self._office.date = f"Date: {formatdate(usegmt=True)}\r\n".encode()

    def _sweep(self, now: float) -> None:
        """Hang up on clients that are silent, or slow on purpose."""
        for connection in self._office.connections:
            if connection.ending:
                limit = self._patience.ending
            elif connection.busy:
                continue
            else:
                limit = self._patience.request if connection.begun else self._patience.idle
            if now - connection.active_at > limit:
                connection.abort()
