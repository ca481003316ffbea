"""What clicks from one network say of one another, over the emails of many recipients.

A crowd is what came from one network in the emails that were accepted in the same hour: a gateway
that looks at one link of each email, or people behind one address. What a record says is the
publisher's business, but for the click's event id, whether the click is a gateway's by what is
known, and some bits of its email's id (`mark_of`). Whose it is is put right in the transaction that
adds to the crowd, whose row nobody else changes until it ends. Earlier clicks belong to other
emails, which are not held: what is found of them waits for a transaction of its own (`settle`), so
that nobody waits in a circle.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from zlib import crc32

from sqlalchemy import (
    BindParameter,
    Connection,
    bindparam,
    delete,
    func,
    literal_column,
    select,
    update,
)

from clicktrail.base.ids import ID_LENGTH, is_id, made_at
from clicktrail.store.clicks.judging.evidence import Evidence, Jury, L
from clicktrail.store.clicks.tables import clicked_links, clicks, crowd_findings, crowds, evidence
from clicktrail.store.database.bulk import BulkInsert, ByIds

HOUR = 3_600_000_000
RECORD = 35
"""Characters of a record: event id, `GATEWAY` or `ALONE`, and what the publisher remembers."""
STATE = ID_LENGTH
EMAIL = slice(ID_LENGTH + 7, ID_LENGTH + 10)
"""Where a record says of which email the click is: `mark_of`."""
GATEWAY, ALONE = "g", "."
RECENT = 1000
"""So many clicks of a crowd are remembered, the last that came."""
_AT_ONCE = 250
FINDINGS = 500
"""The most that are put right in one transaction."""


def join(connection: Connection, jury: Jury[L], new: Iterable[str]) -> set[str]:
    """Add new clicks to their crowds; return which of them are a gateway's.

    What this says of earlier clicks is left to `settle`. Holds the crowds' rows until the
    transaction ends: take them before the rows of emails.
    """
    if not jury.crowds:
        return set()
    added: dict[str, list[str]] = {}
    ours: set[str] = set()
    for event_id in new:
        if event_id in jury.crowds:
            place, record = jury.crowds[event_id]
            added.setdefault(place, []).append(record)
            ours.add(event_id)
    guilty: dict[str, bool] = {}
    # A few of each crowd at a time: all that is new is judged beside what was there.
    while added:
        rows = [
            (place, "".join(reversed(some[:_AT_ONCE]))) for place, some in sorted(added.items())
        ]
        guilty.update(_add(connection, jury, rows))
        added = {place: some[_AT_ONCE:] for place, some in added.items() if some[_AT_ONCE:]}
    _leave(connection, {id_: is_one for id_, is_one in guilty.items() if id_ not in ours})
    return {id_ for id_, is_one in guilty.items() if is_one and id_ in ours}


def _add(connection: Connection, jury: Jury[L], rows: Sequence[tuple[str, str]]) -> dict[str, bool]:
    """Add records to crowds, and return the clicks of which these say something else now."""
    found: dict[str, bool] = {}
    changed: dict[str, str] = {}
    for place, records in _ADD.run(connection, rows):
        wrong = jury.gateways(records)
        parts = parts_of(records) if wrong else []
        for number in wrong:
            is_one = parts[number][STATE] != GATEWAY
            parts[number] = _marked(parts[number], is_one)
            found[parts[number][:ID_LENGTH]] = is_one
        if wrong:
            changed[place] = "".join(parts)
    if changed:
        values = [{"key": place, "new": text} for place, text in sorted(changed.items())]
        connection.execute(_CHANGE, values)
    return found


def waiting(connection: Connection) -> list[str]:
    """Return ids of emails with clicks of which their crowd says something else now."""
    return list(connection.scalars(_WAITING))


def settle(
    connection: Connection, jury: Jury[L], message_ids: Sequence[str]
) -> Iterator[tuple[str, Evidence, Evidence]]:
    """Put right what is remembered of emails whose clicks `join` found something else of.

    Yields the email's id, what was known before, and what is now. Of clicks whose email does not
    remember them any more, the verdict stays.
    """
    rows = connection.execute(_FINDINGS_OF, {"ids": list(message_ids)}).all()
    if not rows:
        return
    # Of one email they may be more than a statement takes, here and where they are left.
    _DELETE_FINDINGS.run(connection, [row.event_id for row in rows])
    states = {row.event_id: bool(row.is_gateway) for row in rows}
    ids = sorted({row.message_id for row in rows})
    for row in connection.execute(_EVIDENCE, {"ids": ids}).all():
        after = jury.marked(row.records, states)
        if after != row.records:
            connection.execute(_MARK, {"key": row.message_id, "new": after})
            yield row.message_id, Evidence(row.records, row.traps), Evidence(after, row.traps)


def place_of(accepted_at: int, network: str = "") -> str:
    """Return where clicks of a network belong, in emails that were accepted at a time.

    Places of an hour are above that without a network, and below that of the next hour.
    """
    return f"{accepted_at // HOUR:06x} {network}"


def forget_crowds(connection: Connection, before: int, limit: int) -> int:
    """Delete up to ``limit`` crowds of emails that were accepted before a time; return how many."""
    oldest = select(crowds.c.place).where(crowds.c.place < place_of(before))
    # Without waiting for publishers, who take such rows in another order.
    found = oldest.order_by(crowds.c.place).limit(limit).with_for_update(skip_locked=True)
    places = list(connection.scalars(found))
    if places:
        connection.execute(delete(crowds).where(crowds.c.place.in_(places)))
    return len(places)


def mark_of(message_id: str) -> str:
    """Return twelve bits of an email's id, of a checksum."""
    return f"{crc32(message_id.encode(errors='replace')) & 0xFFF:03x}"


def leave_crowds(connection: Connection, message_ids: Sequence[str]) -> None:
    """Take the clicks of emails out of their crowds, within a transaction that nobody shares."""
    connection.execute(_FORGET_FINDINGS, {"ids": list(message_ids)})
    marks: dict[int, set[str]] = {}
    clicked = set(connection.scalars(_CLICKED, {"ids": list(message_ids)}))
    for id_ in filter(is_id, clicked):
        marks.setdefault(made_at(id_) // HOUR, set()).add(mark_of(id_))
    for hour, wanted in marks.items():
        first, next_ = place_of(hour * HOUR), place_of((hour + 1) * HOUR)
        within = select(crowds).where(crowds.c.place >= first, crowds.c.place < next_)
        for place, records in connection.execute(within).all():
            parts = parts_of(records)
            alike = [part[:ID_LENGTH] for part in parts if part[EMAIL] in wanted]
            theirs = {id_ for id_, email in _EMAILS.run(connection, alike) if email in clicked}
            if theirs:
                left = "".join(part for part in parts if part[:ID_LENGTH] not in theirs)
                connection.execute(_CHANGE, {"key": place, "new": left})


def parts_of(records: str) -> list[str]:
    """Return the records that stand one behind the other."""
    return [records[at : at + RECORD] for at in range(0, len(records), RECORD)]


def _marked(record: str, is_gateway: bool) -> str:
    return record[:STATE] + (GATEWAY if is_gateway else ALONE) + record[STATE + 1 :]


def _leave(connection: Connection, earlier: Mapping[str, bool]) -> None:
    """Leave what is found of earlier clicks to `settle`; what was left before counts no more."""
    if not earlier:
        return
    rows = _EMAILS.run(connection, sorted(earlier))
    found = sorted((event_id, id_, int(earlier[event_id])) for event_id, id_ in rows)
    _LEAVE.run(connection, found)


_MOST = RECENT * RECORD
_ADD = BulkInsert(
    crowds,
    finish=lambda s: s.on_conflict_do_update(
        index_elements=[crowds.c.place],
        set_={
            "records": func.substr(
                s.excluded.records + crowds.c.records,
                literal_column("1"),
                literal_column(str(_MOST)),
            )
        },
    ).returning(crowds.c.place, crowds.c.records),
)
_LEAVE = BulkInsert(
    crowd_findings,
    finish=lambda s: s.on_conflict_do_update(
        index_elements=[crowd_findings.c.event_id], set_={"is_gateway": s.excluded.is_gateway}
    ),
)
_ids: BindParameter[list[str]] = bindparam("ids", expanding=True)
_CHANGE = update(crowds).where(crowds.c.place == bindparam("key")).values(records=bindparam("new"))
_EMAILS = ByIds(select(clicks.c.event_id, clicks.c.message_id).where(clicks.c.event_id.in_(_ids)))
_CLICKED = select(clicked_links.c.message_id).where(clicked_links.c.message_id.in_(_ids))
_WAITING = select(crowd_findings.c.message_id).order_by(crowd_findings.c.event_id).limit(FINDINGS)
_FINDINGS_OF = (
    select(crowd_findings)
    .where(crowd_findings.c.message_id.in_(_ids))
    .order_by(crowd_findings.c.event_id)
    .with_for_update()
)
_DELETE_FINDINGS = ByIds(delete(crowd_findings).where(crowd_findings.c.event_id.in_(_ids)))
_FORGET_FINDINGS = delete(crowd_findings).where(crowd_findings.c.message_id.in_(_ids))
_EVIDENCE = (
    select(evidence)
    .where(evidence.c.message_id.in_(_ids))
    .order_by(evidence.c.message_id)
    .with_for_update()
)
_MARK = (
    update(evidence)
    .where(evidence.c.message_id == bindparam("key"))
    .values(records=bindparam("new"))
)
