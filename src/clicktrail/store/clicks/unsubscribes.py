"""Unsubscribes: kept, counted, told and obeyed in one transaction, each exactly once."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sqlalchemy import Connection, select

from clicktrail.model import Subscription, Where
from clicktrail.rules.recipients import recipient_key
from clicktrail.store.clicks.clicks import send_all
from clicktrail.store.clicks.statistics import Dimensions, adding, chosen, total
from clicktrail.store.clicks.tables import unsubscribe_counters, unsubscribes
from clicktrail.store.clicks.tally import Outgoing
from clicktrail.store.clicks.zoned import days_of
from clicktrail.store.database.bulk import BulkInsert
from clicktrail.store.database.core import Database, storable
from clicktrail.store.database.older import delete_older
from clicktrail.store.database.turns import take_shard
from clicktrail.store.people.erased import erased_among, reduced_event
from clicktrail.store.people.suppression import SuppressionReason, suppress
from clicktrail.store.people.unsubscribed import Unsubscribed, unsubscribe

if TYPE_CHECKING:
    pass

MOST_SHOWN = 50
"""So many unsubscribes of an email are shown, the newest."""


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """A request to unsubscribe as it is kept. ``topic`` is ``""`` for the list as a whole."""

    event_id: str
    message_id: str
    unsubscribed_at: int
    contact_list: str
    topic: str


@dataclass(frozen=True, slots=True)
class LoggedUnsubscribe:
    """A request to record: from what, what it counts as, and who is told."""

    unsubscribe: Unsubscribe
    subscription: Subscription
    dimensions: Dimensions
    """Of its day."""
    outgoing: tuple[Outgoing, ...] = ()


@dataclass(frozen=True, slots=True)
class DayOfUnsubscribes:
    """What was counted in one day (UTC)."""

    day: str
    unsubscribes: int


class UnsubscribeStore:
    """Records unsubscribes. Every method may raise `StoreUnavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def record(
        self, logged: Sequence[LoggedUnsubscribe], *, suppressing: bool = False
    ) -> int:
        """Record requests with all that follows from them; return how many were new.

        One whose event id is recorded already changes nothing and notifies nobody. Of one of an
        email whose recipient was erased, only that it happened is told; the wish is kept. With
        ``suppressing``, who leaves a list as a whole is put on the suppression list too.
        """
        first = {each.unsubscribe.event_id: each for each in reversed(logged)}
        return await self._database.write(
            lambda c: _record(c, [first[id_] for id_ in sorted(first)], suppressing=suppressing)
        )

    async def of(self, message_id: str) -> list[Unsubscribe]:
        """Return the newest unsubscribes by an email, the oldest first."""
        at = unsubscribes.c
        query = (
            select(at.event_id, at.message_id, at.unsubscribed_at, at.contact_list, at.topic)
            .where(at.message_id == storable(message_id))
            .order_by(at.event_id.desc())
            .limit(MOST_SHOWN)
        )
        rows = await self._database.read(lambda c: c.execute(query).all())
        return [Unsubscribe(*row) for row in reversed(rows)]

    async def daily(self, where: Where) -> list[DayOfUnsubscribes]:
        """Return the days on which somebody unsubscribed, the earliest first. Tags say nothing."""
        at = unsubscribe_counters.c
        query = (
            select(at.day, total(at.unsubscribes))
            .where(*chosen(unsubscribe_counters, days_of(where)))
            .group_by(at.day)
            .order_by(at.day)
        )
        rows = await self._database.read(lambda c: c.execute(query).all())
        return [DayOfUnsubscribes(*row) for row in rows]

    async def forget(self, before: int, limit: int = 500) -> int:
        """Delete up to ``limit`` requests from before a time; return how many.

        They stay counted, and in force.
        """
        return await self._database.write(
            lambda c: delete_older(c, unsubscribes.c.event_id, before, limit)
        )


def _record(
    connection: Connection, logged: Sequence[LoggedUnsubscribe], *, suppressing: bool
) -> int:
    erased = erased_among(connection, (each.unsubscribe.message_id for each in logged))
    logged = [_reduced(e) if e.unsubscribe.message_id in erased else e for e in logged]
    rows = [
        (
            each.unsubscribe.event_id,
            each.unsubscribe.message_id,
            each.unsubscribe.unsubscribed_at,
            each.unsubscribe.contact_list,
            each.unsubscribe.topic,
        )
        for each in logged
    ]
    added = {row[0] for row in _ADD.run(connection, rows)}
    new = [each for each in logged if each.unsubscribe.event_id in added]
    counts: defaultdict[Dimensions, int] = defaultdict(int)
    for each in new:
        counts[each.dimensions] += 1
    shard = take_shard(connection)
    _COUNT.run(connection, [(*key, shard, number) for key, number in sorted(counts.items())])
    wishes: tuple[list[Unsubscribed], list[Unsubscribed]] = [], []
    for each in new:
        wish = Unsubscribed(each.subscription, each.unsubscribe.unsubscribed_at)
        wishes[each.unsubscribe.message_id in erased].append(wish)
    unsubscribe(connection, *wishes)
    if suppressing:
        named, hidden = [
            {recipient_key(w.subscription.address) for w in some if not w.subscription.topic}
            for some in wishes
        ]
        suppress(
            connection, dict.fromkeys(named | hidden, SuppressionReason.UNSUBSCRIBE), hidden - named
        )
    send_all(connection, (one for each in new for one in each.outgoing))
    return len(new)


def _reduced(logged: LoggedUnsubscribe) -> LoggedUnsubscribe:
    outgoing = tuple(replace(e, payload=reduced_event(e.payload)) for e in logged.outgoing)
    return replace(logged, outgoing=outgoing)


_ADD = BulkInsert(
    unsubscribes, finish=lambda s: s.on_conflict_do_nothing().returning(unsubscribes.c.event_id)
)
_COUNT = adding(unsubscribe_counters, ("unsubscribes",))
