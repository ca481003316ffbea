"""Mailings: tracked emails of one configuration set with the same subject, or with the same tag."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, Select, Table, delete, func, or_, select

from clicktrail.store.clicks.statistics import Counts, total
from clicktrail.store.clicks.tables import mailing_counts, mailing_links
from clicktrail.store.database.core import Database, storable
from clicktrail.store.mail.tables import mailing_versions, mailings


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


@dataclass(frozen=True, slots=True)
class Version:
    """Emails of a mailing whose links lead to the same, in the same order."""

    version: bytes
    sent: int
    message_id: str
    """The newest of them."""
    clicks: int


@dataclass(frozen=True, slots=True)
class Sought:
    """Which mailings are looked for: those that fit all that is given."""

    kind: str
    text: str = ""
    """What is somewhere in the name, in any letter case."""
    configuration_set: str = ""
    since: int | None = None
    """With an email at this time or later; microseconds since 1970 UTC."""
    until: int | None = None
    """With an email before this time."""


LOOKED_AT = 10_000
"""Mailings that one search looks at, those with the newest email."""
_WINDOW = 2000


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

    async def find(
        self, sought: Sought, limit: int, before: int | None = None
    ) -> tuple[list[Mailing], int]:
        """Return up to ``limit`` mailings by their newest email, the last first, and before which
        time the next search looks: 0 where there is nothing older.

        There may be less of them and older ones all the same: it looks at `LOOKED_AT`. Those of one
        newest email, by its tags, are not parted: there may be more for that.
        """
        at, text = mailings.c, sought.text.casefold()
        query = select(mailings).where(at.kind == sought.kind)
        if sought.configuration_set:
            query = query.where(at.configuration_set == storable(sought.configuration_set))
        if sought.since is not None:
            query = query.where(at.last_at >= sought.since)
        if sought.until is not None:
            query = query.where(at.first_at < sought.until)
        query = query.order_by(at.last_at.desc(), at.digest.desc())
        size = _WINDOW if text else limit + 1

        def work(connection: Connection) -> tuple[list[Mailing], int]:
            found: list[Mailing] = []
            some = query if before is None else query.where(at.last_at < before)
            last = 0
            for _ in range(0, LOOKED_AT, size):
                rows = connection.execute(some.limit(size)).all()
                for row in rows:
                    if text in row.name.casefold():
                        if len(found) >= limit and row.last_at < found[-1].last_at:
                            return found, found[-1].last_at
                        found.append(_mailing(row))
                if len(rows) < size:
                    return found, 0
                last, digest = rows[-1].last_at, rows[-1].digest
                some = query.where(at.last_at <= last, or_(at.last_at < last, at.digest < digest))
            return found, last

        return await self._database.read(work)

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

    async def versions(self, digest: bytes, limit: int) -> list[Version]:
        """Return its versions, those of the most emails first."""
        at, counted = mailing_versions.c, mailing_links.c
        newest = (
            select(at.version, at.sent, at.message_id)
            .where(at.digest == digest)
            .order_by(at.sent.desc(), at.last_at.desc(), at.version)
            .limit(limit)
        )
        sums = (
            select(counted.version, total(counted.clicks))
            .where(counted.digest == digest)
            .group_by(counted.version)
        )

        def work(connection: Connection) -> list[Version]:
            rows = connection.execute(newest).all()
            shown = counted.version.in_([row.version for row in rows])
            clicks = {row[0]: row[1] for row in connection.execute(sums.where(shown))}
            return [Version(*row, clicks.get(row.version, 0)) for row in rows]

        return await self._database.read(work)

    async def links(self, digest: bytes, version: bytes | None = None) -> list[PlaceClicks]:
        """Return the clicks of its links, in the order of the email: of all, or of a version."""
        at = mailing_links.c
        numbers = (total(at.clicks), total(at.unique_clicks), total(at.human_clicks))
        query = (
            select(at.link, func.min(at.url), *numbers)
            .where(at.digest == digest)
            .group_by(at.link)
            .order_by(at.link)
        )
        if version is not None:
            query = query.where(at.version == version)
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return [PlaceClicks(*row) for row in rows]

    async def other_links(
        self, digest: bytes, versions: Iterable[bytes], limit: int
    ) -> list[PlaceClicks]:
        """Return the clicks of links of other versions than these, the most clicked first.

        Links that lead to different URLs are different, though their place be the same.
        """
        at = mailing_links.c
        clicks, *numbers = (total(at.clicks), total(at.unique_clicks), total(at.human_clicks))
        query = (
            select(at.link, at.url, clicks, *numbers)
            .where(at.digest == digest, at.version.not_in(list(versions)))
            .group_by(at.link, at.url)
            .order_by(clicks.desc(), at.link, at.url)
            .limit(limit)
        )
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return [PlaceClicks(*row) for row in rows]

    async def forget(self, before: int, limit: int = 500) -> int:
        """Delete up to ``limit`` mailings whose last email is older than that; return how many."""
        old = select(mailings.c.digest).where(mailings.c.last_at < before).limit(limit)

        def work(connection: Connection) -> int:
            digests = list(connection.scalars(old))
            for table in (mailings, mailing_links, mailing_counts, mailing_versions):
                connection.execute(delete(table).where(table.c.digest.in_(digests)))
            return len(digests)

        return await self._database.write(work)


def _mailing(row: Row[Any]) -> Mailing:
    return Mailing(
        row.digest, row.kind, row.name, row.configuration_set, row.sent, row.first_at,
        row.last_at, row.message_id,
    )  # fmt: skip
