"""Who clicked: a person, a machine, or somebody suspect (behaviour § 7).

``machine``
    The User-Agent names itself a crawler, a scanner or a library (``user-agent``); or the address
    is one from which a mail security service looks at links (``network``); or the visitor followed
    the email's hidden link (``honeypot``); or three different links of one email were clicked
    within two seconds from one address (``burst``); or two of the signs below came together.

``suspect``
    One sign alone, which a person may give now and then: two different links of one email within
    two seconds from one address (``burst``: somebody may open two tabs); less than a second after
    the email was accepted, before anybody can have read it (``too-fast``: but clocks of two
    machines differ); no User-Agent at all (``no-user-agent``: but some people hide theirs).

``human``
    Everything else.

A burst is known only at its second or third click, and a machine by the hidden link only when it
gets there, so the earlier clicks are judged again then. ``docs/machine-clicks.md`` is for users.
"""

from bisect import insort
from collections import OrderedDict
from dataclasses import dataclass
from functools import lru_cache

from crawlerdetect import CrawlerDetect  # type: ignore[import-untyped]
from crawleruseragents import is_crawler  # type: ignore[import-untyped]

from clicktrail.model import Click, Verdict
from clicktrail.publish.networks import Networks

USER_AGENT = "user-agent"
NETWORK = "network"
HONEYPOT = "honeypot"
NO_USER_AGENT = "no-user-agent"
TOO_FAST = "too-fast"
BURST = "burst"

CERTAIN = frozenset((USER_AGENT, NETWORK, HONEYPOT))
"""Each of these alone is a machine's."""

BURST_MICROSECONDS = 2_000_000
BURST_SUSPECT = 2
BURST_MACHINE = 3
"""Different links of one email, from one address, within that time."""

TOO_FAST_MICROSECONDS = 1_000_000

_KEYS = 10_000
_CLICKS_PER_KEY = 16
_AGENT_LIMIT = 512
_AGENTS = 50_000

# Email security products that name themselves, and are in neither list of crawlers.
_SCANNERS = ("proofpoint", "mimecast", "barracuda", "messagelabs", "ironport", "forcepoint")


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict with its reasons."""

    verdict: Verdict
    reasons: tuple[str, ...]


_Visitor = tuple[str, str]
"""The email's id, and the address."""


@dataclass(slots=True)
class _Seen:
    """A click that may be, or become, part of a burst."""

    event_id: str
    link: int
    at: int
    signs: tuple[str, ...]
    links: int = 1
    """The most links, its own among them, that were clicked within two seconds, as far as known."""


class Judge:
    """Judges clicks in the order in which they are read; remembers the last ones.

    A visitor is an address that clicks in an email. The memory is bounded: of the last 10,000
    visitors the newest clicks are kept, and of 10,000 that they followed the hidden link.
    ``networks`` are those of known machines.
    """

    def __init__(self, networks: Networks | None = None) -> None:
        self._networks = networks or Networks()
        self._seen: OrderedDict[_Visitor, list[_Seen]] = OrderedDict()
        self._trapped: OrderedDict[_Visitor, None] = OrderedDict()

    def know(self, networks: Networks) -> None:
        """Take other networks of known machines, for the clicks to come."""
        self._networks = networks

    def judge(self, click: Click, accepted_at: int | None) -> dict[str, Judgement]:
        """Return the judgement of the click, and new ones of earlier clicks, by event id.

        ``accepted_at`` is when its email was accepted, ``None`` where that is not known. A click
        that is judged again (it came twice) gets the same judgement.
        """
        signs: tuple[str, ...] = ()
        if names_itself_a_machine(click.user_agent):
            signs = (USER_AGENT,)
        elif not click.user_agent.strip():
            signs = (NO_USER_AGENT,)
        if click.ip in self._networks:
            signs = (*signs, NETWORK)
        if (click.message_id, click.ip) in self._trapped:
            signs = (*signs, HONEYPOT)
        if accepted_at is not None and click.clicked_at - accepted_at < TOO_FAST_MICROSECONDS:
            signs = (*signs, TOO_FAST)
        return self._remember(click, signs)

    def trap(self, click: Click) -> dict[str, Judgement]:
        """Note that a visitor followed the hidden link of an email.

        Returns new judgements of the visitor's earlier clicks in it, by event id. The click itself
        is no click on a link of the email, and is not judged.
        """
        visitor = (click.message_id, click.ip)
        self._trapped[visitor] = None
        self._trapped.move_to_end(visitor)
        if len(self._trapped) > _KEYS:
            self._trapped.popitem(last=False)
        changed = [each for each in self._seen.get(visitor, ()) if HONEYPOT not in each.signs]
        for each in changed:
            each.signs = (*each.signs, HONEYPOT)
        return {each.event_id: judge_signs(each.signs, each.links) for each in changed}

    def _remember(self, click: Click, signs: tuple[str, ...]) -> dict[str, Judgement]:
        key = (click.message_id, click.ip)
        new = _Seen(click.event_id, click.link, click.clicked_at, signs)
        known = self._seen.get(key)
        if known is None:
            self._seen[key] = [new]
            if len(self._seen) > _KEYS:
                self._seen.popitem(last=False)
            return {new.event_id: judge_signs(signs, 1)}
        self._seen.move_to_end(key)
        for each in known:
            if each.event_id == new.event_id:
                return {new.event_id: judge_signs(each.signs, each.links)}
        # Clicks that waited in a spool come late and out of order: only their times count.
        insort(known, new, key=_time)
        changed = _count_bursts([e for e in known if abs(e.at - new.at) <= BURST_MICROSECONDS], new)
        if len(known) > _CLICKS_PER_KEY:
            del known[0]
        return {each.event_id: judge_signs(each.signs, each.links) for each in changed}


def _time(seen: _Seen) -> int:
    return seen.at


def _count_bursts(near: list[_Seen], new: _Seen) -> list[_Seen]:
    """Count the links of all spans of two seconds that hold a new click.

    ``near`` are the clicks that such a span may hold, in order of time, the new one among them.
    Returns the clicks to be judged: the new one, and those that are in a larger burst than before.
    """
    changed = [new]
    if len({each.link for each in near}) == 1:  # somebody clicks one link again and again
        return changed
    for start in near:
        if start.at > new.at or all(each.links == BURST_MACHINE for each in near):
            break
        span = [each for each in near if 0 <= each.at - start.at <= BURST_MICROSECONDS]
        links = min(len({each.link for each in span}), BURST_MACHINE)  # more makes no difference
        for each in span:
            if each.links < links:
                each.links = links
                if each is not new:
                    changed.append(each)
    return changed


def judge_signs(signs: tuple[str, ...], links: int) -> Judgement:
    """Return the judgement of a click with those signs, one of that many links in a burst."""
    reasons = (*signs, BURST) if links >= BURST_SUSPECT else signs
    if not CERTAIN.isdisjoint(signs) or links >= BURST_MACHINE or len(reasons) > 1:
        return Judgement(Verdict.MACHINE, reasons)
    return Judgement(Verdict.SUSPECT if reasons else Verdict.HUMAN, reasons)


_crawlers = CrawlerDetect()


def names_itself_a_machine(user_agent: str) -> bool:
    """Return whether a User-Agent is that of a crawler, a scanner or a library."""
    return _names_machine(user_agent[:_AGENT_LIMIT])


@lru_cache(_AGENTS)
def _names_machine(user_agent: str) -> bool:
    lower = user_agent.lower()
    return (
        any(name in lower for name in _SCANNERS)
        or is_crawler(user_agent)
        or bool(_crawlers.is_crawler(user_agent))
    )
