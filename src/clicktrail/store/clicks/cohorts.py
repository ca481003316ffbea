"""Which tracked emails a person clicked: the click-through rate is their share, 0 to 100 %.

An email belongs to the hour in which it was accepted. Once it is sent it counts there as tracked,
and once a person has clicked it, as clicked: whichever comes last, and once. Where a later click
speaks against the only person, it does no more.

Who counts holds the emails' rows, so that what it finds clicked is all that there is: two who count
at once would each take their own click for the first.
"""

from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any

from sqlalchemy import (
    BindParameter,
    Column,
    ColumnElement,
    Connection,
    Text,
    bindparam,
    cast,
    func,
    select,
)

from clicktrail.base.ids import hour_of
from clicktrail.model import Link
from clicktrail.store.clicks.statistics import Counts, Dimensions, adding
from clicktrail.store.clicks.tables import clicked_links, mailing_counts
from clicktrail.store.database.bulk import ByIds
from clicktrail.store.mail.tables import messages

LinkTags = Mapping[int, Sequence[tuple[str, str]]]
"""The tags of an email's links, by index."""
Tag = tuple[str, str]
People = Mapping[int, int]
"""Clicks of people on one email, by link; of a change of them, negative ones too."""

MOST_TAGS = 200
"""So many different tags of an email's links are counted by."""
SENT = 1
"""The number of `MessageState.SENT` in the table (`clicktrail.store.mail.messages`)."""


@dataclass(frozen=True, slots=True)
class Belonging:
    """What an email counts by, beside its dimensions."""

    tags: LinkTags = field(default_factory=dict)
    mailings: Sequence[bytes] = ()
    """Digests (`clicktrail.store.mail.grouping`)."""


def tags_of(links: Iterable[Link]) -> dict[int, tuple[tuple[str, str], ...]]:
    """Return the tags of links, by index; those without are left out."""
    return {link.index: link.tags for link in links if link.tags}


def names_of(tags: LinkTags) -> tuple[Tag, ...]:
    """Return the different tags that an email is counted by: `MOST_TAGS` at most."""
    every = chain.from_iterable(tags[link] for link in sorted(tags))
    return tuple(islice(dict.fromkeys(every), MOST_TAGS))


@dataclass(slots=True)
class Cohorts:
    """What is to be added to the counters of emails."""

    hours: defaultdict[Dimensions, Counts] = field(default_factory=lambda: defaultdict(Counts))
    tags: defaultdict[tuple[Dimensions, str, str], Counts] = field(
        default_factory=lambda: defaultdict(Counts)
    )
    """By the day."""
    mailings: Counter[bytes] = field(default_factory=Counter)

    def add_sent(self, row: Any, belonging: Belonging, people: People) -> None:
        """Add a tracked email that was sent, and the clicks of people that it has already.

        ``row`` is the email's of ``messages``.
        """
        hour = hour_of_row(row)
        self.add_unclicked(hour, names_of(belonging.tags))
        if people:
            self._add_people(hour, belonging, {}, people)

    def add_unclicked(self, hour: Dimensions, tags: Iterable[Tag], emails: int = 1) -> None:
        """Add tracked emails that were sent, whose links have these tags (`names_of`)."""
        self.hours[hour].tracked += emails
        day = hour.daily()
        for name, value in tags:
            self.tags[day, name, value].tracked += emails

    def add_people(self, row: Any, belonging: Belonging, now: People, change: People) -> None:
        """Add a change of the clicks of people on an email; ``now`` are all, the change's too."""
        if row.state == SENT:  # else it is added when it is
            before = {link: count - change.get(link, 0) for link, count in now.items()}
            self._add_people(hour_of_row(row), belonging, before, now)

    def _add_people(
        self, hour: Dimensions, belonging: Belonging, before: People, now: People
    ) -> None:
        if change := _any(now, now) - _any(before, before):
            self.hours[hour].clicked += change
            for digest in belonging.mailings:
                self.mailings[digest] += change
        changed = {link for link, count in now.items() if (count > 0) != (before.get(link, 0) > 0)}
        for (name, value), links in _indexes(belonging.tags, changed).items():
            if change := _any(now, links) - _any(before, links):
                self.tags[hour.daily(), name, value].clicked += change

    def write_mailings(self, connection: Connection, shard: int) -> None:
        """Add to the counts of mailings."""
        rows = [(digest, shard, count) for digest, count in sorted(self.mailings.items()) if count]
        _ADD_MAILINGS.run(connection, rows)


def people_of(connection: Connection, ids: Sequence[str]) -> dict[str, dict[int, int]]:
    """Return how often people clicked the links of emails; emails without are left out."""
    found: dict[str, dict[int, int]] = {}
    for id_, links, counts in _PEOPLE.run(connection, ids):
        numbers = map(int, counts.split(","))
        found[id_] = dict(zip(map(int, links.split(",")), numbers, strict=True))
    return found


def count_people(
    connection: Connection,
    changes: Mapping[str, People],
    belongings: Mapping[str, Belonging],
    cohorts: Cohorts,
) -> None:
    """Count what changes of the clicks of people, which are written already, say of emails.

    Those whose rows are gone belong nowhere.
    """
    ids = sorted(id_ for id_, change in changes.items() if any(change.values()))
    if not ids:
        return
    rows = connection.execute(_HOLD, {"ids": ids}).all()
    people = people_of(connection, ids)
    for row in rows:
        now = dict.fromkeys(changes[row.id], 0) | people.get(row.id, {})
        cohorts.add_people(row, belongings[row.id], now, changes[row.id])


def _any(people: People, links: Iterable[int]) -> bool:
    for link in links:  # noqa: SIM110 - a generator takes twice the time
        if people.get(link, 0) > 0:
            return True
    return False


def hour_of_row(row: Any) -> Dimensions:
    """Return what an email counts by, from its row: the hour in which it was accepted."""
    return Dimensions(hour_of(row.accepted_at), row.configuration_set, row.identity, row.provider)


def _indexes(tags: LinkTags, changed: Container[int]) -> dict[tuple[str, str], list[int]]:
    """Return the links of each tag that one of the changed links has."""
    wanted = set(chain.from_iterable(tags[link] for link in tags if link in changed))
    if wanted and sum(map(len, tags.values())) > MOST_TAGS:
        wanted.intersection_update(names_of(tags))
    found: dict[tuple[str, str], list[int]] = {tag: [] for tag in wanted}
    for link in tags if wanted else ():
        for tag in tags[link]:
            if tag in wanted:
                found[tag].append(link)
    return found


_ids: BindParameter[list[str]] = bindparam("ids", expanding=True)
_HOLD = (
    select(
        messages.c.id,
        messages.c.accepted_at,
        messages.c.state,
        messages.c.configuration_set,
        messages.c.identity,
        messages.c.provider,
    )
    # Nothing else in WHERE: what the row says is true once it is held.
    .where(messages.c.id.in_(_ids))
    .order_by(messages.c.id)
    .with_for_update()
)


def _listed(column: Column[int]) -> ColumnElement[str]:
    """Return the numbers of a group as one text, in one order for all columns."""
    return func.aggregate_strings(cast(column, Text), ",")


_PEOPLE = ByIds(
    # A row for each email, not for each link: most of the time would go into fetching rows.
    select(
        clicked_links.c.message_id,
        _listed(clicked_links.c.link),
        _listed(clicked_links.c.human_clicks),
    )
    .where(clicked_links.c.message_id.in_(_ids), clicked_links.c.human_clicks > 0)
    .group_by(clicked_links.c.message_id)
)
_ADD_MAILINGS = adding(mailing_counts)
