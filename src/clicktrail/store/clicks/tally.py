"""Clicks as they are recorded, and what a batch of them adds to the counters."""

from collections import Counter, defaultdict
from collections.abc import Sequence, Set
from dataclasses import dataclass, field
from itertools import chain, islice
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection

from clicktrail.base.text.programs import program_of
from clicktrail.model import Click, Verdict
from clicktrail.store.clicks.cohorts import Belonging, Cohorts, LinkTags, count_people
from clicktrail.store.clicks.outbox import Notification
from clicktrail.store.clicks.statistics import (
    Counts,
    Dimensions,
    add_counts,
    add_link_counts,
    add_tag_counts,
    adding,
    clicks_of,
)
from clicktrail.store.clicks.streams import NewStreamEvent
from clicktrail.store.clicks.tables import mailing_links, program_counters
from clicktrail.store.database.bulk import Row
from clicktrail.store.database.turns import take_shard

Outgoing = NewStreamEvent | Notification
"""A notification: into a built-in stream at once, or into the outbox."""

Place = tuple[str, int]
"""A link of an email: the email's id, and the link's index."""

MOST_TAGS = 50
"""So many of a link's tags are counted by."""


@dataclass(frozen=True, slots=True)
class LoggedClick:
    """A click to record: what was seen, what it counts as, and who is told.

    Its texts are as a database can hold them (`storable_click`).
    """

    click: Click
    dimensions: Dimensions
    tags: tuple[tuple[str, str], ...] = ()
    """The tags of its link."""
    verdict: Verdict = Verdict.HUMAN
    reasons: tuple[str, ...] = ()
    outgoing: tuple[Outgoing, ...] = ()
    mailings: tuple[bytes, ...] = ()
    """Digests of the mailings that its email belongs to (`clicktrail.store.mail.grouping`)."""
    link_tags: LinkTags = field(default_factory=dict)
    """The tags of all links of its email."""
    version: bytes = b""
    """What the links of its email lead to (`clicktrail.store.mail.pages`)."""


def click_of(row: Any) -> Click:
    """Return the click of a row of ``clicks``."""
    return Click(
        row.event_id,
        row.message_id,
        row.link,
        row.url,
        row.clicked_at,
        row.ip,
        row.user_agent,
        destination=row.destination,
    )


def verdict_of(text: str) -> Verdict:
    """Return a verdict that is kept; in the place of a damaged one, nothing is said for sure."""
    return Verdict(text) if text in _VERDICTS else Verdict.SUSPECT


_VERDICTS = frozenset(Verdict)


def _counts() -> defaultdict[Any, Counts]:
    return defaultdict(Counts)


@dataclass(slots=True)
class Tally:
    """Counts of one batch, by what they are kept by."""

    hours: defaultdict[Dimensions, Counts] = field(default_factory=_counts)
    links: defaultdict[tuple[Dimensions, str], Counts] = field(default_factory=_counts)
    tags: defaultdict[tuple[Dimensions, str, str], Counts] = field(default_factory=_counts)
    programs: defaultdict[tuple[Dimensions, str], Counts] = field(default_factory=_counts)
    mailings: defaultdict[tuple[bytes, bytes, int], Counts] = field(default_factory=_counts)
    urls: dict[tuple[bytes, bytes, int], str] = field(default_factory=dict)
    cohorts: Cohorts = field(init=False)

    def __post_init__(self) -> None:
        self.cohorts = Cohorts(self.hours, self.tags)

    def of(self, logged: LoggedClick) -> list[Counts]:
        """Return all counts that a click belongs to."""
        click, hour = logged.click, logged.dimensions
        key = hour.daily()
        program = program_of(click.user_agent)
        found = [self.hours[hour], self.links[key, click.url], self.programs[key, program]]
        if logged.tags:
            tags = islice(dict.fromkeys(logged.tags), MOST_TAGS)
            found += [self.tags[key, tag, value] for tag, value in tags]
        for digest in logged.mailings:
            place = (digest, logged.version, click.link)
            self.urls.setdefault(place, click.url)
            found.append(self.mailings[place])
        return found

    def count_people(
        self,
        connection: Connection,
        new: Sequence[LoggedClick],
        fewer: Sequence[LoggedClick],
        more: Sequence[LoggedClick],
        by_people: Set[Place],
    ) -> None:
        """Count the emails that a person clicked first, or that no person has clicked any more.

        ``fewer`` are earlier clicks that were a person's, ``more`` those that are one after all,
        ``by_people`` the links that no person had clicked before the new ones. All of it is
        written already.
        """
        people: defaultdict[str, Counter[int]] = defaultdict(Counter)
        belongings: dict[str, Belonging] = {}
        # Whether a person clicked an email, or a link with a tag, changes with such links alone.
        changed = {id_ for id_, _ in by_people}
        changed.update(each.click.message_id for each in chain(fewer, more))
        human = (each for each in new if each.verdict is Verdict.HUMAN)
        added = [each for each in human if each.click.message_id in changed]
        for some, change in ((added, 1), (more, 1), (fewer, -1)):
            for each in some:
                id_ = each.click.message_id
                people[id_][each.click.link] += change
                belongings[id_] = Belonging(each.link_tags, each.mailings)
        count_people(connection, people, belongings, self.cohorts)

    def write(self, connection: Connection) -> None:
        """Add all to the counters."""
        shard = take_shard(connection)
        add_counts(connection, shard, self.hours)
        add_link_counts(connection, shard, self.links)
        add_tag_counts(connection, shard, self.tags)
        rows: list[Row] = [
            (*key, program, shard, *clicks_of(counts))
            for (key, program), counts in sorted(self.programs.items(), key=itemgetter(0))
        ]
        _ADD_PROGRAMS.run(connection, rows)
        self.cohorts.write_mailings(connection, shard)
        rows = [
            (*place, shard, self.urls[place], *clicks_of(counts))
            for place, counts in sorted(self.mailings.items(), key=itemgetter(0))
        ]
        _ADD_MAILING_LINKS.run(connection, rows)


_ADD_MAILING_LINKS, _ADD_PROGRAMS = adding(mailing_links), adding(program_counters)
