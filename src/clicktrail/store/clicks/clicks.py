"""Clicks: logged, counted and turned into notifications in one transaction, each exactly once."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from sqlalchemy import Connection, bindparam, delete, func, literal_column, select, update

from clicktrail.base.ids import ID_LENGTH, now_us
from clicktrail.model import Click, Judgement, Verdict
from clicktrail.store.clicks.evidence import Evidence, Jury, weigh
from clicktrail.store.clicks.outbox import Notification, enqueue, rewrite
from clicktrail.store.clicks.streams import NewStreamEvent, append
from clicktrail.store.clicks.tables import clicked_links, clicks, evidence
from clicktrail.store.clicks.tally import LoggedClick, Outgoing, Place, Tally, click_of
from clicktrail.store.database.bulk import BulkInsert
from clicktrail.store.database.core import Database, storable
from clicktrail.store.database.older import delete_older, older
from clicktrail.store.mail.tables import announcements
from clicktrail.store.people.erased import erased_among, reduced_event
from clicktrail.store.people.person import ERASED

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
                _reduced(e.outgoing) if e.message_id in erased else e.outgoing
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
        first = {id_: _without_person(each, erased) for id_, each in first.items()}
    # In one order: publishers who read the same clicks wait for each other, and not in a circle.
    inserted = _insert_clicks(connection, [first[id_] for id_ in sorted(first)])
    found = {id_: first[id_] for id_ in sorted(inserted)}
    corrections: list[Outgoing] = []
    no_longer_human = _judge(connection, jury, found, erased, corrections) if jury else []
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
    for each in no_longer_human:
        for counts in tally.of(each):
            counts.human_clicks -= 1
    tally.count_people(connection, new, no_longer_human, by_people)
    tally.write(connection)
    send_all(connection, chain(corrections, (o for each in new for o in each.outgoing)))
    return {each.click.event_id: each.verdict for each in new}


def _judge(
    connection: Connection,
    jury: Jury[LoggedClick],
    new: dict[str, LoggedClick],
    erased: set[str],
    corrections: list[Outgoing],
) -> list[LoggedClick]:
    """Judge new clicks together with those of before, and put the new judgements in their place.

    Returns the earlier ones that were human; adds to ``corrections`` what is told of earlier ones.
    """
    gathered: defaultdict[str, list[str]] = defaultdict(list)
    for event_id, each in reversed(new.items()):  # the newest first
        if event_id in jury.evidence:
            gathered[each.click.message_id].append(jury.evidence[event_id])
    weighed = {id_: Evidence("".join(records)) for id_, records in gathered.items()}
    for id_, visits in jury.visits.items():
        weighed[id_] = weighed.get(id_, Evidence()) + visits
    for id_ in erased & weighed.keys():
        weighed[id_] = weighed[id_].without_person()
    # Before any count: who has an email's evidence may change what is counted of it, too.
    changed: dict[str, Judgement] = {}
    for id_, added, known in weigh(connection, weighed):
        changed.update(jury.judge(id_, added, known))
    if not changed:
        return []
    for event_id in changed.keys() & new.keys():
        told = jury.told(new[event_id], changed[event_id])
        new[event_id] = _without_person(told, erased)
    query = select(clicks).where(clicks.c.event_id.in_(list(changed))).order_by(clicks.c.event_id)
    rows = [
        row
        for row in connection.execute(query.with_for_update())
        if _SEVERITY.index(row.verdict) <= _SEVERITY.index(changed[row.event_id].verdict)
    ]
    values = [
        {
            "key": row.event_id,
            "new_verdict": changed[row.event_id].verdict.value,
            "new_reasons": " ".join(changed[row.event_id].reasons),
        }
        for row in rows
    ]
    if values:
        connection.execute(_CORRECT, values)
    fewer = [
        _without_person(jury.counted(click_of(row)), erased)
        for row in rows
        if row.event_id not in new
        and row.verdict == Verdict.HUMAN
        and changed[row.event_id].verdict is not Verdict.HUMAN
    ]
    for row in rows:
        judged = changed[row.event_id]
        if row.event_id not in new and row.verdict != judged.verdict:
            before = Verdict(row.verdict)
            corrections += _correct_told(connection, jury, click_of(row), before, judged, erased)
    if fewer:
        places = [{"of": each.click.message_id, "at": each.click.link} for each in fewer]
        connection.execute(_FEWER_HUMAN, sorted(places, key=lambda p: (p["of"], p["at"])))
    return fewer


def _correct_told(
    connection: Connection,
    jury: Jury[LoggedClick],
    click: Click,
    before: Verdict,
    judged: Judgement,
    erased: set[str],
) -> tuple[Outgoing, ...]:
    """Change what is yet held back of an earlier click; return what corrects what was told."""
    earlier = jury.counted(click)
    held = _without_person(jury.told(earlier, judged), erased).outgoing
    waiting = [rewrite(connection, o) for o in held if isinstance(o, Notification) and o.hold]
    if any(waiting):
        return ()
    return _without_person(jury.corrected(earlier, before, judged), erased).outgoing


_SEVERITY = [Verdict.HUMAN, Verdict.SUSPECT, Verdict.MACHINE]


def _without_person(logged: LoggedClick, erased: set[str]) -> LoggedClick:
    """Return a click as it may be kept, where its email is one of the erased."""
    if logged.click.message_id not in erased:
        return logged
    click = replace(logged.click, ip="", user_agent="", url=ERASED, destination="")
    outgoing = _reduced(logged.outgoing)
    return replace(logged, click=click, tags=(), link_tags={}, mailings=(), outgoing=outgoing)


def _reduced(outgoing: Iterable[Outgoing]) -> tuple[Outgoing, ...]:
    return tuple(replace(each, payload=reduced_event(each.payload)) for each in outgoing)


_CORRECT = (
    update(clicks)
    .where(clicks.c.event_id == bindparam("key"))
    .values(verdict=bindparam("new_verdict"), reasons=bindparam("new_reasons"))
)


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
_FEWER_HUMAN = (
    update(clicked_links)
    .where(clicked_links.c.message_id == bindparam("of"), clicked_links.c.link == bindparam("at"))
    .values(human_clicks=clicked_links.c.human_clicks - 1)
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
