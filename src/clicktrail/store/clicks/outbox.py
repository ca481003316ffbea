"""Notifications on their way, and dead letters.

A row is written in the transaction of the click it tells of. Whoever delivers claims rows first:
the attempt is counted and the next one set before anything is sent, so that a claim that was
lost in a crash comes up again by itself, and no two publishers send the same row at once.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BindParameter, Connection, bindparam, delete, func, select, update

from clicktrail.base.ids import now_us
from clicktrail.model import Waiting
from clicktrail.store.clicks.tables import delivered as delivered_events
from clicktrail.store.clicks.tables import deliveries, outbox
from clicktrail.store.database.bulk import BulkInsert
from clicktrail.store.database.core import Database, storable
from clicktrail.store.database.older import delete_older

ERROR_LIMIT = 500
"""How much of an error's text is kept."""


@dataclass(frozen=True, slots=True)
class Notification:
    """One event for one destination."""

    event_id: str
    configuration_set: str
    destination: str
    arn: str
    payload: bytes
    hold: int = 0
    """Microseconds for which it waits before the first attempt."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """A notification that this process is to deliver now. ``attempt`` counts from 1."""

    id: int
    event_id: str
    arn: str
    payload: bytes
    attempt: int
    started_at: int
    """When its first attempt was possible: retries end some time after that."""


@dataclass(frozen=True, slots=True)
class Failed:
    """A claimed notification that was not delivered. ``next_at`` is ``None``: it is dead."""

    claimed: Claimed
    error: str
    next_at: int | None


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A notification that could not be delivered."""

    id: int
    event_id: str
    configuration_set: str
    destination: str
    arn: str
    attempts: int
    last_error: str
    created_at: int
    died_at: int
    payload: bytes


_SECOND = 1_000_000

Key = tuple[str, str]
"""A destination: its configuration set's name and its own."""


class Outbox:
    """Delivers nothing by itself. Every method may raise `StoreUnavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def due(self) -> dict[Key, int | None]:
        """Return every known destination, and when the next try for it is due."""
        earliest = (
            select(func.min(outbox.c.next_at))
            .where(
                outbox.c.configuration_set == deliveries.c.configuration_set,
                outbox.c.destination == deliveries.c.destination,
                outbox.c.next_at.is_not(None),
            )
            .scalar_subquery()
        )
        query = select(deliveries.c.configuration_set, deliveries.c.destination, earliest)
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return {(r[0], r[1]): r[2] for r in rows}

    async def claim(
        self, key: Key, arn: str, now: int, until: int, limit: int, latest: int | None = None
    ) -> list[Claimed]:
        """Take up to ``limit`` notifications that are due for a destination, to send to ``arn``.

        Nobody else gets them before ``until``; then they are due again, unless `settle` was
        called. What is planned for a time after ``latest``, which nobody would plan now, is due
        too: the clock has been set back.
        """
        query = (
            select(outbox)
            .where(*_is(outbox, key))
            .order_by(outbox.c.next_at)
            .with_for_update(skip_locked=True)
        )

        def work(connection: Connection) -> Sequence[Any]:
            due = query.where(outbox.c.next_at <= now).limit(limit)
            rows = list(connection.execute(due).all())
            if latest is not None and len(rows) < limit:
                # Not with OR: SQLite would sort all that is due.
                stuck = query.where(outbox.c.next_at > latest).limit(limit - len(rows))
                rows += connection.execute(stuck).all()
            if rows:
                taken = {"ids": [row.id for row in rows], "until": until, "to": arn}
                connection.execute(_CLAIM, taken)
            return rows

        rows = await self._database.write(work)
        return [
            Claimed(r.id, r.event_id, arn, r.payload, r.attempts + 1, r.started_at) for r in rows
        ]

    async def settle(
        self, key: Key, delivered: Sequence[Claimed], failed: Sequence[Failed], at: int
    ) -> None:
        """Say how deliveries ended.

        What was delivered is deleted; that it arrived stays known. A failure counts only where
        nobody has claimed the notification since.
        """
        again = [_failure(each) for each in failed if each.next_at is not None]
        dead = [{**_failure(each), "died": at} for each in failed if each.next_at is None]
        this = update(deliveries).where(*_is(deliveries, key))
        # Once a second is enough: publishers would wait for one another at this row.
        last = func.coalesce(deliveries.c.last_success_at, 0)
        success = this.where(~last.between(at - _SECOND, at + _SECOND)).values(last_success_at=at)
        error = _short(failed[-1].error) if failed else ""
        failure = this.values(last_failure_at=at, last_error=error)
        arrived = sorted((each.event_id, *key, at, each.attempt) for each in delivered)

        def work(connection: Connection) -> None:
            if delivered:
                connection.execute(_DELIVERED, {"ids": [each.id for each in delivered]})
                _ADD_DELIVERED.run(connection, arrived)
            if again:
                connection.execute(_AGAIN, again)
            if dead:
                connection.execute(_DEAD, dead)
            if delivered:
                connection.execute(success)
            if failed:
                connection.execute(failure)

        await self._database.write(work)

    async def give_up(self, key: Key, error: str, at: int) -> int:
        """Make dead letters of all that waits for a destination; return how many."""
        statement = (
            update(outbox)
            .where(*_is(outbox, key), outbox.c.next_at.is_not(None))
            .values(next_at=None, died_at=at, last_error=_short(error))
        )
        return await self._database.write(lambda c: c.execute(statement).rowcount)

    async def dead(self, limit: int = 100, after: int | None = None) -> list[DeadLetter]:
        """Return dead letters, the newest id first; with ``after``, those of lower ids."""
        query = select(outbox).where(outbox.c.died_at.is_not(None))
        if after is not None:
            query = query.where(outbox.c.id < after)
        query = query.order_by(outbox.c.id.desc()).limit(limit)
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return [
            DeadLetter(
                r.id, r.event_id, r.configuration_set, r.destination, r.arn, r.attempts,
                r.last_error, r.created_at, r.died_at, r.payload,
            )
            for r in rows
        ]  # fmt: skip

    async def count_dead(self) -> int:
        """Return how many dead letters there are."""
        query = select(func.count()).select_from(outbox).where(outbox.c.died_at.is_not(None))
        return await self._database.read(lambda connection: connection.execute(query).scalar_one())

    async def forget(self, before: int, limit: int = 500) -> int:
        """Delete up to ``limit`` notifications that died before a time; return how many."""
        query = select(outbox.c.id).where(outbox.c.died_at < before).limit(limit)

        def work(connection: Connection) -> int:
            old = list(connection.scalars(query))
            if old:
                connection.execute(_DELIVERED, {"ids": old})
            return len(old)

        return await self._database.write(work)

    async def forget_delivered(self, before: int, limit: int = 500) -> int:
        """Forget that up to ``limit`` events made before a time arrived; return how many."""
        return await self._database.write(
            lambda c: delete_older(c, delivered_events.c.event_id, before, limit)
        )

    async def replay(self, ids: Sequence[int] | None = None) -> int:
        """Try dead letters again, all of them or those given, from the start; return how many.

        Their event ids stay the same.
        """
        now = now_us()
        statement = (
            update(outbox)
            .where(outbox.c.died_at.is_not(None))
            .values(next_at=now, started_at=now, attempts=0, died_at=None)
        )

        def work(connection: Connection) -> int:
            if ids is None:
                return connection.execute(statement).rowcount
            count = 0
            for start in range(0, len(ids), 500):
                some = statement.where(outbox.c.id.in_(ids[start : start + 500]))
                count += connection.execute(some).rowcount
            return count

        return await self._database.write(work)

    async def waiting(self) -> list[Waiting]:
        """Return what waits for each destination that was ever sent anything but streams."""
        is_dead = outbox.c.died_at.is_not(None)
        query = (
            select(
                deliveries,
                func.count(outbox.c.id).filter(~is_dead).label("waiting"),
                func.min(outbox.c.created_at).filter(~is_dead).label("oldest_at"),
                func.count(outbox.c.id).filter(is_dead).label("dead"),
            )
            .outerjoin(
                outbox,
                (outbox.c.configuration_set == deliveries.c.configuration_set)
                & (outbox.c.destination == deliveries.c.destination),
            )
            .group_by(*deliveries.columns)
            .order_by(deliveries.c.configuration_set, deliveries.c.destination)
        )
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return [
            Waiting(
                r.configuration_set, r.destination, r.waiting, r.oldest_at, r.dead,
                r.last_success_at, r.last_failure_at, r.last_error,
            )
            for r in rows
        ]  # fmt: skip


def enqueue(connection: Connection, notifications: Iterable[Notification], at: int) -> None:
    """Add notifications, due at once or when they are no longer held, within a transaction."""
    rows = [
        (
            *(n.event_id, n.configuration_set, n.destination, n.arn, at, at + n.hold, at + n.hold),
            *(0, "", n.payload),
        )
        for n in notifications
    ]
    _ADD.run(connection, rows)
    _ADD_DESTINATIONS.run(connection, [(*key, "") for key in sorted({row[1:3] for row in rows})])


def rewrite(connection: Connection, notification: Notification) -> bool:
    """Give a notification that waits for its first attempt another payload, where there is one."""
    statement = update(outbox).where(
        outbox.c.event_id == notification.event_id,
        outbox.c.configuration_set == notification.configuration_set,
        outbox.c.destination == notification.destination,
        outbox.c.attempts == 0,
        outbox.c.next_at.is_not(None),
    )
    changed = connection.execute(statement.values(payload=notification.payload))
    return bool(changed.rowcount)


_ADD = BulkInsert(
    outbox,
    (
        "event_id", "configuration_set", "destination", "arn", "created_at", "started_at",
        "next_at", "attempts", "last_error", "payload",
    ),
)  # fmt: skip
_ADD_DESTINATIONS = BulkInsert(
    deliveries,
    ("configuration_set", "destination", "last_error"),
    lambda statement: statement.on_conflict_do_nothing(),
)
_ADD_DELIVERED = BulkInsert(delivered_events, finish=lambda s: s.on_conflict_do_nothing())
_ids: BindParameter[list[int]] = bindparam("ids", expanding=True)
_CLAIM = (
    update(outbox)
    .where(outbox.c.id.in_(_ids))
    .values(attempts=outbox.c.attempts + 1, next_at=bindparam("until"), arn=bindparam("to"))
)
_DELIVERED = delete(outbox).where(outbox.c.id.in_(_ids))
_FAILED = (
    update(outbox)
    # The count of attempts is the claim: another claim since has raised it.
    .where(outbox.c.id == bindparam("key"), outbox.c.attempts == bindparam("attempt"))
)
_AGAIN = _FAILED.values(next_at=bindparam("next"), last_error=bindparam("error"))
_DEAD = _FAILED.values(
    next_at=bindparam("next"), last_error=bindparam("error"), died_at=bindparam("died")
)


def _failure(failed: Failed) -> dict[str, Any]:
    return {
        "key": failed.claimed.id,
        "attempt": failed.claimed.attempt,
        "next": failed.next_at,
        "error": _short(failed.error),
    }


def _short(error: str) -> str:
    return storable(error)[:ERROR_LIMIT]


def _is(table: Any, key: Key) -> tuple[Any, Any]:
    return table.c.configuration_set == key[0], table.c.destination == key[1]
