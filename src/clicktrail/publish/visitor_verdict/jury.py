"""Clicks to be recorded in one transaction, in which they are judged together."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from clicktrail.base.ids import is_id, new_id, time_in
from clicktrail.model import HONEYPOT_LINK, USUAL, Click, Judgement, Request, Thresholds, Verdict
from clicktrail.model.anonymous import is_anonymous
from clicktrail.publish.event import click_event, click_object, verdict_changed_event
from clicktrail.publish.others.unsubscribes import logged_unsubscribe
from clicktrail.publish.routing import Target, address
from clicktrail.publish.subjects import Subject
from clicktrail.publish.visitor_verdict.gateways import LATEST, crowd_record, misjudged, network_of
from clicktrail.publish.visitor_verdict.records import DAMAGE, marked, record, signs_of, sound
from clicktrail.publish.visitor_verdict.signs import judgement
from clicktrail.publish.visitor_verdict.together import judge_again, judge_marked
from clicktrail.store.clicks.clicks import LoggedClick, Outgoing
from clicktrail.store.clicks.judging.crowds import place_of
from clicktrail.store.clicks.judging.evidence import Evidence
from clicktrail.store.clicks.opens import LoggedOpen
from clicktrail.store.clicks.unsubscribes import LoggedUnsubscribe
from clicktrail.store.configuration import Configuration


@dataclass(slots=True)
class Batch:
    """Clicks to be recorded in one transaction, in which it judges them (`Jury`)."""

    subjects: Mapping[str, Subject]
    targets: Callable[[str | None], Sequence[Target]]
    opens: Callable[[str | None], Sequence[Target]]
    """Who is told of opens."""
    unsubscribes: Callable[[str | None], Sequence[Target]]
    """Who is told of unsubscribes."""
    changes: Callable[[str | None], Sequence[Target]]
    """Who wants to know that a verdict has changed."""
    configuration: Configuration
    at: int
    opened: list[LoggedOpen] = field(default_factory=list)
    left: list[LoggedUnsubscribe] = field(default_factory=list)
    logged: list[LoggedClick] = field(default_factory=list)
    evidence: dict[str, str] = field(default_factory=dict)
    visits: dict[str, Evidence] = field(default_factory=dict)
    crowds: dict[str, tuple[str, str]] = field(default_factory=dict)
    is_unsettled: bool = False
    """Whether earlier clicks may wait for another verdict, since these were recorded."""

    def add(self, click: Click, signs: int) -> None:
        """Add a click, as it may be kept, with what speaks against a person in it alone."""
        known = not is_anonymous(click.message_id)
        remembered = record(click, signs) if known and is_id(click.event_id) else ""
        # What nobody wrote, and what was not opened, is no click of the email's.
        if not known and (click.link == HONEYPOT_LINK or click.request & Request.HEAD):
            return
        if click.link == HONEYPOT_LINK:
            self._visit(click.message_id, Evidence(traps=remembered))
            return
        if click.request & Request.HEAD:
            self._visit(click.message_id, Evidence(remembered))
            return
        limits = self.limits_of(click.message_id)
        if remembered:
            self.evidence[click.event_id] = remembered
            self._join_crowd(click, signs, limits.gateway)
        self.logged.append(self._logged(click, judgement(signs, limits.suspect, limits.machine)))

    def _join_crowd(self, click: Click, signs: int, least: int) -> None:
        """Let a click say something of others from its network, soon after the email came."""
        subject = self.subjects[click.message_id]
        if subject.accepted_at is None or click.clicked_at - subject.accepted_at > LATEST:
            return  # as most
        at, reader = time_in(click.message_id), "".join(subject.readers[:1])
        made = crowd_record(click, signs, at, subject.links, reader, least)
        if made and (network := network_of(click.ip)):
            self.crowds[click.event_id] = place_of(at, network), made

    def limits_of(self, message_id: str) -> Thresholds:
        """Return the thresholds of an email's configuration set."""
        owner = self.configuration.sets.get(self.subjects[message_id].configuration_set or "")
        return owner.rules.thresholds if owner else USUAL

    def unsubscribe(self, click: Click) -> None:
        """Add a request to unsubscribe."""
        subject = self.subjects[click.message_id]
        to = self.unsubscribes(subject.configuration_set)
        if (made := logged_unsubscribe(click, subject, to, self.at)) is not None:
            self.left.append(made)

    def told_otherwise(self) -> Iterator[Outgoing]:
        """Yield what is told of anything but clicks."""
        yield from (one for each in self.opened for one in each.outgoing)
        yield from (one for each in self.left for one in each.outgoing)

    def _visit(self, message_id: str, seen: Evidence) -> None:
        self.visits[message_id] = seen + self.visits.get(message_id, Evidence())

    def judge(self, message_id: str, new: Evidence, known: Evidence) -> dict[str, Judgement]:
        """Return the judgements of an email's clicks that have changed, by event id."""
        links, limits = self.subjects[message_id].links, self.limits_of(message_id)
        try:
            return judge_again(new, known, links, limits)
        except DAMAGE:  # one email's must not hold up all clicks for good
            return judge_again(new, _sound(known), links, limits)

    def gateways(self, records: str) -> list[int]:
        """Return the places of records of a crowd in which it says the wrong thing of a click."""
        found = misjudged(records)
        self.is_unsettled |= bool(found)
        return found

    def marked(self, records: str, states: Mapping[str, bool]) -> str:
        """Return records of clicks of an email, with whether some of them are a gateway's."""
        return marked(records, states)

    def alone(self, message_id: str, record: str) -> Judgement:
        """Return the judgement of a click by its record alone."""
        limits = self.limits_of(message_id)
        return judgement(signs_of(record), limits.suspect, limits.machine)

    def judge_marked(
        self, message_id: str, before: Evidence, after: Evidence
    ) -> dict[str, Judgement]:
        """Return judgements of an email's clicks that change where others are a gateway's."""
        links, limits = self.subjects[message_id].links, self.limits_of(message_id)
        try:
            return judge_marked(before, after, links, limits)
        except DAMAGE:
            return judge_marked(_sound(before), _sound(after), links, limits)

    def told(self, logged: LoggedClick, judged: Judgement) -> LoggedClick:
        """Return a new click with another judgement, as it is told."""
        return self._logged(logged.click, judged)

    def corrected(self, earlier: LoggedClick, before: Verdict, judged: Judgement) -> LoggedClick:
        """Return an earlier click with another judgement, and who is told that it has changed."""
        click, subject = earlier.click, self.subjects[earlier.click.message_id]
        outgoing: tuple[Outgoing, ...] = ()
        if to := self.changes(subject.configuration_set):
            seen = click_object(click, earlier.tags, judged.verdict, judged.reasons)
            event = partial(verdict_changed_event, subject.mail, seen, click.event_id, before)
            outgoing = address(new_id(self.at), to, event, self.at)
        return replace(earlier, outgoing=outgoing)

    def counted(self, click: Click) -> LoggedClick:
        """Return an earlier click of one of these emails with all that it was counted by."""
        return self._logged(click, judgement(0), tell=False)

    def _logged(self, click: Click, judged: Judgement, tell: bool = True) -> LoggedClick:
        subject = self.subjects[click.message_id]
        tags = subject.tags.get(click.link, ())
        outgoing: tuple[Outgoing, ...] = ()
        set_name = subject.configuration_set
        if tell and (to := self.targets(set_name)):
            seen = click_object(click, tags, judged.verdict, judged.reasons)
            event = partial(click_event, subject.mail, seen)
            owner = self.configuration.sets.get(set_name or "")
            hold = owner.settle * 1_000_000 if owner else 0
            outgoing = address(click.event_id, to, event, self.at, hold)
        return LoggedClick(
            click,
            subject.counted_at(click.clicked_at),
            tags,
            judged.verdict,
            judged.reasons,
            outgoing,
            subject.mailings,
            subject.tags,
            subject.version,
        )


def _sound(known: Evidence) -> Evidence:
    return Evidence(sound(known.records), sound(known.traps))
