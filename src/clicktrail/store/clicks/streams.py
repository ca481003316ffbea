"""The built-in streams: events in the order in which they were made, read by position."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, select

from clicktrail.base.ids import now_us
from clicktrail.store.clicks.tables import stream_events
from clicktrail.store.database.bulk import BulkInsert
from clicktrail.store.database.core import Database
from clicktrail.store.database.turns import APPENDING, take_turn


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """One event of a stream. ``position`` grows over all streams, with gaps."""

    position: int
    event_id: str
    stream: str
    payload: bytes
    at: int


@dataclass(frozen=True, slots=True)
class NewStreamEvent:
    """An event to append."""

    stream: str
    event_id: str
    payload: bytes
    at: int


class Streams:
    """Reads and extends the built-in streams. Every method may raise `StoreUnavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def append(self, events: Sequence[NewStreamEvent]) -> None:
        """Append events; they are durable on return."""
        await self._database.write(lambda connection: append(connection, events))

    async def read(self, stream: str | None, after: int, limit: int) -> list[StreamEvent]:
        """Return up to ``limit`` events after a position, the oldest first.

        Without ``stream``, those of all streams.
        """
        query = select(stream_events).where(stream_events.c.position > after)
        if stream is not None:
            query = query.where(stream_events.c.stream == stream)
        query = query.order_by(stream_events.c.position).limit(limit)
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return [StreamEvent(r.position, r.event_id, r.stream, r.payload, r.at) for r in rows]

    async def last(self, stream: str | None = None) -> int:
        """Return the position of the newest event; 0 where there is none."""
        return await self._position(stream, 0)

    async def back_from_end(self, stream: str | None, count: int) -> int:
        """Return the position after which the newest ``count`` events come."""
        return await self._position(stream, count)

    async def names(self) -> list[str]:
        """Return the names of the streams that hold events, in order."""

        def work(connection: Connection) -> list[str]:
            found: list[str] = []
            # One index look-up for each name: DISTINCT would walk through all events.
            query = select(func.min(stream_events.c.stream))
            name = connection.scalar(query)
            while name is not None:
                found.append(name)
                name = connection.scalar(query.where(stream_events.c.stream > name))
            return found

        return await self._database.read(work)

    async def forget(self, before: int, limit: int = 500) -> int:
        """Delete up to ``limit`` events made before a time; return how many."""
        position, at = stream_events.c.position, stream_events.c.at
        # Positions grow with time. Only events made while the clock was ahead stand before older
        # ones: they are passed over, and the others need not be looked at.
        known = at <= max(now_us(), before)
        first = select(position, at).where(known).order_by(position).limit(limit)

        def work(connection: Connection) -> int:
            old = [row.position for row in connection.execute(first) if row.at < before]
            if old:
                connection.execute(delete(stream_events).where(position.in_(old)))
            return len(old)

        return await self._database.write(work)

    async def _position(self, stream: str | None, back: int) -> int:
        query = select(stream_events.c.position).order_by(stream_events.c.position.desc())
        if stream is not None:
            query = query.where(stream_events.c.stream == stream)
        query = query.offset(back).limit(1)
        return await self._database.read(lambda connection: connection.scalar(query)) or 0


def append(connection: Connection, events: Iterable[NewStreamEvent]) -> None:
    """Append events within a transaction."""
    if rows := [(e.stream, e.event_id, e.at, e.payload) for e in events]:
        take_turn(connection, APPENDING)
        _APPEND.run(connection, rows)


_APPEND = BulkInsert(stream_events, ("stream", "event_id", "at", "payload"))
