"""Who clicked: a person, a machine, or somebody suspect (behaviour § 7).

``machine``
    The User-Agent names itself a crawler, a scanner or a library (``user-agent``); or the address
    is one from which a mail security service looks at links (``network``); or the email's hidden
    link was followed by the same visitor, or in the same rush (``honeypot``); or three different
    links of one email were clicked within two seconds (``burst``); or two of the signs below came
    together.

``suspect``
    One sign alone, which a person may give now and then: two different links of one email within
    two seconds (``burst``: somebody may open two tabs); less than a second after the email was
    accepted, before anybody can have read it (``too-fast``: but clocks of two machines differ); no
    User-Agent at all (``no-user-agent``: but some people hide theirs).

``human``
    Everything else.

What a click says by itself is known when it is read (`Judge`). The rest is what the clicks of an
email say of one another, whatever address and User-Agent they give: scanners change both, and so
do people (a private relay gives each request an address). It follows from the clicks and their
times alone (`judge_together`), so neither their order nor who reads them makes a difference; each
new click can only speak against others. ``docs/machine-clicks.md`` is for users.
"""

from binascii import crc32
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from crawlerdetect import CrawlerDetect  # type: ignore[import-untyped]
from crawleruseragents import is_crawler  # type: ignore[import-untyped]

from clicktrail.base.ids import ID_LENGTH, first_id, made_at
from clicktrail.model import Click, Judgement, Request, Verdict
from clicktrail.publish.networks import Networks
from clicktrail.store.clicks.evidence import NOBODY, RECORD, Evidence

USER_AGENT, NO_USER_AGENT, NETWORK, HONEYPOT, TOO_FAST, BURST, _LARGE_BURST, ALTERED = (
    1 << n for n in range(8)
)
"""Signs, which a number holds together."""

_REASONS = {
    USER_AGENT: "user-agent",
    NO_USER_AGENT: "no-user-agent",
    NETWORK: "network",
    HONEYPOT: "honeypot",
    TOO_FAST: "too-fast",
    BURST: "burst",
    ALTERED: "altered",
}

_CERTAIN = USER_AGENT | NETWORK | HONEYPOT | _LARGE_BURST
"""Each of these alone is a machine's."""

_IDLE = ALTERED
"""Says nothing of who clicked: mail programs alter links, and people copy them."""

BURST_MICROSECONDS = 2_000_000
BURST_SUSPECT = 2
BURST_MACHINE = 3
"""Different links of one email within that time."""

RUSH_MICROSECONDS = 30_000_000
"""How far from a visit of the hidden link the same rush may reach: clicks of the email that follow
one another within `BURST_MICROSECONDS`."""

TOO_FAST_MICROSECONDS = 1_000_000

_AGENT_LIMIT = 512
_AGENTS = 50_000

# Email security products that name themselves and are in neither list of crawlers; and Office,
# which looks at a link before it opens the browser.
_SCANNERS = (
    *("proofpoint", "mimecast", "barracuda", "messagelabs", "ironport", "forcepoint"),
    *("ms-office", "msoffice", "safelinks", "trustwave seg"),
)


class Judge:
    """Judges clicks by what each says itself. ``networks`` are those of known machines."""

    def __init__(self, networks: Networks | None = None) -> None:
        self._networks = networks or Networks()

    def know(self, networks: Networks) -> None:
        """Take other networks of known machines, for the clicks to come."""
        self._networks = networks

    def signs(self, click: Click, accepted_at: int | None) -> int:
        """Return the signs of a click.

        ``accepted_at`` is when its email was accepted, ``None`` where that is not known.
        """
        signs = 0
        if names_itself_a_machine(click.user_agent):
            signs = USER_AGENT
        elif not click.user_agent.strip():
            signs = NO_USER_AGENT
        if click.ip in self._networks:
            signs |= NETWORK
        if accepted_at is not None and click.clicked_at - accepted_at < TOO_FAST_MICROSECONDS:
            signs |= TOO_FAST
        if click.request & Request.ALTERED:
            signs |= ALTERED
        return signs


@lru_cache(1 << 8)
def judgement(signs: int) -> Judgement:
    """Return the judgement of a click with those signs."""
    reasons = tuple(reason for sign, reason in _REASONS.items() if signs & sign)
    weighing = sum(bool(signs & sign & ~_IDLE) for sign in _REASONS)
    if signs & _CERTAIN or weighing > 1:
        return Judgement(Verdict.MACHINE, reasons)
    return Judgement(Verdict.SUSPECT if weighing else Verdict.HUMAN, reasons)


def record(click: Click, signs: int) -> str:
    """Return what is remembered of a click to judge others by.

    Its id, which tells the time, the link, the signs, and two bytes by which its address is told
    from others that click in the same email. ``click`` is as it may be kept.
    """
    link = min(max(click.link, 0), 0xFFFF)
    return f"{click.event_id}{link:04x}{signs:02x}{_visitor(click.ip)}"


@lru_cache(4096)
def _visitor(ip: str) -> str:
    return f"{crc32(ip.encode(errors='replace')) & 0xFFFF:04x}" if ip else NOBODY


def judge_again(new: Evidence, known: Evidence) -> dict[str, Judgement]:
    """Return the judgements of an email's clicks that what is new changes, by event id.

    New clicks have been judged by their own signs.
    """
    if not (new.traps or known.traps or _is_near(new.records, known.records)):
        return {}
    earlier = _read(known.records)
    everything = {**earlier, **_read(new.records)}
    traps = _read(known.traps)
    before = judge_together(list(earlier.values()), list(traps.values()))
    traps.update(_read(new.traps))
    after = judge_together(list(everything.values()), list(traps.values()))
    for event_id, each in everything.items():
        before.setdefault(event_id, each.signs)
    return {i: judgement(signs) for i, signs in after.items() if signs != before[i]}


class _Seen(NamedTuple):
    """A click, as it is remembered; in the order of time."""

    at: int
    event_id: str
    link: str
    signs: int
    visitor: str


def judge_together(clicks: Sequence[_Seen], traps: Sequence[_Seen]) -> dict[str, int]:
    """Return all signs of clicks of one email, by event id.

    ``traps`` are visits of its hidden link. Takes as many steps as there are clicks.
    """
    ordered = sorted(clicks)
    found = {
        each.event_id: each.signs | burst
        for each, burst in zip(ordered, _bursts(ordered), strict=True)
    }
    if traps:
        visitors = {each.visitor for each in traps} - {NOBODY}
        rushing = _rushing(ordered, sorted(traps))
        for each in ordered:
            if each.visitor in visitors or each.event_id in rushing:
                found[each.event_id] |= HONEYPOT
    return found


def _bursts(ordered: Sequence[_Seen]) -> list[int]:
    """Return of each click whether it is in a burst: in some two seconds with other links."""
    found = [0] * len(ordered)
    links: Counter[str] = Counter()
    end = 0
    done = {BURST: 0, BURST | _LARGE_BURST: 0}
    for start, first in enumerate(ordered):
        while end < len(ordered) and ordered[end].at - first.at <= BURST_MICROSECONDS:
            links[ordered[end].link] += 1
            end += 1
        for signs, least in zip(done, (BURST_SUSPECT, BURST_MACHINE), strict=True):
            if len(links) >= least:
                for place in range(max(start, done[signs]), end):
                    found[place] |= signs
                done[signs] = end
        links[first.link] -= 1
        if not links[first.link]:
            del links[first.link]
    return found


def _rushing(ordered: Sequence[_Seen], traps: Sequence[_Seen]) -> set[str]:
    """Return the clicks of the rushes in which the hidden link was followed."""
    found: set[str] = set()
    times = [each.at for each in traps]
    rush: list[_Seen] = []
    for each in [*sorted([*ordered, *traps]), None]:
        if rush and (each is None or each.at - rush[-1].at > BURST_MICROSECONDS):
            first, last = bisect_left(times, rush[0].at), bisect_left(times, rush[-1].at + 1)
            for one in rush if first < last else ():
                near = bisect_left(times, one.at - RUSH_MICROSECONDS, first, last)
                if near < last and times[near] - one.at <= RUSH_MICROSECONDS:
                    found.add(one.event_id)
            rush = []
        if each is not None:
            rush.append(each)
    return found


def _is_near(new: str, known: str) -> bool:
    """Whether new clicks may be in a burst with others. Most are not, and need no closer look."""
    added = [new[place : place + _TIME] for place in range(0, len(new), RECORD)]
    times = sorted([*added, *(known[at : at + _TIME] for at in range(0, len(known), RECORD))])
    for place in range(0, len(new), RECORD):
        at = made_at(new[place : place + ID_LENGTH])
        low, high = first_id(at - BURST_MICROSECONDS), first_id(at + BURST_MICROSECONDS + _STEP)
        if bisect_left(times, high) - bisect_left(times, low) > 1:
            return True
    return False


_TIME = len(first_id(0))
"""The part of an id that tells the time."""
_STEP = 64
"""Microseconds: so exactly ids tell the time."""


def _read(records: str) -> dict[str, _Seen]:
    found: dict[str, _Seen] = {}
    for at in range(0, len(records), RECORD):
        event_id = records[at : at + ID_LENGTH]
        rest = records[at + ID_LENGTH : at + RECORD]
        found[event_id] = _Seen(made_at(event_id), event_id, rest[:4], int(rest[4:6], 16), rest[6:])
    return found


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
