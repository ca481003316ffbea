"""A smarthost on a real socket that refuses, stalls or goes away wherever a test wants it to."""

import asyncio
import socket
import ssl
from dataclasses import dataclass, field

from clicktrail.settings.kinds import Address
from support.ports import Ports
from support.service import PATIENCE

STAGES = ("CONNECT", "EHLO", "MAIL", "RCPT", "DATA", "BODY", "DOT", "TAKEN", "RSET")
"""Where it can misbehave; ``BODY`` is in the middle of the email, ``DOT`` after its end,
with ``BDAT`` too.

At ``TAKEN`` it can only cut the connection: it has the email, and does not say so.
"""


TIMES = ("connect_timeout", "timeout", "data_timeout", "block_timeout", "final_timeout")
"""Settings of the smarthost: how long it may take."""


def waited_for(address: Address, seconds: float) -> dict[str, str]:
    """Return the settings of who waits for each of its answers that long."""
    times = {f"smarthost.{name}": str(seconds) for name in TIMES}
    return {"smarthost.url": f"smtp://{address}"} | times


@dataclass
class Taken:
    """An email that was taken."""

    mail: str
    rcpts: list[str]
    wire: bytes
    """As it came, dots stuffed, without the final dot."""
    silently: bool = False
    """It was taken, and the connection was cut instead of an answer."""
    stuffed: bool = True
    """Whether it came by DATA."""

    @property
    def message(self) -> bytes:
        """The email."""
        if not self.stuffed:
            return self.wire
        return self.wire.replace(b"\r\n.", b"\r\n").removeprefix(b".")


@dataclass
class HostileSmarthost:
    """Answers by the book, except at the stages named in one of the fields."""

    answers: dict[str, str] = field(default_factory=dict)
    """Stage → its answer (``550 5.1.1 no such user``); lines are separated by CRLF."""
    refused: dict[str, str] = field(default_factory=dict)
    """Recipient → its answer."""
    drops: set[str] = field(default_factory=set)
    """Stages at which the connection is cut instead of an answer."""
    stalls: set[str] = field(default_factory=set)
    """Stages that are never answered, until `let_go` is set."""
    offers: tuple[str, ...] = ("8BITMIME", "SMTPUTF8", "SIZE 10000000", "PIPELINING")
    tls: ssl.SSLContext | None = None
    ends: set[str] = field(default_factory=set)
    """Stages after whose answer the connection is closed."""
    lazy: set[str] = field(default_factory=set)
    """Stages that are answered when the next command has come: by then, who does not pipeline waits
    for ever."""
    pause: float = 0.0
    """Seconds to wait before each further 64 KB of an email are read."""

    def __post_init__(self) -> None:
        self._ports = Ports(1)
        [self.port] = self._ports
        self.taken: list[Taken] = []
        self.commands: list[str] = []
        self.ahead: list[str] = []
        """Commands behind which more had come before they were answered."""
        self.connections = 0
        self.reached = asyncio.Event()
        """Set when a stage of ``stalls`` is reached."""
        self.let_go = asyncio.Event()
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    @property
    def address(self) -> Address:
        """Where it listens."""
        return Address("127.0.0.1", self.port)

    async def __aenter__(self) -> "HostileSmarthost":
        listening = socket.create_server(("127.0.0.1", self.port))
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)  # hides nothing
        self._server = await asyncio.start_server(self._connected, sock=listening, limit=1 << 16)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def heard(self, command: str) -> None:
        """Return when that was the last command."""
        async with asyncio.timeout(PATIENCE):
            while self.commands[-1:] != [command]:  # noqa: ASYNC110 - a test may look
                await asyncio.sleep(0.005)

    def cut_all(self) -> None:
        """Cut every connection that is open."""
        for writer in self._writers:
            writer.transport.abort()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        self.connections += 1
        try:
            await self._serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            self._writers.discard(writer)
            if not writer.is_closing():
                writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        mail, rcpts, following = "", list[str](), b""
        await self._answer(writer, "CONNECT", "220 hostile ESMTP")
        while True:
            read, following = following or await reader.readuntil(b"\r\n"), b""
            line = read.decode("utf-8", "surrogateescape").rstrip()
            self.commands.append(line)
            verb = line.partition(" ")[0].upper()
            if verb in self.lazy:
                following = await reader.readuntil(b"\r\n")
            if verb != "BDAT" and (following or reader._buffer):  # type: ignore[attr-defined]
                self.ahead.append(verb)
            answer = "250 2.0.0 Ok"
            if verb == "EHLO":
                lines = ["hostile", *self.offers]
                answer = "\r\n".join(f"250-{text}" for text in lines[:-1]) + (
                    f"\r\n250 {lines[-1]}" if len(lines) > 1 else "250 hostile"
                )
            elif verb == "STARTTLS" and self.tls is not None:
                await self._answer(writer, verb, "220 go")
                await writer.start_tls(self.tls)
                continue
            elif verb == "AUTH":
                answer = "235 2.7.0 welcome"
            elif verb == "MAIL":
                mail, rcpts = line, []
            elif verb == "RCPT":
                address = line[line.index("<") + 1 : line.rindex(">")]
                answer = self.refused.get(address, "250 2.1.5 Ok")
                if answer.startswith("2") and "RCPT" not in self.answers:
                    rcpts.append(line)
            elif verb == "DATA":
                if not (await self._answer(writer, verb, "354 go on")).startswith("354"):
                    continue
                early = ""  # what it says in the middle of the email is its only answer
                if "BODY" in self.answers or "BODY" in self.drops or "BODY" in self.stalls:
                    await reader.readexactly(20)
                    early = await self._answer(writer, "BODY", "")
                wire = await self._read(reader)
                if early:
                    continue
                await self._answer(writer, "DOT", "250 2.0.0 queued", Taken(mail, rcpts, wire))
                continue
            elif verb == "BDAT":
                early = ""
                if "BODY" in self.answers or "BODY" in self.drops or "BODY" in self.stalls:
                    early = await self._answer(writer, "BODY", "")
                wire = await self._read_exactly(reader, int(line.split()[1]))
                if early:
                    continue
                await self._answer(
                    writer, "DOT", "250 2.0.0 queued", Taken(mail, rcpts, wire, stuffed=False)
                )
                continue
            elif verb == "QUIT":
                await self._answer(writer, verb, "221 2.0.0 bye")
                return
            await self._answer(writer, verb, answer)

    async def _read(self, reader: asyncio.StreamReader) -> bytes:
        wire = bytearray(b"\r\n")
        while not wire.endswith(b"\r\n.\r\n"):
            if self.pause:
                await asyncio.sleep(self.pause)
            part = await reader.read(1 << 16)
            if not part:
                raise ConnectionAbortedError
            wire += part
        return bytes(wire[2:-3])

    async def _read_exactly(self, reader: asyncio.StreamReader, size: int) -> bytes:
        wire = bytearray()
        while len(wire) < size:
            if self.pause:
                await asyncio.sleep(self.pause)
            wire += await reader.readexactly(min(1 << 16, size - len(wire)))
        return bytes(wire)

    async def _answer(
        self, writer: asyncio.StreamWriter, stage: str, answer: str, taken: Taken | None = None
    ) -> str:
        """Answer as it is to at that moment; return what was said."""
        if stage in self.stalls:
            self.reached.set()
            await self.let_go.wait()
        if stage in self.drops:
            raise ConnectionAbortedError
        answer = self.answers.get(stage, answer)
        if taken is not None and answer.startswith("2"):
            self.taken.append(taken)
            if "TAKEN" in self.drops:
                taken.silently = True
                raise ConnectionAbortedError
        if answer:
            writer.write(answer.encode() + b"\r\n")
            await writer.drain()
        if stage in self.ends:
            writer.close()
            raise ConnectionAbortedError
        return answer
