"""A listener for TLS, whose clients are counted before they have shaken hands."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

from clicktrail.doors.connections import Connections, Stage
from clicktrail.doors.forwarded import peer_address
from clicktrail.settings.kinds import Address

BACKLOG = 4096
_AT_ONCE = 128
_PAUSE = 0.1
"""In seconds, before the next try where a client cannot be taken: no file is left for it."""
_RECORD_HEAD, _LONGEST_RECORD = 5, 5 + (1 << 14)
"""Bytes of a TLS record (RFC 8446 § 5.1)."""

Choose = Callable[[bytes], Awaitable[ssl.SSLContext]]
"""Returns what a client is to shake hands with, by the first record that it sent."""


class TlsListener:
    """Takes clients in; each gets a protocol of ``make`` once it has shaken hands.

    asyncio's own listeners show a connection only after that: those that say nothing would be
    counted by nobody, and take the files that all others need. Here they are among ``guests``, by
    the clock ``now``. (TLS begun by the protocol itself is none: uvloop has read by then.)
    ``choose``, where given, is asked for each client instead of ``context``.
    """

    def __init__(
        self,
        make: Callable[[], asyncio.Protocol],
        guests: Connections[Any],
        context: ssl.SSLContext,
        patience: float,
        now: Callable[[], float],
        choose: Choose | None = None,
    ) -> None:
        self._choose = choose
        self._make = make
        self._guests = guests
        self._context = context
        self._patience = patience
        self._now = now
        self._sockets: list[socket.socket] = []
        self._shaking: set[asyncio.Task[None]] = set()

    async def start(self, address: Address, *, shared: bool) -> Address:
        """Listen; return where. Raises `OSError`."""
        found = await asyncio.get_running_loop().getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        try:
            for family, _, _, _, place in dict.fromkeys(found):
                listening = socket.create_server(
                    place[:2], family=family, backlog=BACKLOG, reuse_port=shared
                )
                listening.setblocking(False)
                self._sockets.append(listening)
        except OSError:
            self.close()
            raise
        for listening in self._sockets:
            asyncio.get_running_loop().add_reader(listening, self._accept, listening)
        return Address(*self._sockets[0].getsockname()[:2])

    def close(self) -> None:
        """Take nobody in any more, but those who are connected already."""
        for listening in self._sockets:
            if asyncio.get_running_loop().remove_reader(listening):
                self._accept(listening)
            listening.close()
        self._sockets.clear()

    async def wait_closed(self) -> None:
        """Return when all have shaken hands."""
        if self._shaking:
            await asyncio.wait(self._shaking)

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(_AT_ONCE):
            try:
                client, place = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError:
                loop = asyncio.get_running_loop()
                if loop.remove_reader(listening):
                    loop.call_later(_PAUSE, self._go_on, listening)
                return
            client.setblocking(False)
            handshake = Handshake(peer_address(place[0]), self._now())
            if not self._guests.enter(handshake):
                client.close()
                continue
            handshake.task = asyncio.create_task(self._shake(handshake, client))
            self._shaking.add(handshake.task)
            handshake.task.add_done_callback(self._shaking.discard)

    def _go_on(self, listening: socket.socket) -> None:
        if listening in self._sockets:
            asyncio.get_running_loop().add_reader(listening, self._accept, listening)

    async def _shake(self, handshake: "Handshake", client: socket.socket) -> None:
        handshake.has_begun = True
        try:
            if handshake.sent_away:
                client.close()
                return
            with contextlib.suppress(OSError):  # its own fault: ssl.SSLError is one too
                context = self._context
                if self._choose is not None:
                    context = await self._chosen(client, self._choose)
                await asyncio.get_running_loop().connect_accepted_socket(
                    self._make,
                    client,
                    ssl=context,
                    ssl_handshake_timeout=self._patience,
                )
        except asyncio.CancelledError:
            if not handshake.sent_away:
                raise
        finally:
            self._guests.leave(handshake)

    async def _chosen(self, client: socket.socket, choose: Choose) -> ssl.SSLContext:
        """Raises `OSError` for a client that goes away or says nothing."""
        try:
            async with asyncio.timeout(self._patience):
                return await choose(await first_record(client))
        except BaseException:
            client.close()
            raise


async def first_record(client: socket.socket) -> bytes:
    """Return the first TLS record that a client sends, and leave it to be read.

    What is no record of a handshake, or ends before, is returned as far as it is here. Raises
    `OSError`. Who sends a byte now and then wakes nobody: the system tells when enough is here.
    """
    seen = await _peek(client, _RECORD_HEAD)
    if seen[:1] == b"\x16" and len(seen) >= _RECORD_HEAD:  # RFC 8446 § 5.1
        whole = _RECORD_HEAD + int.from_bytes(seen[3:_RECORD_HEAD], "big")
        if len(seen) < whole <= _LONGEST_RECORD:
            seen = await _peek(client, whole)
    return seen


async def _peek(client: socket.socket, least: int) -> bytes:
    """Return what has come when so many bytes have, or when no more will."""
    loop = asyncio.get_running_loop()
    readable = loop.create_future()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, least)
    loop.add_reader(client, _settle, readable)
    try:
        await readable
    finally:
        loop.remove_reader(client)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
    return client.recv(_LONGEST_RECORD, socket.MSG_PEEK)


def _settle(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)


class Handshake:
    """A client that is to shake hands."""

    stage = Stage.SILENT
    busy = True
    """Its time limit is not the server's to look at."""
    ending = begun = False

    def __init__(self, peer: str, active_at: float) -> None:
        self.peer = peer
        self.active_at = active_at
        self.has_begun = self.sent_away = False
        self.task: asyncio.Task[None] | None = None

    def close(self) -> None:
        """Hang up."""
        self.sent_away = True
        if self.task is not None and self.has_begun:  # else the task closes the socket
            self.task.cancel()

    abort = cut = close

    def leave(self) -> "asyncio.Task[None] | None":
        """Hang up; return what ends then."""
        self.close()
        return self.task
