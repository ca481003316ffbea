"""NATS JetStream: ``arn:clicktrail:nats:::SERVERS/SUBJECT``.

An event is a message on the subject, its ``Nats-Msg-Id`` the ``eventId``: within its window of
duplicates the stream drops a repeat. It counts as sent when the stream has acknowledged it.
"""

# ruff: noqa: PLC0415 - nats-py is loaded only where such a destination is in use

import asyncio
import math
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clicktrail.base.arn import Arn, Kind
from clicktrail.base.complaints.certificates import load_pair
from clicktrail.base.redact import name_and_reason, reason_of
from clicktrail.base.tasks import hang_up
from clicktrail.errors import ClicktrailError, DeliveryFailed
from clicktrail.publish.destinations import Event, need
from clicktrail.publish.destinations.servers import Servers

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.js import JetStreamContext

BATCH = 500
PORT = 4222
_CLOSE_SECONDS = 0.5
_HEAD = len("NATS/1.0\r\nNats-Msg-Id: \r\n\r\n")
"""Servers count headers too (NATS protocol, ``HPUB``). nats-py 2.16.0 counts the payload alone: a
larger message has the server close the connection, and all messages under way with it."""
_REPORT = 0.8
"""Part of the timeout that an acknowledgement is waited for, so that the error comes in time."""


@dataclass(frozen=True, slots=True)
class NatsSettings:
    """How servers are called.

    ``servers`` may be named in ARNs. ``tls_first`` begins with the TLS handshake; else TLS is used
    where the server asks for it. ``timeout`` is in seconds.
    """

    servers: Sequence[str]
    username: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    credentials_file: Path | None = None
    tls_first: bool = False
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    timeout: float = 10.0


class NatsDestination:
    """Publishes events to streams, over one connection for each group of servers."""

    batch = BATCH

    def __init__(self, settings: NatsSettings) -> None:
        self._settings = settings
        self._servers = Servers("nats.servers", settings.servers, PORT)
        self._connections: dict[tuple[str, ...], _Connection] = {}

    async def send_many(self, arn: Arn, events: Sequence[Event]) -> list[DeliveryFailed | None]:
        """See `BatchDestination.send_many`."""
        need(Kind.NATS)
        servers = self._servers.of(arn)
        connection = self._connections.get(servers)
        if connection is None:
            connection = self._connections[servers] = _Connection(servers, self._settings)
        return await connection.send(arn.name, events)

    async def close(self) -> None:
        """See `BatchDestination.close`."""
        for connection in self._connections.values():
            await connection.close()


class _Connection:
    """A connection that is made again when it is needed and was lost."""

    def __init__(self, servers: Sequence[str], settings: NatsSettings) -> None:
        self._servers = [f"nats://{server}" for server in servers]
        self._settings = settings
        self._timeout = settings.timeout * _REPORT
        self._client: Client | None = None
        self._connecting = asyncio.Lock()
        self._lost = asyncio.Event()
        self._trouble = ""

    async def send(self, subject: str, events: Sequence[Event]) -> list[DeliveryFailed | None]:
        """Publish events and wait until the stream has them."""
        async with self._connecting:
            client, lost = await self._connected()
        stream = client.jetstream(timeout=self._timeout)
        most = client.max_payload
        publishing = asyncio.gather(
            *(self._publish(stream, subject, event, most) for event in events)
        )
        losing = asyncio.ensure_future(lost.wait())
        try:
            await asyncio.wait((publishing, losing), return_when=asyncio.FIRST_COMPLETED)
            if not publishing.done():
                raise DeliveryFailed(f"the connection was lost{self._why()}")
            return publishing.result()
        finally:
            losing.cancel()
            publishing.cancel()
            await asyncio.gather(publishing, losing, return_exceptions=True)

    async def close(self) -> None:
        """Let go of the connection."""
        if self._client is not None:
            await hang_up(self._client, _CLOSE_SECONDS)

    async def _connected(self) -> "tuple[Client, asyncio.Event]":
        from nats.aio.client import Client

        if self._client is not None and self._client.is_connected:
            return self._client, self._lost
        await self.close()
        self._client, self._lost, self._trouble = None, asyncio.Event(), ""
        client, lost = Client(), self._lost

        async def on_close() -> None:
            lost.set()

        try:
            async with asyncio.timeout(self._timeout):
                await client.connect(
                    self._servers,
                    name="clicktrail",
                    allow_reconnect=False,  # the next batch connects again, to the servers listed
                    max_reconnect_attempts=1,  # 0 would be: for ever
                    reconnect_time_wait=0,
                    connect_timeout=math.ceil(self._timeout),
                    error_cb=self._on_error,
                    closed_cb=on_close,
                    disconnected_cb=on_close,
                    **self._options(),
                )
        except BaseException as error:
            await hang_up(client, _CLOSE_SECONDS)
            if isinstance(error, TimeoutError):
                late = f"no connection within {self._timeout:g} seconds{self._why()}"
                raise DeliveryFailed(late) from None
            if isinstance(error, Exception):  # whatever sockets, TLS and the library raise
                why = self._trouble or _text(error)
                if why.startswith(ConnectionResetError.__name__):  # it may overtake the reason
                    why += "; are the credentials right?"
                raise DeliveryFailed(f"cannot connect: {why}") from None
            raise
        self._client = client
        return client, lost

    async def _publish(
        self, stream: "JetStreamContext", subject: str, event: Event, most: int
    ) -> DeliveryFailed | None:
        from nats.errors import Error
        from nats.errors import TimeoutError as Late
        from nats.js.errors import NoStreamResponseError

        size = _HEAD + len(event.id) + len(event.payload)
        if size > most:
            why = (
                f"an event of {size} bytes with its header is larger than the server takes ({most})"
            )
            return DeliveryFailed(why, permanent=True)
        try:
            await stream.publish(subject, event.payload, headers={"Nats-Msg-Id": event.id})
        except NoStreamResponseError:
            return DeliveryFailed(f"no JetStream stream takes the subject {subject}")
        except Late:
            return DeliveryFailed(f"no acknowledgement within {self._timeout:g} seconds")
        except Error as error:
            return DeliveryFailed(f"{_text(error)}{self._why()}")
        return None

    def _options(self) -> dict[str, Any]:
        """Return credentials and TLS as the library takes them."""
        given = self._settings
        options: dict[str, Any] = {"tls_handshake_first": given.tls_first}
        if given.credentials_file:
            options["user_credentials"] = str(given.credentials_file)
        if given.token:
            options["token"] = given.token
        if given.username:
            options |= {"user": given.username, "password": given.password}
        tls = ssl.create_default_context(cafile=str(given.ca) if given.ca else None)
        if given.certificate:
            load_pair(tls, given.certificate, given.key or given.certificate)
        options["tls"] = tls
        return options

    async def _on_error(self, error: Exception) -> None:
        self._trouble = _text(error)

    def _why(self) -> str:
        return f" ({self._trouble})" if self._trouble else ""


def _text(error: Exception) -> str:
    return reason_of(error) if isinstance(error, ClicktrailError) else name_and_reason(error)
