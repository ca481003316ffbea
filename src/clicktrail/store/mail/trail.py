"""What became of one email: the clicks of its links, and where they were told."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import Connection, Row, Select, select

from clicktrail.base.ids import ID_LENGTH
from clicktrail.store.clicks.tables import clicked_links, clicks, delivered, outbox, stream_events
from clicktrail.store.database.core import Database, storable
from clicktrail.store.mail.browse import ClickRow, click_row
from clicktrail.store.mail.html import link_texts, unpack_html
from clicktrail.store.mail.tables import message_html, messages

_AT_ONCE = 20
"""Emails whose HTML is in memory at once."""


@dataclass(frozen=True, slots=True)
class LinkTrail:
    """The clicks of one link of one email. Times are microseconds since 1970 UTC; 0: unknown."""

    link: int
    clicks: int
    human_clicks: int
    first_at: int
    last_at: int


@dataclass(frozen=True, slots=True)
class Told:
    """A notification and how far it came."""

    event_id: str
    where: str
    """Configuration set and destination, or the built-in stream."""
    state: str
    """``in the stream``, ``delivered``, ``waiting`` or ``dead``."""
    at: int
    """When it arrived, when it is tried next, or when it died."""
    attempts: int = 0
    error: str = ""


class Trail:
    """Reads what became of emails. Every method may raise `StoreUnavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def links(self, message_id: str) -> tuple[dict[int, LinkTrail], list[ClickRow]]:
        """Return an email's clicked links by number, and its newest clicks, the oldest first.

        Of each link there are as many as are remembered (`clicktrail.store.clicks.clicks.RECENT`).
        """
        where = clicked_links.c.message_id == storable(message_id)

        def work(connection: Connection) -> tuple[dict[int, LinkTrail], list[ClickRow]]:
            rows = connection.execute(select(clicked_links).where(where)).all()
            ids = [each for row in rows for each in _ids(row.recent)]
            found = (
                select(clicks, messages.c.configuration_set)
                .outerjoin(messages, messages.c.id == clicks.c.message_id)
                .where(clicks.c.event_id.in_(ids[:1000]))
                .order_by(clicks.c.event_id)
            )
            seen = [click_row(row) for row in connection.execute(found)] if ids else []
            places = {
                r.link: LinkTrail(r.link, r.clicks, r.human_clicks, r.first_at, r.last_at)
                for r in rows
            }
            return places, seen

        return await self._database.read(work)

    async def told(self, event_ids: Iterable[str]) -> dict[str, list[Told]]:
        """Return the notifications of events, by the ids of the events."""

        def work(connection: Connection) -> dict[str, list[Told]]:
            return {event_id: _told(connection, event_id) for event_id in event_ids}

        return await self._database.read(work)

    async def html(self, message_id: str) -> tuple[str, ...]:
        """Return the HTML parts that were kept of an email; none where they were not."""
        query = select(message_html.c.html).where(message_html.c.message_id == message_id)
        kept = await self._database.read(lambda connection: connection.scalar(query))
        return unpack_html(kept) if kept else ()

    async def link_texts(self, message_ids: Iterable[str]) -> dict[str, dict[int, str]]:
        """Return what can be read on the links of emails whose HTML is kept, by number."""
        ids, at = list(message_ids), message_html.c
        found: dict[str, dict[int, str]] = {}
        for start in range(0, len(ids), _AT_ONCE):
            some = ids[start : start + _AT_ONCE]
            query = select(at.message_id, at.html).where(at.message_id.in_(some), at.html != b"")
            kept = await self._database.read(partial(_rows, query))
            # Outside bytes, up to a megabyte each: no event loop waits for what is in them.
            found |= await asyncio.to_thread(_link_texts, kept)
        return found


def _rows(query: Select[Any], connection: Connection) -> Sequence[Row[Any]]:
    return connection.execute(query).all()


def _link_texts(kept: Iterable[Row[Any]]) -> dict[str, dict[int, str]]:
    return {row.message_id: link_texts(unpack_html(row.html)) for row in kept}


def _ids(joined: str) -> list[str]:
    return [joined[at : at + ID_LENGTH] for at in range(0, len(joined), ID_LENGTH)]


def _told(connection: Connection, event_id: str) -> list[Told]:
    # Every destination has an id of its own, which begins with that of the event.
    end = event_id + "~"
    found: list[Told] = []
    at = stream_events.c
    query = select(at.event_id, at.stream, at.at).where(at.event_id.between(event_id, end))
    for row in connection.execute(query):
        found.append(Told(row.event_id, f"stream {row.stream}", "in the stream", row.at))
    for row in connection.execute(
        select(delivered).where(delivered.c.event_id.between(event_id, end))
    ):
        where = f"{row.configuration_set} / {row.destination}"
        found.append(Told(row.event_id, where, "delivered", row.at, row.attempts))
    for row in connection.execute(select(outbox).where(outbox.c.event_id.between(event_id, end))):
        where = f"{row.configuration_set} / {row.destination}"
        state, when = ("dead", row.died_at) if row.died_at else ("waiting", row.next_at or 0)
        found.append(Told(row.event_id, where, state, when, row.attempts, row.last_error))
    return sorted(found, key=lambda each: each.event_id)
