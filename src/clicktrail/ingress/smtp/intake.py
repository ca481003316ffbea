"""The bytes of an email as they come in, by DATA or piece by piece by BDAT, within limits."""

import asyncio
from collections.abc import AsyncIterator

from clicktrail.doors.budget import Share
from clicktrail.errors import MessageRefused
from clicktrail.ingress.replies import NO_MEMORY, too_large

_END = b"\r\n.\r\n"  # RFC 5321 § 4.1.1.4: the first CRLF is that of the last line
_EMPTY = _END[2:]  # … or of the command
_PART = 64 * 1024
_ENDLESS = 16
"""An email of so many times the bytes that are taken does not end."""


class Intake:
    """Holds what has come of an email of at most ``most`` bytes; ``share`` grows by that.

    What is too large, or finds no room, is read to its end and not held: `message` says so then.
    The readers raise `asyncio.IncompleteReadError` where the client goes away, and
    `ConnectionAbortedError` for an email that does not end.
    """

    def __init__(self, most: int, share: Share) -> None:
        self._most = most
        self._share = share
        self._wire = bytearray()
        self._total = 0
        self._has_room = True
        self._is_dotted = False

    async def read_to_the_dot(self, reader: asyncio.StreamReader) -> None:
        """Read what follows DATA.

        Lines end with CRLF and nothing else (RFC 5321 § 2.3.8): a lone LF never ends the email.
        """
        self._is_dotted = True
        begin = await reader.readexactly(len(_EMPTY))
        if begin == _EMPTY:
            self._keep(_EMPTY)
            return
        reader._buffer[:0] = begin  # type: ignore[attr-defined] # the end may begin in it
        ended = False
        while not ended:
            try:
                part = await reader.readuntil(_END)
                ended = True
            except asyncio.LimitOverrunError as overrun:
                part = await reader.read(overrun.consumed)
            self._keep(part)

    async def read_piece(self, reader: asyncio.StreamReader, size: int) -> None:
        """Read the ``size`` bytes that follow BDAT (RFC 3030 § 2), byte for byte."""
        async for part in parts(reader, size):
            self._keep(part)

    def _keep(self, part: bytes) -> None:
        self._total += len(part)
        if self._total > _ENDLESS * self._most:
            raise ConnectionAbortedError("the email does not end")
        if self._is_too_large:
            self.close()
        elif self._has_room and self._share.grow(len(part)):
            self._wire += part
        else:
            self._has_room = False
            self.close()

    @property
    def _is_too_large(self) -> bool:
        # One byte in three may be a dot that goes (RFC 5321 § 4.5.2).
        dots = self._most // 2 + len(_END) if self._is_dotted else 0
        return self._total > self._most + dots

    def check(self) -> None:
        """Raise `MessageRefused` where not all that has come is held."""
        if self._is_too_large:
            raise MessageRefused(552, too_large(self._most))
        if not self._has_room:
            raise MessageRefused(*NO_MEMORY)

    def message(self) -> bytes:
        """Return the email, all of which has come. Raises `MessageRefused`."""
        self.check()
        if not self._is_dotted:
            return bytes(self._wire)
        message = bytes(self._wire[:-3]).replace(b"\r\n.", b"\r\n")  # RFC 5321 § 4.5.2
        message = message.removeprefix(b".")
        if len(message) > self._most:
            raise MessageRefused(552, too_large(self._most))
        return message

    def close(self) -> None:
        """Hold nothing any more."""
        self._wire.clear()
        self._share.close()


async def parts(reader: asyncio.StreamReader, size: int) -> AsyncIterator[bytes]:
    """Yield the next ``size`` bytes. Raises `asyncio.IncompleteReadError`."""
    left = size
    while left:
        part = await reader.read(min(left, _PART))
        if not part:
            raise asyncio.IncompleteReadError(b"", left)
        left -= len(part)
        yield part
