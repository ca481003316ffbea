"""The mail server's side of the milter protocol, by hand, so that every byte is the test's own."""

import asyncio
import contextlib
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from clicktrail.settings.kinds import Address, SocketPath

Field = tuple[bytes, bytes]

ALL_ACTIONS = 0x1FF
ALL_STEPS = 0x1F_FFFF
"""What Postfix 3.7 offers."""
OWN = b"Received: of the mail server itself\r\n"
"""The header above all others that a milter is not shown (`milter8_header` in Postfix)."""


def packet(command: bytes, *data: bytes) -> bytes:
    content = command + b"".join(data)
    return struct.pack("!I", len(content)) + content


def negotiation(version: int = 6, actions: int = ALL_ACTIONS, steps: int = ALL_STEPS) -> bytes:
    return packet(b"O", struct.pack("!III", version, actions, steps))


def macros(command: bytes, **values: str) -> bytes:
    """Return the packet of macros for a command: ``i``, and longer names without their braces."""
    named = [(k if len(k) == 1 else f"{{{k}}}", v) for k, v in values.items()]
    return packet(b"D", command, *(b"%b\0%b\0" % (k.encode(), v.encode()) for k, v in named))


def split(raw: bytes) -> tuple[list[Field], bytes]:
    """Return the headers of an email as Postfix shows them, with their leading space; the body."""
    header, _, body = raw.partition(b"\r\n\r\n")
    fields: list[Field] = []
    for line in header.replace(b"\r\n", b"\n").split(b"\n"):
        if line[:1] in (b" ", b"\t"):
            name, value = fields.pop()
            fields.append((name, value + b"\n" + line))
        else:
            name, _, value = line.partition(b":")
            fields.append((name, value))
    return fields, body


@dataclass
class Envelope:
    """What comes before an email."""

    sender: str = "news@example.com"
    recipients: Sequence[str] = ("b@example.org",)
    parameters: Sequence[str] = ("SIZE=1000",)
    user: str = ""
    queue_id: str = "4ABC"

    def packets(self) -> Iterable[bytes]:
        if self.user:
            yield macros(b"M", auth_authen=self.user)
        words = (f"<{self.sender}>", *self.parameters)
        yield packet(b"M", *(word.encode() + b"\0" for word in words))
        for recipient in self.recipients:
            yield packet(b"R", f"<{recipient}>".encode() + b"\0")


@dataclass
class Reply:
    """What a milter has said to the end of an email."""

    edits: list[bytes] = field(default_factory=list)
    """Packets, each a command and its data."""
    last: bytes = b""
    """The one that decides; empty where the connection has ended."""


def content(fields: Iterable[Field], body: bytes) -> list[bytes]:
    """Return the packets of an email, as Postfix sends them: the end holds the last of the body."""
    found = [packet(b"L", name, b"\0", value, b"\0") for name, value in fields]
    while len(body) > 65_535:
        found.append(packet(b"B", body[:65_535]))
        body = body[65_535:]
    return [*found, macros(b"E", i="4ABC"), packet(b"E", body)]


def edited(fields: Sequence[Field], body: bytes, edits: Iterable[bytes]) -> bytes:
    """Return the email as Postfix makes it of what a milter asks for, without its own header."""
    here = [(b"", OWN), *fields]
    new_body: bytes | None = None
    for edit in edits:
        command, data = edit[:1], edit[1:]
        if command == b"b":
            new_body = (new_body or b"") + data
            continue
        index = int.from_bytes(data[:4], "big")
        name, value, rest = data[4:].split(b"\0")
        assert rest == b""
        if command == b"i":
            here.insert(index, (name, value))
            continue
        assert command == b"m"
        numbers = [n for n, each in enumerate(here) if each[0].lower() == name.lower()]
        place = numbers[index - 1]
        if value:
            here[place] = (name, value)
        else:
            del here[place]
    header = b"".join(n + b":" + v + b"\n" for n, v in here[1:]).replace(b"\n", b"\r\n")
    return header + b"\r\n" + (body if new_body is None else new_body)


class MilterClient:
    """One connection of a mail server to a milter."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connect(
        cls, place: Address | SocketPath, *, client: str = "192.0.2.9", steps: int = ALL_STEPS
    ) -> "MilterClient":
        """Connect, negotiate, and say of whom the emails are."""
        if isinstance(place, SocketPath):
            made = cls(*await asyncio.open_unix_connection(place.path))
        else:
            made = cls(*await asyncio.open_connection(place.host, place.port))
        made.send(negotiation(steps=steps), macros(b"C", client_addr=client))
        made.send(
            packet(b"C", b"app.test\0", b"4", b"\x30\x39", client.encode() + b"\0"),
        )
        return made

    def send(self, *packets: bytes) -> None:
        self.writer.write(b"".join(packets))

    async def hear(self) -> bytes:
        """Return the next packet: a command and its data; empty at the end of the connection."""
        try:
            async with asyncio.timeout(30):
                length = int.from_bytes(await self.reader.readexactly(4), "big")
                return await self.reader.readexactly(length)
        except (asyncio.IncompleteReadError, ConnectionError):
            return b""

    async def submit(self, raw: bytes, envelope: Envelope | None = None) -> Reply:
        """Send an email; return what is said to its end."""
        self.send(*(envelope or Envelope()).packets(), *content(*split(raw)))
        return await self.reply()

    async def reply(self) -> Reply:
        reply = Reply()
        while (said := await self.hear())[:1] in (b"b", b"m", b"i", b"h"):
            reply.edits.append(said)
        reply.last = said
        return reply

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()
