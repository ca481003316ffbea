"""Templates that emails name: kept as they were given, rendered by `ingress.compose`."""

from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, insert, select, update

from clicktrail.base.ids import now_us
from clicktrail.errors import AlreadyExists, InvalidInput, NotFound
from clicktrail.model import ResourceTags, check_name
from clicktrail.store.configuration_rows import exists
from clicktrail.store.database.core import Database, storable
from clicktrail.store.mail.tables import email_templates as table
from clicktrail.store.validation import dump_tags, load_tags

SIZE_LIMIT = 500 * 1024
"""Bytes of a template, as in SES ("Service quotas"): subject, text and HTML together."""
MOST = 20_000
"""Templates of an account, as in SES."""


@dataclass(frozen=True, slots=True)
class EmailTemplate:
    """A template: the parts of an email, in the language of its renderer."""

    name: str
    subject: str
    text: str | None = None
    html: str | None = None
    tags: ResourceTags = ()


class TemplateStore:
    """Keeps templates. Every method may raise `StoreUnavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, made: EmailTemplate) -> None:
        """Add a template. Raises `AlreadyExists`, `InvalidInput`."""
        check_name(made.name, "template name")
        row = _parts(made) | {
            "name": made.name,
            "tags": dump_tags(made.tags),
            "created_at": now_us(),
        }

        def work(connection: Connection) -> None:
            if exists(connection, table, made.name):
                raise AlreadyExists(f"there is a template {made.name!r} already")
            if (connection.scalar(select(func.count()).select_from(table)) or 0) >= MOST:
                raise InvalidInput(f"there are {MOST} templates already: delete some")
            connection.execute(insert(table), row)

        await self._database.write(work)

    async def update(self, changed: EmailTemplate) -> None:
        """Replace the parts of the template of that name. Raises `NotFound`, `InvalidInput`."""
        where = table.c.name == storable(changed.name)
        statement = update(table).where(where).values(_parts(changed))
        if not await self._database.write(lambda c: c.execute(statement).rowcount):
            raise _missing(changed.name)

    async def get(self, name: str) -> EmailTemplate:
        """Return a template. Raises `NotFound`."""
        query = select(table).where(table.c.name == storable(name))
        row = await self._database.read(lambda connection: connection.execute(query).first())
        if row is None:
            raise _missing(name)
        return EmailTemplate(row.name, row.subject, row.text, row.html, load_tags(row.tags))

    async def delete(self, name: str) -> None:
        """Delete a template. Raises `NotFound`."""
        statement = delete(table).where(table.c.name == storable(name))
        if not await self._database.write(lambda c: c.execute(statement).rowcount):
            raise _missing(name)

    async def page(self, after: str = "", limit: int = 1000) -> list[tuple[str, int]]:
        """Return the names after one, in order, and when each was made."""
        query = select(table.c.name, table.c.created_at).where(table.c.name > storable(after))
        query = query.order_by(table.c.name).limit(limit)
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return [(str(row.name), int(row.created_at)) for row in rows]


def _parts(given: EmailTemplate) -> dict[str, str | None]:
    parts = {"subject": given.subject, "text": given.text, "html": given.html}
    if not given.subject:
        raise InvalidInput("TemplateContent.Subject: give one")
    if not given.text and not given.html:
        raise InvalidInput("TemplateContent: give Text, Html, or both")
    size = sum(len(part.encode("utf-8", "surrogatepass")) for part in parts.values() if part)
    if size > SIZE_LIMIT:
        raise InvalidInput(f"TemplateContent has {size} bytes: at most {SIZE_LIMIT} are kept")
    return {name: part and storable(part) for name, part in parts.items()}


def _missing(name: str) -> NotFound:
    return NotFound(f"there is no template {name[:64]!a}")
