"""Who clicked: emails with the clicks of their links, of a mailing, of a link, or of a time."""

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, select

from clicktrail.base.ids import ID_LENGTH
from clicktrail.errors import NotFound
from clicktrail.model import Message, Verdict
from clicktrail.store.clicks.tables import clicked_links, clicks
from clicktrail.store.clicks.tally import verdict_of
from clicktrail.store.database.core import Database, storable
from clicktrail.store.finding.search import find
from clicktrail.store.finding.texts import Clicked, Query, folded
from clicktrail.store.mail.grouping import subject_of
from clicktrail.store.mail.rows import messages_of
from clicktrail.store.mail.tables import mailings

PAGE = 200
"""Emails that are read at once."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Whose clicks are wanted: of those that fit all that is given."""

    text: str = ""
    """What is looked for in the email, as `Query.parse` reads it."""
    mailing: bytes | None = None
    """The digest of a mailing."""
    link: str = ""
    """What is somewhere in the link's URL, in any letter case."""
    since: int = 0
    """Links that were clicked at this time (microseconds) or later."""

    def query(self) -> Query:
        """Return which emails may be meant. Raises `InvalidInput`."""
        asked = Query.parse(f"{self.text} {self.link}")
        return replace(asked, clicked=Clicked.YES, since=self.since, mailing=self.mailing)

    def lets(self, url: str, last_at: int) -> bool:
        """Whether a clicked link of such an email is meant."""
        return last_at >= self.since and folded(storable(self.link)) in folded(storable(url))


@dataclass(frozen=True, slots=True)
class Clicker:
    """The recipient of an email who clicked, or a machine that did. Times are microseconds."""

    message_id: str
    recipient: str
    """``""`` where it is not kept any more."""
    subject: str
    configuration_set: str
    first_at: int
    last_at: int
    clicks: int
    human_clicks: int
    verdict: Verdict | None
    """``human`` where one of the clicks is a person's; ``None`` where they were forgotten."""
    links: tuple[str, ...]
    """The URLs that were clicked, in the order of the email."""


class Clickers:
    """Reads who clicked. Every method may raise `StoreUnavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(
        self, wanted: Wanted, limit: int, before: str | None = None
    ) -> tuple[list[Clicker], str]:
        """Return up to ``limit``, those of the newest emails first, and where the rest begins.

        That is ``before`` of the next call; ``""`` where there is nothing more. There may be less
        of them and more all the same (`Search.find`).
        """
        query = wanted.query()

        def work(connection: Connection) -> tuple[list[Clicker], str]:
            found = find(connection, query, limit, before)
            ids = [row.id for row in found.rows]
            return _clickers(connection, wanted, ids), found.older

        return await self._database.read(work)

    async def all(self, wanted: Wanted) -> AsyncIterator[list[Clicker]]:
        """Yield all of them, a few at a time: as much as there is, it takes no more memory."""
        before: str | None = None
        while before != "":
            some, before = await self.find(wanted, PAGE, before)
            yield some

    async def mailings(self, name: str) -> list[bytes]:
        """Return the digests of mailings of a name: a subject, or ``tag=value``.

        Or of the digest itself, in hexadecimal digits. Raises `NotFound` where there is none.
        """
        query = select(mailings.c.digest).where(mailings.c.name == storable(name))
        found = list(await self._database.read(lambda c: c.scalars(query).all()))
        if not found and len(name) == 32:
            try:
                found = [bytes.fromhex(name)]
            except ValueError:
                found = []
        if not found:
            raise NotFound(f"there is no mailing {name!r}: give its subject, or its tag=value")
        return found


def _clickers(connection: Connection, wanted: Wanted, ids: Sequence[str]) -> list[Clicker]:
    rows: dict[str, list[Any]] = {id_: [] for id_ in ids}
    of_them = clicked_links.c.message_id.in_(ids)
    query = select(clicked_links).where(of_them).order_by(clicked_links.c.link)
    for row in connection.execute(query):
        rows[row.message_id].append(row)
    known = {message.id: message for message in messages_of(connection, ids)}
    found = [_clicker(known[id_], wanted, rows[id_]) for id_ in ids if id_ in known]
    here = [each for each in found if each is not None]
    machines = [each.message_id for each in here if not each.human_clicks]
    verdicts = _verdicts(connection, (row for id_ in machines for row in rows[id_]))
    return [
        replace(each, verdict=Verdict.HUMAN if each.human_clicks else verdicts.get(each.message_id))
        for each in here
    ]


def _clicker(message: Message, wanted: Wanted, rows: Iterable[Any]) -> Clicker | None:
    urls = {link.index: link.url for link in message.links}
    meant = [row for row in rows if wanted.lets(urls.get(row.link, ""), row.last_at)]
    if not meant:
        return None
    return Clicker(
        message.id,
        message.recipients[0] if message.recipients else "",
        subject_of(message.headers),
        message.configuration_set or "",
        min((row.first_at for row in meant if row.first_at), default=0),
        max(row.last_at for row in meant),
        sum(row.clicks for row in meant),
        sum(row.human_clicks for row in meant),
        None,
        tuple(urls.get(row.link, "") for row in meant),
    )


def _verdicts(connection: Connection, rows: Iterable[Any]) -> dict[str, Verdict]:
    """Return the verdict of emails that no person clicked, by the newest click of each link."""
    newest = [row.recent[-ID_LENGTH:] for row in rows if row.recent]
    query = select(clicks.c.message_id, clicks.c.verdict)
    found: dict[str, Verdict] = {}
    for start in range(0, len(newest), 500):
        some = query.where(clicks.c.event_id.in_(newest[start : start + 500]))
        for row in connection.execute(some):
            if found.get(row.message_id) is not Verdict.SUSPECT:
                found[row.message_id] = verdict_of(row.verdict)
    return found
