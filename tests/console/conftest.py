"""A console over a store of its own, and those who are signed in."""

from collections.abc import AsyncIterator

import httpx
import pytest

from clicktrail.console.app import Console
from clicktrail.console.entry.cookies import SESSION
from clicktrail.doors.asgi import AsgiServer
from clicktrail.model import Role
from clicktrail.settings.kinds import Address
from clicktrail.store import Store
from support.service import PATIENCE


@pytest.fixture
async def console(store: Store) -> Console:
    return Console(store)


@pytest.fixture
async def base(console: Console) -> AsyncIterator[str]:
    """Where the console is."""
    server = AsgiServer(console.app, Address("127.0.0.1", 0))
    await server.start()
    yield f"http://{server.address}"
    console.stop()
    await server.stop()


@pytest.fixture
async def viewer(store: Store, base: str) -> AsyncIterator[httpx.AsyncClient]:
    async with await signed_in(store, base, "maria", Role.VIEWER) as client:
        yield client


@pytest.fixture
async def admin(store: Store, base: str) -> AsyncIterator[httpx.AsyncClient]:
    async with await signed_in(store, base, "olga", Role.ADMINISTRATOR) as client:
        yield client


async def signed_in(store: Store, base: str, name: str, role: Role) -> httpx.AsyncClient:
    """Return a client with a session of a new account."""
    token = await store.accounts.create(name, role)
    session = await store.accounts.set_password(token, "correct horse battery")
    return httpx.AsyncClient(base_url=base, cookies={SESSION: session}, timeout=PATIENCE)
