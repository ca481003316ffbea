"""Tags of what has a name (SES: ``TagResource``): configuration sets, identities, contact lists,
templates."""

from collections.abc import Callable

from sqlalchemy import Connection, Table, select, update

from clicktrail.errors import NotFound
from clicktrail.model import ResourceTags
from clicktrail.store.configuration_rows import bump
from clicktrail.store.database.core import Database, storable
from clicktrail.store.mail.tables import email_templates
from clicktrail.store.people.tables import contact_lists
from clicktrail.store.tables import configuration_sets, identities
from clicktrail.store.validation import dump_tags, load_tags, normal_identity_name

_TABLES: dict[str, Table] = {
    "configuration-set": configuration_sets,
    "identity": identities,
    "contact-list": contact_lists,
    "template": email_templates,
}
KINDS = tuple(_TABLES)
"""What has tags, as ARNs call it."""


class ResourceTagStore:
    """Reads and changes tags. Every method may raise `StoreUnavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, kind: str, name: str) -> ResourceTags:
        """Return the tags of one of the `KINDS`. Raises `NotFound`."""
        return await self._database.read(
            lambda connection: _tags(connection, kind, _key(kind, name))
        )

    async def change(
        self, kind: str, name: str, change: Callable[[dict[str, str]], dict[str, str]]
    ) -> None:
        """Replace tags by what ``change`` makes of them. Raises `NotFound`, `InvalidInput`.

        Nobody else changes them meanwhile; it may be called again.
        """
        table, key = _TABLES[kind], _key(kind, name)

        def work(connection: Connection) -> None:
            tags = change(dict(_tags(connection, kind, key, locked=True)))
            values = {"tags": dump_tags(tuple(tags.items()))}
            connection.execute(update(table).where(table.c.name == key).values(values))
            if table in (configuration_sets, identities):  # which processes have in memory
                bump(connection)

        await self._database.write(work)


def _tags(connection: Connection, kind: str, key: str, *, locked: bool = False) -> ResourceTags:
    table = _TABLES[kind]
    query = select(table.c.tags).where(table.c.name == key)
    kept = connection.scalar(query.with_for_update() if locked else query)
    if kept is None:
        raise NotFound(f"there is no {kind.replace('-', ' ')} {key[:320]!a}")
    return load_tags(kept)


def _key(kind: str, name: str) -> str:
    return storable(normal_identity_name(name) if kind == "identity" else name)
