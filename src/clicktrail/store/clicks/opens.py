"""Opens: kept, counted and turned into notifications in one transaction, each exactly once."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sqlalchemy import Connection, select, update

from clicktrail.model import Verdict, Where
from clicktrail.store.clicks.clicks import send_all
from clicktrail.store.clicks.statistics import Dimensions, adding, chosen, total
from clicktrail.store.clicks.tables import open_counters, opens
from clicktrail.store.clicks.tally import Outgoing, verdict_of
from clicktrail.store.clicks.zoned import days_of
from clicktrail.store.database.bulk import BulkInsert
from clicktrail.store.database.core import Database, storable
from clicktrail.store.database.older import delete_older
from clicktrail.store.database.turns import take_shard
from clicktrail.store.people.erased import erased_among, reduced_event

if TYPE_CHECKING:
    pass

MOST_SHOWN = 50
"""So many opens of an email are shown, the newest."""


@dataclass(frozen=True, slots=True)
class Open:
    """An open as it is kept. ``proxy`` names the image proxy that fetched it, ``""`` for none.

    Its texts are as a database can hold them (`clicktrail.store.clicks.clicks.storable_click`).
    """

    event_id: str
    message_id: str
    opened_at: int
    verdict: Verdict
    reasons: tuple[str, ...]
    proxy: str
    ip: str
    user_agent: str


@dataclass(frozen=True, slots=True)
class LoggedOpen:
    """An open to record: what was seen, what it counts as, and who is told."""

    open: Open
    dimensions: Dimensions
    """Of its day."""
    outgoing: tuple[Outgoing, ...] = ()


@dataclass(frozen=True, slots=True)
class DayOfOpens:
    """What was counted in one day (UTC)."""

    day: str
    opens: int
    human_opens: int


class OpenStore:
    """Records opens. Every method may raise `StoreUnavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def record(self, logged: Sequence[LoggedOpen]) -> list[Open]:
        """Record opens with all that follows from them; return the new ones.

        An open whose event id is recorded already changes nothing and notifies nobody. Of one of
        an email whose recipient was erased, only that it happened is kept and told.
        """
        first = {each.open.event_id: each for each in reversed(logged)}
        return await self._database.write(
            lambda c: _record(c, [first[id_] for id_ in sorted(first)])
        )

    async def of(self, message_id: str) -> list[Open]:
        """Return the newest opens of an email, the oldest first."""
        query = (
            select(opens)
            .where(opens.c.message_id == storable(message_id))
            .order_by(opens.c.event_id.desc())
            .limit(MOST_SHOWN)
        )
        rows = await self._database.read(lambda c: c.execute(query).all())
        return [
            Open(
                row.event_id,
                row.message_id,
                row.opened_at,
                verdict_of(row.verdict),
                tuple(row.reasons.split()),
                row.proxy,
                row.ip,
                row.user_agent,
            )
            for row in reversed(rows)
        ]

    async def daily(self, where: Where) -> list[DayOfOpens]:
        """Return the days on which opens were counted, the earliest first. Tags say nothing."""
        at = open_counters.c
        query = (
            select(at.day, total(at.opens), total(at.human_opens))
            .where(*chosen(open_counters, days_of(where)))
            .group_by(at.day)
            .order_by(at.day)
        )
        rows = await self._database.read(lambda c: c.execute(query).all())
        return [DayOfOpens(*row) for row in rows]

    async def forget(self, before: int, limit: int = 500) -> int:
        """Delete up to ``limit`` opens logged before a time; return how many. They stay counted."""
        return await self._database.write(
            lambda c: delete_older(c, opens.c.event_id, before, limit)
        )


def erase_opens(connection: Connection, message_ids: Sequence[str]) -> int:
    """Leave of these emails' opens only that they happened; return of how many."""
    theirs = opens.c.message_id.in_(message_ids)
    named = (opens.c.ip != "") | (opens.c.user_agent != "")
    erasing = update(opens).where(theirs, named).values(ip="", user_agent="")
    return connection.execute(erasing).rowcount


def _record(connection: Connection, logged: Sequence[LoggedOpen]) -> list[Open]:
    erased = erased_among(connection, (each.open.message_id for each in logged))
    logged = [_without_person(e) if e.open.message_id in erased else e for e in logged]
    rows = [
        (
            each.open.event_id,
            each.open.message_id,
            each.open.opened_at,
            each.open.verdict.value,
            " ".join(each.open.reasons),
            each.open.proxy,
            each.open.ip,
            each.open.user_agent,
        )
        for each in logged
    ]
    added = {row[0] for row in _ADD.run(connection, rows)}
    new = [each for each in logged if each.open.event_id in added]
    counts: defaultdict[Dimensions, list[int]] = defaultdict(lambda: [0, 0])
    for each in new:
        counted = counts[each.dimensions]
        counted[0] += 1
        counted[1] += each.open.verdict is Verdict.HUMAN
    shard = take_shard(connection)
    _COUNT.run(connection, [(*key, shard, *numbers) for key, numbers in sorted(counts.items())])
    send_all(connection, (one for each in new for one in each.outgoing))
    return [each.open for each in new]


def _without_person(logged: LoggedOpen) -> LoggedOpen:
    outgoing = tuple(replace(e, payload=reduced_event(e.payload)) for e in logged.outgoing)
    return replace(logged, open=replace(logged.open, ip="", user_agent=""), outgoing=outgoing)


_ADD = BulkInsert(opens, finish=lambda s: s.on_conflict_do_nothing().returning(opens.c.event_id))
_COUNT = adding(open_counters, ("opens", "human_opens"))
