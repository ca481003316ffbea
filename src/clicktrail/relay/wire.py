"""The bytes of an SMTP connection: what is written to a server, and its replies, in order."""

import asyncio
import re
from collections import deque
from typing import Any, Self, cast

from aiosmtplib import SMTP
from aiosmtplib.errors import (
    SMTPReadTimeoutError,
    SMTPResponseException,
    SMTPServerDisconnected,
)

from clicktrail.model import Reply

MOST_REPLY = 32 * 1024
"""A reply of more bytes is none. RFC 5321 § 4.5.3.1.5 asks for 512 a line."""

# RFC 5321 § 4.2, and what is as clear
_LINE = re.compile(rb"([0-9]{3})(?:([^0-9])(.*))?", re.DOTALL)


class Wire(asyncio.Protocol):
    """Takes a connection over once aiosmtplib has begun it, which cannot pipeline (RFC 2920).

    Replies belong to commands by their order alone; so a server that speaks without being asked is
    hung up on. Methods raise aiosmtplib's errors, and `OSError`.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._buffer = bytearray()
        self._texts: list[bytes] = []  # the lines of a reply that is not yet whole
        self._size = 0  # in bytes, of it
        self._replies: deque[Reply] = deque()
        self._outstanding = 0  # replies that have not come
        self._ended: Exception | None = None
        self._paused = False
        self._waiter: asyncio.Future[None] | None = None

    @classmethod
    def take_over(cls, client: SMTP) -> Self:
        """Take a connection from aiosmtplib, between two commands."""
        if client.transport is None:  # it was closed right behind the last answer
            raise SMTPServerDisconnected("Connection lost")
        transport = cast(asyncio.Transport, client.transport)
        wire = cls(transport)
        transport.set_protocol(wire)
        return wire

    @property
    def is_open(self) -> bool:
        """Whether it can carry another command, as far as one can know."""
        return self._ended is None and not self._transport.is_closing()

    @property
    def has_reply(self) -> bool:
        """Whether there is a reply, or there will be none."""
        return bool(self._replies) or self._ended is not None

    def about(self, name: str) -> Any:
        """Return what the transport knows about itself: see `asyncio.BaseTransport`."""
        return self._transport.get_extra_info(name)

    def write(self, data: bytes, replies: int = 0) -> None:
        """Write, and expect that many more replies."""
        if not self.is_open:
            raise self._ended or SMTPServerDisconnected("Connection lost")
        self._outstanding += replies
        self._transport.write(data)

    async def drain(self, patience: float) -> None:
        """Return when more can be written, or there is a reply. `TimeoutError` after seconds."""
        if self._paused and not self.has_reply:
            await self._wait(patience)

    async def reply(self, patience: float) -> Reply:
        """Return the next reply, which may take that many seconds."""
        while not self._replies:
            if self._ended is not None:
                raise self._ended
            try:
                await self._wait(patience)
            except TimeoutError:
                raise SMTPReadTimeoutError("Timed out waiting for server response") from None
        return self._replies.popleft()

    def close(self) -> None:
        """Close the connection."""
        self._end(SMTPServerDisconnected("Connection lost"))

    async def _wait(self, patience: float) -> None:
        """Wait for something to happen. `TimeoutError` after seconds."""
        loop = asyncio.get_running_loop()
        waiter = self._waiter = loop.create_future()
        timer = loop.call_later(patience, _give_up, waiter)  # a third of `asyncio.timeout`'s work
        try:
            await waiter
        finally:
            timer.cancel()
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _end(self, why: Exception) -> None:
        if self._ended is None:
            self._ended = why
        if self._transport.get_write_buffer_size():
            self._transport.abort()  # what it does not read would keep it open
        else:
            self._transport.close()
        self._wake()

    # What asyncio calls

    def data_received(self, data: bytes) -> None:
        """Read replies."""
        *lines, rest = data.split(b"\n")
        for line in lines:
            whole = bytes(self._buffer) + line if self._buffer else line
            self._buffer.clear()
            self._take(whole.removesuffix(b"\r"))
            if self._ended is not None:
                return
        self._buffer += rest
        if self._size + len(self._buffer) > MOST_REPLY:
            self._end(SMTPResponseException(-1, "Response too long"))

    def _take(self, line: bytes) -> None:
        """Take one line of a reply."""
        found = _LINE.fullmatch(line)
        if self._outstanding == 0:
            self._end(SMTPServerDisconnected("it spoke without being asked"))
        elif found is None:
            told = line[:200].decode("utf-8", "replace")
            self._end(SMTPResponseException(-1, f"Malformed SMTP response line: {told}"))
        else:
            self._texts.append((found[3] or b"").strip())
            self._size += len(line)
            if self._size > MOST_REPLY:
                self._end(SMTPResponseException(-1, "Response too long"))
            elif found[2] != b"-":
                text = b"\n".join(self._texts).decode("utf-8", "surrogateescape")
                self._texts, self._size = [], 0
                self._outstanding -= 1
                self._replies.append((int(found[1]), text))
                self._wake()

    def eof_received(self) -> None:
        """The server has gone; the transport closes itself."""
        self._end(SMTPServerDisconnected("Unexpected EOF received"))

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection has ended."""
        lost = SMTPServerDisconnected("Connection lost")
        lost.__cause__ = exc
        self._end(lost)

    def pause_writing(self) -> None:
        """As much waits to be sent as may."""
        self._paused = True

    def resume_writing(self) -> None:
        """More may be written."""
        self._paused = False
        self._wake()


def _give_up(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_exception(TimeoutError())
