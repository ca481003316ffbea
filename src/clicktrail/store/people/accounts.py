"""Who may use the console: accounts, their passwords, sessions and one-time links.

Passwords are kept as Argon2id hashes (RFC 9106), tokens of sessions and links as their SHA-256: a
copy of the database signs nobody in.
"""

import asyncio
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from itertools import islice

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import ColumnElement, Connection, delete, func, insert, select, update

from clicktrail.base.ids import now_us
from clicktrail.base.logs import get_logger
from clicktrail.base.text.digest import digest_of
from clicktrail.errors import AlreadyExists, InvalidInput, NotFound
from clicktrail.model import Role
from clicktrail.store.database.core import Database, storable
from clicktrail.store.people.tables import console_accounts, console_links, console_sessions

log = get_logger(__name__)

SECOND = 1_000_000
LINK_LIFE = 3 * 86_400 * SECOND
"""How long a link to set a password works, in microseconds, as all of these."""
IDLE_LIFE = 12 * 3600 * SECOND
"""How long a session lasts without a request."""
SESSION_LIFE = 14 * 86_400 * SECOND
"""How long it lasts at the most."""
_SEEN_EVERY = 300 * SECOND
_MANY = 500
"""Sessions of one query: a database takes so many parameters."""

SHORTEST_PASSWORD, LONGEST_PASSWORD = 10, 1000
NAME_LIMIT = 64

# OWASP Password Storage Cheat Sheet, Argon2id: 19 MiB, two passes, one lane.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
# The same of a password that nobody knows: made at each start, it would hold every command up.
_NOBODYS = (
    "$argon2id$v=19$m=19456,t=2,p=1$VsTEPs1RA"
    "UDlHMWp2dC/yQ$2XsWEqszfUw6Bo6QMO3o/Ju55VcCahnfQ+D693F2xik"
)
_AT_ONCE = 2


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody who may sign in. ``ready`` tells whether a password was set."""

    name: str
    role: Role
    ready: bool = True


def _kept_role(text: str) -> Role:
    """Return a role that is kept; who has a damaged one may do least, until it is given anew."""
    return Role(text) if text in _ROLES else _least()


_ROLES = frozenset(Role)


@cache  # a page asks each time
def _least() -> Role:
    log.error(
        "the role of an account of the console is damaged: it may only look;"
        " `clicktrail console-user role NAME ROLE` gives it one"
    )
    return Role.VIEWER


class AccountStore:
    """Keeps accounts of the console. Every method may raise `StoreUnavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._hashing = asyncio.Semaphore(_AT_ONCE)  # each takes 19 MiB and a core

    async def list(self) -> list[Account]:
        """Return all accounts, by name."""
        query = select(console_accounts).order_by(console_accounts.c.name)
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return [Account(row.name, _kept_role(row.role), bool(row.password)) for row in rows]

    async def any_ready(self) -> bool:
        """Return whether anybody can sign in."""
        query = select(func.count()).where(console_accounts.c.password != "")
        return bool(await self._database.read(lambda connection: connection.scalar(query)))

    async def create(self, name: str, role: Role) -> str:
        """Add an account; return the token of its link. Raises `AlreadyExists`, `InvalidInput`."""
        if not 1 <= len(name) <= NAME_LIMIT or not name.isprintable() or name.strip() != name:
            raise InvalidInput(f"{name!r} is not a name: expected 1 to {NAME_LIMIT} characters")

        def work(connection: Connection) -> str:
            if _role_of(connection, name) is not None:
                raise AlreadyExists(f"there is an account {name!r} already")
            row = {"name": name, "password": "", "role": role.value, "created_at": now_us()}
            connection.execute(insert(console_accounts), row)
            return _new_link(connection, name)

        return await self._database.write(work)

    async def new_link(self, name: str) -> str:
        """Return the token of a new link to set a password; earlier ones end. Raises `NotFound`."""

        def work(connection: Connection) -> str:
            _need(connection, name)
            return _new_link(connection, name)

        return await self._database.write(work)

    async def set_role(self, name: str, role: Role) -> None:
        """Change what an account may do. Raises `NotFound`, `InvalidInput`."""

        def work(connection: Connection) -> None:
            _need(connection, name)
            where = console_accounts.c.name == name
            connection.execute(update(console_accounts).where(where).values(role=role.value))
            _need_administrator(connection)

        await self._database.write(work)

    async def delete(self, name: str) -> None:
        """Delete an account and its sessions. Raises `NotFound`, `InvalidInput` for the last one
        who is an administrator.
        """

        def work(connection: Connection) -> None:
            _need(connection, name)
            connection.execute(delete(console_accounts).where(console_accounts.c.name == name))
            _need_administrator(connection)

        await self._database.write(work)

    async def invited(self, token: str) -> Account | None:
        """Return whose password a link sets; ``None`` where it is used, old or no link at all."""
        query = (
            select(console_accounts)
            .join(console_links, console_links.c.account == console_accounts.c.name)
            .where(
                console_links.c.digest == digest_of(token), console_links.c.expires_at > now_us()
            )
        )
        row = await self._database.read(lambda connection: connection.execute(query).first())
        return Account(row.name, _kept_role(row.role), bool(row.password)) if row else None

    async def set_password(self, token: str, password: str) -> str:
        """Set the password of the account of a link; return the token of a new session.

        The link and all sessions of the account end. Raises `NotFound` for a link that does not
        work, `InvalidInput` for a password that is too short or too long.
        """
        if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
            raise InvalidInput(
                f"the password has {len(password)} characters: use {SHORTEST_PASSWORD} to"
                f" {LONGEST_PASSWORD}"
            )
        async with self._hashing:
            hashed = await asyncio.to_thread(_HASHER.hash, password)

        def work(connection: Connection) -> str:
            query = select(console_links.c.account).where(
                console_links.c.digest == digest_of(token), console_links.c.expires_at > now_us()
            )
            name = connection.scalar(query)
            if name is None:
                raise NotFound("this link does not work any more: ask for a new one")
            connection.execute(delete(console_links).where(console_links.c.account == name))
            connection.execute(delete(console_sessions).where(console_sessions.c.account == name))
            where = console_accounts.c.name == name
            connection.execute(update(console_accounts).where(where).values(password=hashed))
            return _new_session(connection, name)

        return await self._database.write(work)

    async def sign_in(self, name: str, password: str) -> str | None:
        """Return the token of a new session; ``None`` for a wrong name or password.

        A name that does not exist takes as long as a wrong password.
        """
        query = select(console_accounts.c.password).where(console_accounts.c.name == storable(name))
        stored = await self._database.read(lambda connection: connection.scalar(query))
        async with self._hashing:
            good = await asyncio.to_thread(_verify, stored or _NOBODYS, password)
        if not (stored and good):
            return None

        def work(connection: Connection) -> str | None:
            # Meanwhile the account may have got a new password, or have gone.
            if connection.scalar(query.with_for_update()) != stored:
                return None
            return _new_session(connection, name)

        return await self._database.write(work)

    async def session(self, token: str) -> Account | None:
        """Return who is signed in with the token of a session; it lives on."""
        now = now_us()
        digest = digest_of(token)
        query = (
            select(console_accounts, console_sessions.c.seen_at)
            .join(console_sessions, console_sessions.c.account == console_accounts.c.name)
            .where(console_sessions.c.digest == digest, _lives(now))
        )
        row = await self._database.read(lambda connection: connection.execute(query).first())
        if row is None:
            return None
        if now - row.seen_at > _SEEN_EVERY:
            where = console_sessions.c.digest == digest
            statement = update(console_sessions).where(where).values(seen_at=now)
            await self._database.write(lambda connection: connection.execute(statement))
        return Account(row.name, _kept_role(row.role))

    async def signed_in(self, tokens: Collection[str]) -> set[str]:
        """Return the tokens of sessions that have not ended; they do not live on by it."""
        now = now_us()
        of = {digest_of(token): token for token in tokens}
        column = console_sessions.c.digest

        def work(connection: Connection) -> set[str]:
            found: set[str] = set()
            left = iter(of)
            while some := list(islice(left, _MANY)):
                query = select(column).where(column.in_(some), _lives(now))
                found.update(of[digest] for digest in connection.scalars(query))
            return found

        return await self._database.read(work)

    async def sign_out(self, token: str) -> None:
        """End a session."""
        statement = delete(console_sessions).where(console_sessions.c.digest == digest_of(token))
        await self._database.write(lambda connection: connection.execute(statement))


def _lives(now: int) -> ColumnElement[bool]:
    """Whether a session has not ended."""
    return (console_sessions.c.expires_at > now) & (console_sessions.c.seen_at > now - IDLE_LIFE)


def _verify(hashed: str, password: str) -> bool:
    try:
        return _HASHER.verify(hashed, password)
    except (VerificationError, InvalidHashError, UnicodeEncodeError):
        return False


def _role_of(connection: Connection, name: str) -> str | None:
    where = console_accounts.c.name == storable(name)
    return connection.scalar(select(console_accounts.c.role).where(where))


def _need(connection: Connection, name: str) -> None:
    if _role_of(connection, name) is None:
        raise NotFound(f"there is no account {name!r}")


def _need_administrator(connection: Connection) -> None:
    """Refuse a change after which nobody could change anything."""
    count = connection.scalar(
        select(func.count()).where(console_accounts.c.role == Role.ADMINISTRATOR.value)
    )
    if not count:
        raise InvalidInput("one administrator must stay: make another account one first")


def _new_link(connection: Connection, name: str) -> str:
    token = secrets.token_urlsafe(32)
    connection.execute(delete(console_links).where(console_links.c.account == name))
    row = {"digest": digest_of(token), "account": name, "expires_at": now_us() + LINK_LIFE}
    connection.execute(insert(console_links), row)
    return token


def _new_session(connection: Connection, name: str) -> str:
    token = secrets.token_urlsafe(32)
    now = now_us()
    old = (console_sessions.c.expires_at < now) | (console_sessions.c.seen_at < now - IDLE_LIFE)
    connection.execute(delete(console_sessions).where(old))
    row = {
        "digest": digest_of(token),
        "account": name,
        "created_at": now,
        "seen_at": now,
        "expires_at": now + SESSION_LIFE,
    }
    connection.execute(insert(console_sessions), row)
    return token
