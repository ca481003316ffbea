"""Mailings: tracked emails of one configuration set with the same subject, or with the same tag."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, Select, Table, delete, func, select

from clicktrail.store.clicks.statistics import Counts, total
from clicktrail.store.clicks.tables import mailing_counts, mailing_links
from clicktrail.store.database.core import Database
from clicktrail.store.mail.tables import mailings


@dataclass(frozen=True, slots=True)
class Mailing:
    """One mailing. ``kind`` is ``subject`` or ``tag``, ``name`` the subject or ``name=value``."""

    digest: bytes
    kind: str
    name: str
    configuration_set: str
    sent: int
    """Emails that the smarthost took; each has one recipient."""
    first_at: int
    last_at: int
    message_id: str
    """The newest of its emails."""


@dataclass(frozen=True, slots=True)
class PlaceClicks:
    """The clicks of one link: of all emails of a mailing, or of one email."""

    link: int
    """Its number in the email, from 0."""
    url: str
    clicks: int
    unique_clicks: int
    human_clicks: int


class Mailings:
    """Reads mailings. Every method may raise `StoreUnavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def newest(self, kind: str, limit: int, before: int | None = None) -> list[Mailing]:
        """Return mailings of a kind by their newest email, the last first.

        With ``before``, those whose newest email is older than that time.
        """
        query = select(mailings).where(mailings.c.kind == kind)
        if before is not None:
            query = query.where(mailings.c.last_at < before)
        query = query.order_by(mailings.c.last_at.desc()).limit(limit)
        return [
            _mailing(row) for row in await self._database.read(lambda c: c.execute(query).all())
        ]

    async def get(self, digest: bytes) -> Mailing | None:
        """Return a mailing."""
        query = select(mailings).where(mailings.c.digest == digest)
        row = await self._database.read(lambda connection: connection.execute(query).first())
        return _mailing(row) if row is not None else None

    async def counts(self, digests: Sequence[bytes]) -> dict[bytes, Counts]:
        """Return what is counted of mailings, but for ``sent``; those not clicked are left out."""

        def query(table: Table, *names: str) -> Select[Any]:
            key = table.c.digest
            sums = [total(table.c[name]) for name in names]
            return select(key, *sums).where(key.in_(list(digests))).group_by(key)

        def work(connection: Connection) -> dict[bytes, Counts]:
            found: defaultdict[bytes, Counts] = defaultdict(Counts)
            names = ("clicks", "unique_clicks", "human_clicks")
            for digest, *numbers in connection.execute(query(mailing_links, *names)):
                found[digest].add(Counts(0, *numbers))
            for digest, clicked in connection.execute(query(mailing_counts, "clicked")):
                found[digest].clicked = clicked
            return found

        return await self._database.read(work)

    async def links(self, digest: bytes) -> list[PlaceClicks]:
        """Return the clicks of its links, in the order of the email."""
        at = mailing_links.c
        numbers = (total(at.clicks), total(at.unique_clicks), total(at.human_clicks))
        query = (
            select(at.link, func.min(at.url), *numbers)
            .where(at.digest == digest)
            .group_by(at.link)
            .order_by(at.link)
        )
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return [PlaceClicks(*row) for row in rows]

    async def forget(self, before: int, limit: int = 500) -> int:
        """Delete up to ``limit`` mailings whose last email is older than that; return how many."""
        old = select(mailings.c.digest).where(mailings.c.last_at < before).limit(limit)

        def work(connection: Connection) -> int:
            digests = list(connection.scalars(old))
            for table in (mailings, mailing_links, mailing_counts):
                connection.execute(delete(table).where(table.c.digest.in_(digests)))
            return len(digests)

        return await self._database.write(work)


def _mailing(row: Row[Any]) -> Mailing:
    return Mailing(
        row.digest, row.kind, row.name, row.configuration_set, row.sent, row.first_at,
        row.last_at, row.message_id,
    )  # fmt: skip
