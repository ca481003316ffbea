"""Access keys: who may call the API, and send by SMTP with the same keys.

A secret must be read again, to compute signatures with it: it is sealed (`clicktrail.keys.vault`).
"""

import base64
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, insert, select, update

from clicktrail.base.ids import now_us
from clicktrail.errors import InvalidInput, NotFound, StoreUnavailable
from clicktrail.keys.vault import Vault
from clicktrail.model import Scope
from clicktrail.store.configuration_rows import bump
from clicktrail.store.configuration_store import ConfigurationStore
from clicktrail.store.database.core import Database, storable
from clicktrail.store.people.tables import access_keys

DESCRIPTION_LIMIT = 256
MOST_KNOWN = 1000
"""Keys that are remembered; all are read again then."""


@dataclass(frozen=True, slots=True)
class AccessKey:
    """An access key without its secret."""

    id: str
    scopes: frozenset[str]
    description: str
    created_at: int
    disabled_at: int | None


class AccessKeyStore:
    """Keeps access keys. Every method may raise `StoreUnavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(
        self, vault: Vault, scopes: Iterable[str], description: str = ""
    ) -> tuple[str, str]:
        """Add a key; return its id and its secret, which is shown to nobody again.

        Raises `InvalidInput`.
        """
        wanted = sorted({_scope(each) for each in scopes})
        if not wanted:
            raise InvalidInput("an access key needs at least one scope: send, manage or read")
        if len(description) > DESCRIPTION_LIMIT or not description.isprintable():
            raise InvalidInput(f"the description is longer than {DESCRIPTION_LIMIT} characters")
        # As long as the ids and secrets of AWS, which some clients check.
        key_id = "AKCT" + base64.b32encode(secrets.token_bytes(10)).decode()
        secret = base64.b64encode(secrets.token_bytes(30)).decode()
        row = {
            "id": key_id,
            "secret": vault.seal(secret.encode(), _purpose(key_id)),
            "scopes": ",".join(wanted),
            "description": description,
            "created_at": now_us(),
            "disabled_at": None,
        }
        await self._database.write(lambda c: c.execute(insert(access_keys), row))
        return key_id, secret

    async def secret(self, vault: Vault, key_id: str) -> tuple[str, frozenset[str]] | None:
        """Return the secret and the scopes of a key; ``None`` where it is not there, or is off.

        Raises `InvalidInput` where it was sealed with another vault's key.
        """
        query = select(access_keys).where(
            access_keys.c.id == storable(key_id), access_keys.c.disabled_at.is_(None)
        )
        row = await self._database.read(lambda connection: connection.execute(query).first())
        if row is None:
            return None
        secret = vault.open(row.secret, _purpose(key_id)).decode()
        return secret, frozenset(row.scopes.split(","))

    async def sealed(self, most: int | None = None) -> Sequence[tuple[str, bytes]]:
        """Return the secrets of keys that are not off, each with what it was sealed for.

        Of the ``most`` newest keys, or of all.
        """
        query = select(access_keys).where(access_keys.c.disabled_at.is_(None))
        query = query.order_by(access_keys.c.created_at.desc()).limit(most)
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return [(_purpose(row.id), bytes(row.secret)) for row in rows]

    async def list(self) -> list[AccessKey]:
        """Return all keys, the oldest first."""
        query = select(access_keys).order_by(access_keys.c.created_at, access_keys.c.id)
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return [
            AccessKey(
                r.id, frozenset(r.scopes.split(",")), r.description, r.created_at, r.disabled_at
            )
            for r in rows
        ]

    async def disable(self, key_id: str) -> None:
        """Switch a key off for good. Raises `NotFound`."""
        statement = (
            update(access_keys)
            .where(access_keys.c.id == storable(key_id), access_keys.c.disabled_at.is_(None))
            .values(disabled_at=now_us())
        )

        def work(connection: Connection) -> None:
            if not connection.execute(statement).rowcount:
                raise NotFound(f"there is no access key {key_id!r} that could be switched off")
            bump(connection)  # its emails that are coming in now are looked at again

        await self._database.write(work)


class SealedKeys:
    """The access keys of a store together with the vault that opens them.

    A key that was asked for is remembered until the configuration has changed, as it does when a
    key is switched off; ``configuration`` says so.
    """

    def __init__(
        self, keys: AccessKeyStore, vault: Vault, configuration: ConfigurationStore
    ) -> None:
        self._keys = keys
        self._vault = vault
        self._configuration = configuration
        self._version = -1
        self._known: dict[str, tuple[str, frozenset[str]]] = {}

    async def secret(self, key_id: str) -> tuple[str, frozenset[str]] | None:
        """See `AccessKeyStore.secret`; a key that cannot be opened is no fault of who uses it."""
        version = (await self._configuration.current()).version
        if version != self._version or len(self._known) >= MOST_KNOWN:
            self._version = version
            self._known = {}
        found = self._known.get(key_id)
        if found is None:
            known = self._known  # of the version that was there before the key was looked for
            try:
                found = await self._keys.secret(self._vault, key_id)
            except InvalidInput as error:
                raise StoreUnavailable(str(error)) from None
            if found is not None:
                known[key_id] = found
        return found


def _scope(text: str) -> str:
    try:
        return Scope(text).value
    except ValueError:
        raise InvalidInput(f"{text!r} is no scope: use send, manage or read") from None


def _purpose(key_id: str) -> str:
    return f"access-key {key_id}"
