"""Clicks: logged, counted and turned into notifications in one transaction, each exactly once."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from sqlalchemy import bindparam, delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from clicktrail.ids import now_us
from clicktrail.model import Click, Verdict
from clicktrail.store.database import Database, storable
from clicktrail.store.outbox import Notification, enqueue
from clicktrail.store.schema import announcements, clicked_links, clicks
from clicktrail.store.statistics import (
    Counts,
    Dimensions,
    Insert,
    add_counts,
    add_link_counts,
    add_tag_counts,
)
from clicktrail.store.streams import NewStreamEvent, append

Outgoing = NewStreamEvent | Notification
"""A notification: into a built-in stream at once, or into the outbox."""


@dataclass(frozen=True, slots=True)
class LoggedClick:
    """A click to record: what was seen, what it counts as, and who is told."""

    click: Click
    dimensions: Dimensions
    tags: tuple[tuple[str, str], ...] = ()
    """The tags of its link."""
    verdict: Verdict = Verdict.HUMAN
    reasons: tuple[str, ...] = ()
    outgoing: tuple[Outgoing, ...] = ()


@dataclass(frozen=True, slots=True)
class SendEvent:
    """An accepted email to announce."""

    message_id: str
    outgoing: tuple[Outgoing, ...] = ()


@dataclass(slots=True)
class _Tally:
    """Counts of one batch, by what they are kept by."""

    days: dict[Dimensions, Counts] = field(default_factory=dict)
    links: dict[tuple[Dimensions, str], Counts] = field(default_factory=dict)
    tags: dict[tuple[Dimensions, str, str], Counts] = field(default_factory=dict)

    def of(self, logged: LoggedClick) -> Iterable[Counts]:
        """Return all counts that a click belongs to."""
        key = logged.dimensions
        yield self.days.setdefault(key, Counts())
        yield self.links.setdefault((key, storable(logged.click.url)), Counts())
        for tag, value in dict.fromkeys(logged.tags):
            yield self.tags.setdefault((key, storable(tag), storable(value)), Counts())


class ClickStore:
    """Records clicks and Send events. Every method may raise `StoreUnavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def record(
        self, logged: Sequence[LoggedClick], corrected: Sequence[LoggedClick] = ()
    ) -> int:
        """Record clicks with all that follows from them; return how many were new.

        A click whose event id is recorded already changes nothing and notifies nobody.
        ``corrected`` are recorded clicks of people that turned out to be none, with their new
        verdict and reasons: they are no longer counted as human.
        """
        first = {each.click.event_id: each for each in reversed(logged)}
        insert_or = self._database.insert
        async with self._database.write() as connection:
            known = await _insert_clicks(connection, insert_or, list(first.values()))
            new = [each for id_, each in first.items() if id_ in known]
            new.sort(key=lambda each: each.click.event_id)
            tally = _Tally()
            unseen = await _insert_links(connection, insert_or, new)
            for each in new:
                place = (each.click.message_id, each.click.link)
                unique = place in unseen
                unseen.discard(place)
                for counts in tally.of(each):
                    counts.clicks += 1
                    counts.unique_clicks += unique
                    counts.human_clicks += each.verdict is Verdict.HUMAN
            for each in await _correct(connection, corrected):
                for counts in tally.of(each):
                    counts.human_clicks -= 1
            await add_counts(connection, insert_or, tally.days)
            await add_link_counts(connection, insert_or, tally.links)
            await add_tag_counts(connection, insert_or, tally.tags)
            await _send(connection, insert_or, (o for each in new for o in each.outgoing))
        return len(new)

    async def unannounced(self, limit: int) -> list[str]:
        """Return ids of emails whose Send event is still to be made, the oldest first."""
        query = select(announcements.c.message_id).order_by(announcements.c.message_id)
        async with self._database.read() as connection:
            return list((await connection.scalars(query.limit(limit))).all())

    async def announce(self, events: Sequence[SendEvent]) -> None:
        """Send the Send events of emails, each only once whoever else tries to."""
        statement = (
            delete(announcements)
            .where(announcements.c.message_id.in_([each.message_id for each in events]))
            .returning(announcements.c.message_id)
        )
        async with self._database.write() as connection:
            ours = set((await connection.scalars(statement)).all())
            outgoing = (o for each in events if each.message_id in ours for o in each.outgoing)
            await _send(connection, self._database.insert, outgoing)


_CORRECT = (
    update(clicks)
    .where(clicks.c.event_id == bindparam("key"), clicks.c.verdict == Verdict.HUMAN.value)
    .values(verdict=bindparam("new_verdict"), reasons=bindparam("new_reasons"))
)


async def _insert_clicks(
    connection: AsyncConnection, insert_or: Insert, logged: list[LoggedClick]
) -> set[str]:
    """Insert clicks that are not there; return the event ids of those that were inserted."""
    rows = [
        {
            "event_id": each.click.event_id,
            "message_id": storable(each.click.message_id),
            "link": each.click.link,
            "clicked_at": each.click.clicked_at,
            "verdict": each.verdict.value,
            "reasons": " ".join(each.reasons),
            "ip": storable(each.click.ip),
            "user_agent": storable(each.click.user_agent),
            "url": storable(each.click.url),
        }
        for each in logged
    ]
    if not rows:
        return set()
    statement = insert_or(clicks).on_conflict_do_nothing().returning(clicks.c.event_id)
    return set((await connection.scalars(statement, rows)).all())


async def _insert_links(
    connection: AsyncConnection, insert_or: Insert, new: list[LoggedClick]
) -> set[tuple[str, int]]:
    """Mark links as clicked; return those that were not, as message id and index."""
    places = sorted({(storable(each.click.message_id), each.click.link) for each in new})
    if not places:
        return set()
    statement = (
        insert_or(clicked_links)
        .on_conflict_do_nothing()
        .returning(clicked_links.c.message_id, clicked_links.c.link)
    )
    rows = [{"message_id": message_id, "link": link} for message_id, link in places]
    return {(row[0], row[1]) for row in await connection.execute(statement, rows)}


async def _correct(
    connection: AsyncConnection, corrected: Sequence[LoggedClick]
) -> list[LoggedClick]:
    """Change the verdicts of clicks that count as human; return those that did."""
    if not corrected:
        return []
    by_id = {each.click.event_id: each for each in corrected}
    human = select(clicks.c.event_id).where(
        clicks.c.event_id.in_(list(by_id)), clicks.c.verdict == Verdict.HUMAN.value
    )
    changed = [by_id[id_] for id_ in (await connection.scalars(human)).all()]
    if changed:
        await connection.execute(
            _CORRECT,
            [
                {
                    "key": each.click.event_id,
                    "new_verdict": each.verdict.value,
                    "new_reasons": " ".join(each.reasons),
                }
                for each in changed
            ],
        )
    return changed


async def _send(
    connection: AsyncConnection, insert_or: Insert, outgoing: Iterable[Outgoing]
) -> None:
    events: list[NewStreamEvent] = []
    notifications: list[Notification] = []
    for each in outgoing:
        if isinstance(each, NewStreamEvent):
            events.append(each)
        else:
            notifications.append(each)
    await append(connection, events)
    await enqueue(connection, insert_or, notifications, now_us())
