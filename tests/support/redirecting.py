"""A running redirect for tests, and a client that says exactly what it is told to say."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import httpx

from clicktrail.journal import Journal
from clicktrail.journal.sqlite import SqliteJournal
from clicktrail.keys.token import Key, KeyRing, Opened
from clicktrail.model import Click
from clicktrail.redirect.app import Pages, RedirectApp
from clicktrail.redirect.server import MAX_CONNECTIONS, Listener, Patience, RedirectServer
from clicktrail.settings.kinds import Address, Network
from support.service import PATIENCE

RING = KeyRing([Key(1, bytes(range(64)), 0)])
MESSAGE = "0123456789ABCDEFGHIJk"
URL = "https://shop.example/offer?utm_source=mail&n=1#top"


def path_of(url: str = URL, link: int = 0) -> str:
    return "/c/" + RING.seal(MESSAGE, link, url)


class Opener(Protocol):
    """What opens tokens."""

    def open(self, token: str) -> Opened: ...


@dataclass
class House:
    """A running redirect, and the journal it writes to."""

    app: RedirectApp
    server: RedirectServer
    journal: Journal
    http: httpx.AsyncClient

    @property
    def address(self) -> Address:
        return self.server.addresses[0]

    async def clicks(self) -> list[Click]:
        return [entry.click for entry in await self.journal.read(100_000, 0)]

    async def say(self, *parts: bytes, then_close: bool = True) -> bytes:
        """Send the parts one by one, and return all that comes until the server hangs up."""
        reader, writer = await asyncio.open_connection(self.address.host, self.address.port)
        try:
            for part in parts:
                if reader.at_eof() or writer.transport.is_closing():
                    break  # the server has hung up
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(0.01)
            if then_close and not writer.transport.is_closing():
                writer.write_eof()
            async with asyncio.timeout(PATIENCE):
                return await reader.read(-1)
        except ConnectionResetError:
            return b"(reset)"
        finally:
            writer.close()


@asynccontextmanager
async def house_in(
    folder: Path,
    *,
    journal: Journal | None = None,
    trusted: Sequence[Network] = (),
    patience: Patience | None = None,
    certificate: tuple[Path, Path] | None = None,
    ring: Opener = RING,
    pages: Pages | None = None,
    limit: int = MAX_CONNECTIONS,
) -> AsyncIterator[House]:
    journal = journal or SqliteJournal(folder / "journal.db")
    app = RedirectApp(ring.open, journal, trusted, pages=pages)
    listeners = [Listener(Address("127.0.0.1", 0))]
    if certificate:
        listeners.append(Listener(Address("127.0.0.1", 0), *certificate))
    server = RedirectServer(app, listeners, patience or Patience(), limit)
    await server.start()
    try:
        async with httpx.AsyncClient(
            base_url=f"http://{server.addresses[0]}",
            verify=ssl.create_default_context(cafile=certificate[0]) if certificate else True,
        ) as http:
            yield House(app, server, journal, http)
    finally:
        await server.stop()
        await journal.close()


async def until(holds: Callable[[], bool]) -> None:
    """Return when it holds."""
    async with asyncio.timeout(PATIENCE):
        while True:
            if holds():
                return
            await asyncio.sleep(0.002)


def request(path: str | None = None, *headers: str, method: str = "GET") -> bytes:
    """Return a request that ends its connection."""
    lines = [f"{method} {path or path_of()} HTTP/1.1", "Host: x", *headers, "Connection: close"]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def statuses(answers: bytes) -> list[int]:
    """Return the status codes of a stream of answers."""
    return [int(part[:3]) for part in answers.split(b"HTTP/1.1 ")[1:]]
