"""Verdicts by what clicks say of one another, in the place of those that they had."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Connection, bindparam, select, update

from clicktrail.model import Click, Judgement, Verdict
from clicktrail.store.clicks.judging.crowds import join, settle
from clicktrail.store.clicks.judging.evidence import Evidence, Jury, weigh
from clicktrail.store.clicks.judging.reasons import REASONS
from clicktrail.store.clicks.outbox import Notification, rewrite
from clicktrail.store.clicks.tables import clicked_links, clicks
from clicktrail.store.clicks.tally import LoggedClick, Outgoing, Place, Tally, click_of, verdict_of
from clicktrail.store.people.erased import reduced_event
from clicktrail.store.people.person import ERASED


@dataclass(slots=True)
class Corrected:
    """Earlier clicks that have another verdict now, and what is told of that."""

    fewer: list[LoggedClick] = field(default_factory=list)
    """Those that were a person's, and are not any more."""
    more: list[LoggedClick] = field(default_factory=list)
    """Those that are a person's after all."""
    told: list[Outgoing] = field(default_factory=list)

    def count(
        self,
        connection: Connection,
        tally: Tally,
        new: Sequence[LoggedClick] = (),
        by_people: Set[Place] = frozenset(),
    ) -> None:
        """Add to the counts what follows for clicks of people; what else is ``new`` is counted.

        ``by_people`` are the links that no person had clicked before the new ones.
        """
        for some, change in ((self.fewer, -1), (self.more, 1)):
            for each in some:
                for counts in tally.of(each):
                    counts.human_clicks += change
        tally.count_people(connection, new, self.fewer, self.more, by_people)


def judge(
    connection: Connection,
    jury: Jury[LoggedClick],
    new: dict[str, LoggedClick],
    erased: set[str],
) -> Corrected:
    """Judge new clicks together with those of before, and put the new judgements in their place.

    Returns what has become of earlier ones.
    """
    # The rows of crowds before those of emails, here and wherever both are taken.
    known = (id_ for id_, each in new.items() if each.click.message_id not in erased)
    guilty = join(connection, jury, known)
    changed: dict[str, Judgement] = {}
    gathered: defaultdict[str, list[str]] = defaultdict(list)
    for event_id, each in reversed(new.items()):  # the newest first
        if event_id in jury.evidence:
            record = jury.evidence[event_id]
            if event_id in guilty:
                record = jury.marked(record, {event_id: True})
                changed[event_id] = jury.alone(each.click.message_id, record)
            gathered[each.click.message_id].append(record)
    weighed = {id_: Evidence("".join(records)) for id_, records in gathered.items()}
    for id_, visits in jury.visits.items():
        weighed[id_] = weighed.get(id_, Evidence()) + visits
    for id_ in erased & weighed.keys():
        weighed[id_] = weighed[id_].without_person()
    # Before any count: who has an email's evidence may change what is counted of it, too.
    for id_, added, before in weigh(connection, weighed):
        changed.update(jury.judge(id_, added, before))
    for event_id in changed.keys() & new.keys():
        told = jury.told(new[event_id], changed[event_id])
        new[event_id] = without_person(told, erased)
    return _correct(connection, jury, changed, new, erased)


def judge_marked(
    connection: Connection,
    jury: Jury[LoggedClick],
    message_ids: Sequence[str],
    erased: set[str],
) -> Corrected:
    """Judge clicks anew of which those from the same network say something else now."""
    changed: dict[str, Judgement] = {}
    for id_, before, after in settle(connection, jury, message_ids):
        changed.update(jury.judge_marked(id_, before, after))
    return _correct(connection, jury, changed, {}, erased)


def _correct(
    connection: Connection,
    jury: Jury[LoggedClick],
    changed: Mapping[str, Judgement],
    new: Mapping[str, LoggedClick],
    erased: set[str],
) -> Corrected:
    corrected = Corrected()
    if not changed:
        return corrected
    query = select(clicks).where(clicks.c.event_id.in_(list(changed))).order_by(clicks.c.event_id)
    rows = [
        (row, becomes)
        for row in connection.execute(query.with_for_update())
        if (becomes := _become(row, changed[row.event_id])) is not None
    ]
    values = [
        {
            "key": row.event_id,
            "new_verdict": judged.verdict.value,
            "new_reasons": " ".join(judged.reasons),
        }
        for row, judged in rows
    ]
    if values:
        connection.execute(_CORRECT, values)
    for row, judged in rows:
        before = verdict_of(row.verdict)
        if row.event_id in new or before is judged.verdict:
            continue
        if Verdict.HUMAN in (before, judged.verdict):
            counted = without_person(jury.counted(click_of(row)), erased)
            (corrected.fewer if before is Verdict.HUMAN else corrected.more).append(counted)
        corrected.told += _correct_told(connection, jury, click_of(row), before, judged, erased)
    for some, by in ((corrected.fewer, -1), (corrected.more, 1)):
        places = [{"of": e.click.message_id, "at": e.click.link, "by": by} for e in some]
        if places:
            connection.execute(_COUNT_HUMAN, sorted(places, key=lambda p: (p["of"], p["at"])))
    return corrected


def _become(row: Any, judged: Judgement) -> Judgement | None:
    """Return what a click gets in the place of its judgement; ``None`` where that stays.

    A reason that is not remembered any more stays with it, as does the verdict that came of it: a
    lighter one is only for what others have taken back.
    """
    had, now = row.reasons.split(), judged.reasons
    forgotten = [id_ for id_ in had if id_ not in now and id_ not in _TAKEN_BACK]
    if _BURST in now:
        forgotten = [id_ for id_ in forgotten if id_ not in _SAME_AS_BURST]
    verdict = verdict_of(row.verdict)
    is_lighter = _SEVERITY.index(judged.verdict) < _SEVERITY.index(verdict)
    if forgotten:
        if is_lighter or judged.verdict is verdict:
            return None
        return Judgement(judged.verdict, tuple(sorted({*now, *forgotten}, key=_place)))
    is_acquitted = _TAKEN_BACK & set(had) - set(now)
    return None if is_lighter and not is_acquitted else judged


def _place(reason: str) -> int:
    return _ORDER.get(reason, len(_ORDER))


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
    held = without_person(jury.told(earlier, judged), erased).outgoing
    waiting = [rewrite(connection, o) for o in held if isinstance(o, Notification) and o.hold]
    if any(waiting):
        return ()
    return without_person(jury.corrected(earlier, before, judged), erased).outgoing


_TAKEN_BACK = {"gateway"}
"""The reasons that later clicks take back (`clicktrail.store.clicks.judging.reasons`)."""
_BURST, _SAME_AS_BURST = "burst", {"sweep", "double-fetch"}
"""In whose place it is told."""
_ORDER = {reason: place for place, reason in enumerate(REASONS)}
_SEVERITY = [Verdict.HUMAN, Verdict.SUSPECT, Verdict.MACHINE]


def without_person(logged: LoggedClick, erased: set[str]) -> LoggedClick:
    """Return a click as it may be kept, where its email is one of the erased."""
    if logged.click.message_id not in erased:
        return logged
    click = replace(logged.click, ip="", user_agent="", url=ERASED, destination="")
    outgoing = reduced(logged.outgoing)
    return replace(logged, click=click, tags=(), link_tags={}, mailings=(), outgoing=outgoing)


def reduced(outgoing: Iterable[Outgoing]) -> tuple[Outgoing, ...]:
    """Return notifications with nothing of a person in their events."""
    return tuple(replace(each, payload=reduced_event(each.payload)) for each in outgoing)


_CORRECT = (
    update(clicks)
    .where(clicks.c.event_id == bindparam("key"))
    .values(verdict=bindparam("new_verdict"), reasons=bindparam("new_reasons"))
)
_COUNT_HUMAN = (
    update(clicked_links)
    .where(clicked_links.c.message_id == bindparam("of"), clicked_links.c.link == bindparam("at"))
    .values(human_clicks=clicked_links.c.human_clicks + bindparam("by"))
)
