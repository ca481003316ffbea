"""Clicks: logged, counted and turned into notifications in one transaction, each exactly once."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from sqlalchemy import Connection, delete, func, literal_column, select

from clicktrail.base.ids import ID_LENGTH, now_us
from clicktrail.model import Click, Verdict
from clicktrail.store.clicks.judging.corrections import (
    Corrected,
    judge,
    judge_marked,
    reduced,
    without_person,
)
from clicktrail.store.clicks.judging.crowds import forget_crowds, waiting
from clicktrail.store.clicks.judging.evidence import Jury
from clicktrail.store.clicks.outbox import Notification, enqueue
from clicktrail.store.clicks.streams import NewStreamEvent, append
from clicktrail.store.clicks.tables import clicked_links, clicks, evidence
from clicktrail.store.clicks.tally import LoggedClick, Outgoing, Place, Tally
from clicktrail.store.database.bulk import BulkInsert
from clicktrail.store.database.core import Database, storable
from clicktrail.store.database.older import delete_older, older
from clicktrail.store.mail.tables import announcements
from clicktrail.store.people.erased import erased_among

__all__ = ["ClickStore", "LoggedClick", "Outgoing", "SendEvent", "storable_click"]

RECENT = 20
"""So many clicks of each link of an email can be shown with it."""


@dataclass(frozen=True, slots=True)
class SendEvent:
    """An accepted email to announce."""

    message_id: str
    outgoing: tuple[Outgoing, ...] = ()


def storable_click(click: Click) -> Click:
    """Return the click with texts as a database can hold them (`storable`)."""
    texts = f"{click.message_id}{click.ip}{click.user_agent}{click.url}{click.destination}"
    if storable(texts) is texts:
        return click
    return replace(
        click,
        message_id=storable(click.message_id),
        ip=storable(click.ip),
        user_agent=storable(click.user_agent),
        url=storable(click.url),
        destination=click.destination and storable(click.destination),
    )


class ClickStore:
    """Records clicks and Send events. Every method may raise `StoreUnavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def record(
        self, logged: Sequence[LoggedClick], jury: Jury[LoggedClick] | None = None
    ) -> dict[str, Verdict]:
        """Record clicks with all that follows from them; return the verdicts of the new ones.

        A click whose event id is recorded already changes nothing and notifies nobody. Of one on
        a link of an email whose recipient was erased, only that it happened is kept and told.
        The ``jury`` judges new clicks together with those of before. Of these some may turn out to
        be suspect or a machine's: they get their new verdict and are no longer counted as human.
        """
        first = {each.click.event_id: each for each in reversed(logged)}
        return await self._database.write(lambda c: _record(c, first, jury))

    async def forget(self, before: int, limit: int = 500) -> int:
        """Delete up to ``limit`` clicks logged before a time; return how many.

        They stay counted, and which links were clicked at all is still known.
        """
        return await self._database.write(
            lambda c: delete_older(c, clicks.c.event_id, before, limit)
        )

    async def unsettled(self) -> list[str]:
        """Return emails with clicks of which those from the same network say something else now.

        Some at a time: `settle` them, and ask again.
        """
        return await self._database.read(waiting)

    async def settle(self, message_ids: Sequence[str], jury: Jury[LoggedClick]) -> None:
        """Put clicks of such emails right: their verdicts, and all that was counted by them."""
        await self._database.write(lambda c: _settle(c, message_ids, jury))

    async def forget_crowds(self, before: int, limit: int = 500) -> int:
        """Forget what clicks from one network say of one another; return of how many places.

        That is of up to ``limit`` places, in emails that were accepted before a time.
        """
        return await self._database.write(lambda c: forget_crowds(c, before, limit))

    async def forget_evidence(self, before: int, limit: int = 500) -> int:
        """Forget what clicks of up to ``limit`` emails made before a time say of one another.

        Returns of how many. It is gathered anew where such an email is clicked again.
        """
        # Without waiting for publishers, who take such rows in another order.
        oldest = older(evidence.c.message_id, before, limit).with_for_update(skip_locked=True)

        def work(connection: Connection) -> int:
            ids = list(connection.scalars(oldest))
            if ids:
                connection.execute(delete(evidence).where(evidence.c.message_id.in_(ids)))
            return len(ids)

        return await self._database.write(work)

    async def send(self, outgoing: Sequence[Outgoing]) -> None:
        """Send notifications of an event that is neither a click nor kept otherwise."""
        await self._database.write(lambda connection: send_all(connection, outgoing))

    async def unannounced(self, limit: int) -> list[str]:
        """Return ids of emails whose Send event is still to be made, the oldest first."""
        query = select(announcements.c.message_id).order_by(announcements.c.message_id).limit(limit)
        return list(await self._database.read(lambda c: c.scalars(query).all()))

    async def announce(self, events: Sequence[SendEvent]) -> None:
        """Send the Send events of emails, each only once whoever else tries to."""
        statement = (
            delete(announcements)
            .where(announcements.c.message_id.in_([each.message_id for each in events]))
            .returning(announcements.c.message_id)
        )

        def work(connection: Connection) -> None:
            ours = set(connection.scalars(statement).all())
            erased = erased_among(connection, ours)
            outgoing = (
                reduced(e.outgoing) if e.message_id in erased else e.outgoing
                for e in events
                if e.message_id in ours
            )
            send_all(connection, chain.from_iterable(outgoing))

        await self._database.write(work)


def _record(
    connection: Connection, first: dict[str, LoggedClick], jury: Jury[LoggedClick] | None
) -> dict[str, Verdict]:
    ids = {each.click.message_id for each in first.values()}
    erased = erased_among(connection, ids.union(jury.visits) if jury else ids)
    if erased:
        first = {id_: without_person(each, erased) for id_, each in first.items()}
    # In one order: publishers who read the same clicks wait for each other, and not in a circle.
    inserted = _insert_clicks(connection, [first[id_] for id_ in sorted(first)])
    found = {id_: first[id_] for id_ in sorted(inserted)}
    corrected = judge(connection, jury, found, erased) if jury else Corrected()
    new = list(found.values())
    tally = Tally()
    unseen, by_people = _insert_links(connection, new)
    for each in new:
        place = (each.click.message_id, each.click.link)
        unique = place in unseen
        unseen.discard(place)
        human = each.verdict is Verdict.HUMAN
        for counts in tally.of(each):
            counts.clicks += 1
            if unique:
                counts.unique_clicks += 1
            if human:
                counts.human_clicks += 1
    corrected.count(connection, tally, new, by_people)
    tally.write(connection)
    send_all(connection, chain(corrected.told, (o for each in new for o in each.outgoing)))
    return {each.click.event_id: each.verdict for each in new}


def _settle(connection: Connection, message_ids: Sequence[str], jury: Jury[LoggedClick]) -> None:
    erased = erased_among(connection, message_ids)
    corrected = judge_marked(connection, jury, message_ids, erased)
    tally = Tally()
    corrected.count(connection, tally)
    tally.write(connection)
    send_all(connection, corrected.told)


def _insert_clicks(connection: Connection, logged: list[LoggedClick]) -> set[str]:
    """Insert clicks that are not there; return the event ids of those that were inserted."""
    rows = [
        (
            each.click.event_id,
            each.click.message_id,
            each.click.link,
            each.click.clicked_at,
            each.verdict.value,
            " ".join(each.reasons),
            each.click.ip,
            each.click.user_agent,
            each.click.url,
            each.click.destination,
        )
        for each in logged
    ]
    return {row[0] for row in _ADD_CLICKS.run(connection, rows)}


def _insert_links(connection: Connection, new: list[LoggedClick]) -> tuple[set[Place], set[Place]]:
    """Count clicks by link; return the links that nobody had clicked before, and no person."""
    found: dict[Place, list[LoggedClick]] = {}
    for each in new:
        found.setdefault((each.click.message_id, each.click.link), []).append(each)
    rows = [(*place, *_link_counts(some)) for place, some in sorted(found.items())]
    result = _ADD_LINKS.run(connection, rows)
    added = {row[:2]: row[2:4] for row in rows}
    return (
        {(id_, link) for id_, link, clicks, _ in result if clicks == added[id_, link][0]},
        {(id_, link) for id_, link, _, human in result if human and human == added[id_, link][1]},
    )


def _link_counts(some: list[LoggedClick]) -> tuple[int, int, int, int, str]:
    if len(some) == 1:
        [each] = some
        at = each.click.clicked_at
        return 1, int(each.verdict is Verdict.HUMAN), at, at, each.click.event_id
    times = [each.click.clicked_at for each in some]
    newest = sorted((each.click.event_id for each in some), reverse=True)[:RECENT]
    human = sum(each.verdict is Verdict.HUMAN for each in some)
    return len(some), human, min(times), max(times), "".join(newest)


_ADD_CLICKS = BulkInsert(
    clicks, finish=lambda s: s.on_conflict_do_nothing().returning(clicks.c.event_id)
)
_ADD_LINKS = BulkInsert(
    clicked_links,
    finish=lambda s: s.on_conflict_do_update(
        index_elements=[clicked_links.c.message_id, clicked_links.c.link],
        set_={
            "clicks": clicked_links.c.clicks + s.excluded.clicks,
            "human_clicks": clicked_links.c.human_clicks + s.excluded.human_clicks,
            "last_at": s.excluded.last_at,
            "recent": func.substr(
                s.excluded.recent + clicked_links.c.recent,
                literal_column("1"),
                literal_column(str(RECENT * ID_LENGTH)),
            ),
        },
    ).returning(
        clicked_links.c.message_id,
        clicked_links.c.link,
        clicked_links.c.clicks,
        clicked_links.c.human_clicks,
    ),
)


def send_all(connection: Connection, outgoing: Iterable[Outgoing]) -> None:
    """Send notifications within a transaction."""
    events: list[NewStreamEvent] = []
    notifications: list[Notification] = []
    for each in outgoing:
        if isinstance(each, NewStreamEvent):
            events.append(each)
        else:
            notifications.append(each)
    enqueue(connection, notifications, now_us())
    append(connection, events)  # last: others wait for their turn until this commits
