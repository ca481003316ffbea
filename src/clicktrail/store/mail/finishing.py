"""How emails ended: written and counted, in the transaction of whoever writes."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import BindParameter, Connection, bindparam, exists, select, update

from clicktrail.base.ids import hour_of
from clicktrail.model import EventType, MessageState, provider_of
from clicktrail.store.clicks.cohorts import Belonging, Cohorts, Tag, hour_of_row, people_of, tags_of
from clicktrail.store.clicks.statistics import Dimensions, add_counts, add_tag_counts
from clicktrail.store.database.bulk import BulkInsert, ByIds
from clicktrail.store.database.turns import take_shard
from clicktrail.store.mail.grouping import mailings_of
from clicktrail.store.mail.kept.contents import content_of, packed
from clicktrail.store.mail.rows import NUMBER, links_of, message_of
from clicktrail.store.mail.tables import announcements, message_contents, messages, unindexed
from clicktrail.store.mail.underway import Known
from clicktrail.store.tables import event_destinations


@dataclass(frozen=True, slots=True)
class Finished:
    """The smarthost's answer to an email."""

    message_id: str
    state: MessageState
    recipients: tuple[str, ...]
    at: int


class _Pending(NamedTuple):
    """A row of `_SELECT_PENDING`."""

    id: str
    accepted_at: int
    state: int
    configuration_set: str
    identity_id: str
    identity: str
    provider: str
    reason: str
    recipients: bytes | None
    content: bytes | None
    announced: int


def write_finished(
    connection: Connection, first: Mapping[str, Finished], known: Mapping[str, Known]
) -> None:
    """Write how emails ended, by their ids, and count those that were sent.

    ``known`` is what this process remembers of them. Those that have ended already are passed over.
    """
    rows = map(_Pending._make, _SELECT_PENDING.run(connection, sorted(first)))
    finished = [(first[row.id], row) for row in rows]
    if not finished:
        return
    for state in {each.state for each, _ in finished}:
        ids = [each.message_id for each, _ in finished if each.state is state]
        _UPDATE_STATE.run(connection, ids, new=NUMBER[state])
    changed = [
        {"key": each.message_id, "new": recipients}
        for each, row in finished
        if (recipients := packed(each.recipients)) != row.recipients
    ]
    if changed:
        connection.execute(_UPDATE_RECIPIENTS, changed)
    sent = [(each, row) for each, row in finished if each.state is MessageState.SENT]
    cohorts = _tracked(connection, [row for _, row in sent], known)
    took = Counter(
        (hour_of(each.at), row.configuration_set, row.identity, provider_of(recipient))
        for each, row in sent
        for recipient in each.recipients
    )
    for key, count in took.items():
        cohorts.hours[Dimensions(*key)].sent += count
    shard = take_shard(connection)
    add_counts(connection, shard, cohorts.hours)
    add_tag_counts(connection, shard, cohorts.tags)
    cohorts.write_mailings(connection, shard)
    _QUEUE.run(connection, sorted((each.message_id,) for each, _ in finished))
    _ANNOUNCE.run(connection, [(each.message_id,) for each, row in sent if row.announced])


def _tracked(
    connection: Connection, sent: Sequence[_Pending], known: Mapping[str, Known]
) -> Cohorts:
    """Count tracked ones of emails that were sent; some may have been clicked meanwhile."""
    cohorts = Cohorts()
    people = people_of(connection, [row.id for row in sent])
    alike: Counter[tuple[Dimensions, Sequence[Tag]]] = Counter()
    for row in sent:
        if row.reason:
            continue
        clicked = people.get(row.id, {})
        what = known.get(row.id)
        if what and not clicked and row.content and hash(row.content) == what.contents:
            if what.links:
                alike[hour_of_row(row), what.tags] += 1
            continue
        content = None if row.content is None else content_of(connection, row.id, row.content)
        if content is None:  # it was erased meanwhile
            cohorts.add_sent(row, Belonging(), clicked)
        elif content.links:
            message = message_of(connection, row) if clicked else None
            groups = tuple(k.digest for k in mailings_of(message)) if message else ()
            cohorts.add_sent(row, Belonging(tags_of(links_of(content)), groups), clicked)
    for (hour, tags), count in alike.items():
        cohorts.add_unclicked(hour, tags, count)
    return cohorts


_ids: BindParameter[list[str]] = bindparam("ids", expanding=True)
_ANNOUNCE = BulkInsert(announcements)
_QUEUE = BulkInsert(unindexed, ("message_id",), finish=lambda s: s.on_conflict_do_nothing())
_announced = (
    exists()
    .where(
        event_destinations.c.configuration_set == messages.c.configuration_set,
        event_destinations.c.enabled,
        ("," + event_destinations.c.types + ",").contains(f",{EventType.SEND},"),
    )
    .label("announced")
)
_SELECT_PENDING = ByIds(
    select(messages, message_contents.c.recipients, message_contents.c.content, _announced)
    # Not with JOIN: the contents may have been erased meanwhile, and it counts all the same.
    .outerjoin(message_contents, message_contents.c.message_id == messages.c.id)
    .where(messages.c.id.in_(_ids), messages.c.state == NUMBER[MessageState.PENDING])
    .order_by(messages.c.id)
    .with_for_update(of=messages)
)
_UPDATE_STATE = ByIds(
    update(messages).where(messages.c.id.in_(_ids)).values(state=bindparam("new"))
)
_UPDATE_RECIPIENTS = (
    update(message_contents)
    .where(message_contents.c.message_id == bindparam("key"))
    .values(recipients=bindparam("new"))
)
