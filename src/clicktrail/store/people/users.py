"""SMTP users. Passwords are made here, shown once, and kept as scrypt hashes (RFC 7914)."""

import asyncio
import hashlib
import hmac
import os
import secrets
from collections import OrderedDict

from sqlalchemy import Connection, delete, insert, select

from clicktrail.base.ids import now_us
from clicktrail.errors import AlreadyExists, InvalidInput, NotFound
from clicktrail.store.configuration_rows import bump
from clicktrail.store.database.core import Database, storable
from clicktrail.store.people.tables import access_keys, smtp_users

_SALT = 16
_N, _R, _P = 2**14, 8, 1  # 16 MiB and some 50 ms
_REMEMBERED = 1000
_AT_ONCE = 2


class UserStore:
    """Creates, checks and deletes SMTP users. Every method may raise `StoreUnavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        # Passwords found good: a fast keyed hash of name and password → the scrypt hash it fitted.
        self._good: OrderedDict[bytes, bytes] = OrderedDict()
        self._secret = os.urandom(32)
        self._hashing = asyncio.Semaphore(_AT_ONCE)  # wrong passwords must not take all cores

    async def create(self, name: str) -> str:
        """Add a user, and return the password, which is kept nowhere.

        Raises `AlreadyExists`, `InvalidInput`.
        """
        if not 1 <= len(name) <= 256 or not name.isprintable() or name.strip() != name:
            raise InvalidInput(f"{name!r} is not a user name: expected 1 to 256 characters")
        password = secrets.token_urlsafe(24)
        hashed = await self._hash(password, os.urandom(_SALT))
        row = {"name": name, "password": hashed, "created_at": now_us()}

        def work(connection: Connection) -> None:
            query = select(smtp_users.c.name).where(smtp_users.c.name == name)
            if connection.scalar(query) is not None:
                raise AlreadyExists(f"there is an SMTP user {name!r} already")
            connection.execute(insert(smtp_users), row)

        await self._database.write(work)
        return password

    async def mark(self, name: str) -> bytes:
        """Return what changes when who has signed in under a name may do so no more.

        The name may be an access key's. One look, and no hash: it is asked with every email.
        """
        key = select(access_keys.c.secret).where(
            access_keys.c.id == storable(name), access_keys.c.disabled_at.is_(None)
        )
        user = select(smtp_users.c.password).where(smtp_users.c.name == storable(name))

        def work(connection: Connection) -> bytes:
            return bytes(connection.scalar(key) or connection.scalar(user) or b"")

        return await self._database.read(work)

    async def verify(self, name: str, password: str) -> bool:
        """Return whether that is the user's password.

        A user who does not exist takes as long as a wrong password. A password that was found
        good is found good again without the costly hash, as long as the user stays the same.
        """
        query = select(smtp_users.c.password).where(smtp_users.c.name == storable(name))
        stored = await self._database.read(lambda connection: connection.scalar(query))
        given = password.encode("utf-8", "surrogateescape")
        mark = hashlib.blake2b(
            hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest() + given,
            key=self._secret,
        ).digest()
        if stored is not None and self._good.get(mark) == stored:
            self._good.move_to_end(mark)
            return True
        expected = stored if stored is not None else bytes(_SALT + 64)
        found = await self._hash(password, expected[:_SALT])
        if stored is None or not hmac.compare_digest(found, stored):
            return False
        self._good[mark] = stored
        while len(self._good) > _REMEMBERED:
            self._good.popitem(last=False)
        return True

    async def list(self) -> list[str]:
        """Return the names of all users, in order."""
        query = select(smtp_users.c.name).order_by(smtp_users.c.name)
        found = await self._database.read(lambda connection: connection.scalars(query).all())
        return [str(name) for name in found]

    async def delete(self, name: str) -> None:
        """Delete a user. Raises `NotFound`."""
        statement = delete(smtp_users).where(smtp_users.c.name == name)

        def work(connection: Connection) -> None:
            if not connection.execute(statement).rowcount:
                raise NotFound(f"there is no SMTP user {name!r}")
            bump(connection)  # its emails that are coming in now are looked at again

        await self._database.write(work)

    async def _hash(self, password: str, salt: bytes) -> bytes:
        given = password.encode("utf-8", "surrogateescape")
        async with self._hashing:
            hashed = await asyncio.to_thread(
                hashlib.scrypt, given, salt=salt, n=_N, r=_R, p=_P, maxmem=64 << 20, dklen=64
            )
        return salt + hashed
