"""The whole way in, on real parts: store, keys, acceptor, SMTP door and a hostile smarthost."""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from ipaddress import ip_network
from pathlib import Path

from clicktrail.doors.throttle import Throttle
from clicktrail.ingress.accept import Acceptor
from clicktrail.ingress.smtp.auth import SignIn
from clicktrail.ingress.smtp.options import SmtpOptions
from clicktrail.ingress.smtp.server import SmtpServer
from clicktrail.ingress.submission import Smarthost
from clicktrail.keys.ringfile import KeyFile
from clicktrail.keys.token import TrackingHosts
from clicktrail.model import ConfigurationSet, EventDestination, EventType, Message
from clicktrail.relay import open_smarthost
from clicktrail.settings.kinds import Address
from clicktrail.settings.settings import Settings
from clicktrail.store import Store
from support.hostile_smarthost import HostileSmarthost, waited_for
from support.service import PATIENCE

LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
TRACKED = ConfigurationSet(
    "tracked",
    destinations=(
        EventDestination("clicks", "arn:clicktrail:stream:::clicks", frozenset({EventType.CLICK})),
    ),
)

HOSTS = TrackingHosts("t.test", "s.test")


class Client:
    """Speaks SMTP by hand, so that every byte is the test's own."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connect(cls, address: Address) -> "Client":
        """Connect and read the greeting."""
        client = cls(*await asyncio.open_connection(address.host, address.port))
        client.greeting = await client.reply()
        return client

    greeting = ""

    async def reply(self) -> str:
        """Return one reply, its lines joined by newlines; empty at the end of the connection."""
        lines = []
        async with asyncio.timeout(PATIENCE):
            while line := (await self.reader.readline()).decode():
                lines.append(line.rstrip("\r\n"))
                if line[3:4] != "-":
                    break
        return "\n".join(lines)

    async def say(self, *lines: str | bytes) -> str:
        """Send lines at once; return the reply to the last one."""
        self.send(*lines)
        answer = ""
        for _ in lines:
            answer = await self.reply()
        return answer

    def send(self, *lines: str | bytes) -> None:
        """Send lines."""
        for line in lines:
            raw = line if isinstance(line, bytes) else line.encode()
            self.writer.write(raw + b"\r\n")

    async def submit(
        self, message: bytes, *recipients: str, sender: str = "news@example.com"
    ) -> str:
        """Send an email, which ends with CRLF or is empty; return the answer."""
        named = [f"RCPT TO:<{r}>" for r in recipients or ("b@example.org",)]
        started = await self.say("EHLO me", f"MAIL FROM:<{sender}>", *named, "DATA")
        if not started.startswith("354"):
            return started
        wire = message.replace(b"\r\n.", b"\r\n..")  # RFC 5321 § 4.5.2
        self.writer.write((b"." if wire.startswith(b".") else b"") + wire + b".\r\n")
        return await self.reply()

    async def close(self) -> None:
        """Close the connection."""
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()


@dataclass
class Mailroom:
    """What a test has at hand."""

    database: Path
    store: Store
    keys: KeyFile
    acceptor: Acceptor
    smarthost: Smarthost
    hostile: HostileSmarthost
    server: SmtpServer

    @contextlib.asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        """Connect to the SMTP door."""
        client = await Client.connect(self.server.address)
        try:
            yield client
        finally:
            await client.close()

    def sql(self, statement: str) -> list[tuple[str]]:
        """Do something to the database behind the store's back."""
        with contextlib.closing(sqlite3.connect(self.database)) as connection, connection:
            return connection.execute(statement).fetchall()

    async def only_message(self) -> Message:
        """Return the one email that is kept."""
        ((message_id,),) = self.sql("SELECT id FROM messages")
        return await self.store.messages.get(message_id)

    async def message(self, answer: str) -> Message:
        """Return the email that was answered so."""
        assert answer.startswith("250 2.0.0 Ok "), answer
        return await self.store.messages.get(answer.rpartition(" ")[2])


@contextlib.asynccontextmanager
async def mailroom(
    folder: Path,
    hostile: HostileSmarthost | None = None,
    identities: str = "no",
    patience: float = PATIENCE,
    hosts: TrackingHosts = HOSTS,
    **options: object,
) -> AsyncIterator[Mailroom]:
    """Open everything; ``identities`` is ``identities.required``, ``options`` `SmtpOptions`.

    ``patience`` is how long the smarthost may take for an answer, in seconds.
    """
    database = folder / "clicktrail.db"
    keys = KeyFile(folder / "keys.json")
    keys.create_if_missing()
    standard = SmtpOptions(Address("127.0.0.1", 0), "clicktrail.test", LOOPBACK)
    chosen = replace(standard, **options)  # type: ignore[arg-type]
    async with contextlib.AsyncExitStack() as stack:
        store = await Store.open(f"sqlite:///{database}")
        stack.push_async_callback(store.close)
        await store.configuration.create_set(TRACKED)
        await store.configuration.create_set(ConfigurationSet("untracked"))
        await store.configuration.create_identity("example.com", "tracked")
        open_hostile = await stack.enter_async_context(hostile or HostileSmarthost())
        given = waited_for(open_hostile.address, patience)
        smarthost = open_smarthost(Settings({n: (text, "test") for n, text in given.items()}))
        stack.push_async_callback(smarthost.close)
        acceptor = Acceptor(
            store,
            keys,
            hosts,
            "clicktrail.test",
            identities=identities,
            max_size=chosen.max_size,
        )
        sign_in = SignIn(store.users, Throttle(), lambda: store.configuration.seen.version)
        server = SmtpServer(chosen, acceptor, smarthost, sign_in)
        await server.start()
        stack.push_async_callback(server.stop)
        yield Mailroom(database, store, keys, acceptor, smarthost, open_hostile, server)
