"""Who clicked: a person, a machine, or somebody suspect (behaviour § 7).

``machine``
    The User-Agent names itself a crawler, a scanner or a library (``user-agent``); or three
    different links of one email were clicked within two seconds from one address (``burst``); or
    two of the signs below came together.

``suspect``
    One sign alone, which a person may give now and then: two different links of one email within
    two seconds from one address (``burst``: somebody may open two tabs); less than a second after
    the email was accepted, before anybody can have read it (``too-fast``: but clocks of two
    machines differ); no User-Agent at all (``no-user-agent``: but some people hide theirs).

``human``
    Everything else.

A burst is known only at its second or third click, so the earlier ones are judged again then.
"""

from bisect import insort
from collections import OrderedDict
from dataclasses import dataclass
from functools import lru_cache

from crawlerdetect import CrawlerDetect  # type: ignore[import-untyped]
from crawleruseragents import is_crawler  # type: ignore[import-untyped]

from clicktrail.model import Click, Verdict

USER_AGENT = "user-agent"
NO_USER_AGENT = "no-user-agent"
TOO_FAST = "too-fast"
BURST = "burst"

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


@dataclass(slots=True)
class _Seen:
    """A click that may be, or become, part of a burst."""

    event_id: str
    link: int
    at: int
    signs: tuple[str, ...]
    links: int = 1
    """The most links, its own among them, that were clicked within two seconds, as far as known."""

    @property
    def judgement(self) -> Judgement:
        return judge_signs(self.signs, self.links)


class Judge:
    """Judges clicks in the order in which they are read; remembers the last ones.

    Its memory is bounded: of at most 10,000 pairs of email and address the newest clicks are kept.
    """

    def __init__(self) -> None:
        self._seen: OrderedDict[tuple[str, str], list[_Seen]] = OrderedDict()

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
        if accepted_at is not None and click.clicked_at - accepted_at < TOO_FAST_MICROSECONDS:
            signs = (*signs, TOO_FAST)
        return self._remember(click, signs)

    def _remember(self, click: Click, signs: tuple[str, ...]) -> dict[str, Judgement]:
        key = (click.message_id, click.ip)
        known = self._seen.setdefault(key, [])
        self._seen.move_to_end(key)
        if len(self._seen) > _KEYS:
            self._seen.popitem(last=False)
        for each in known:
            if each.event_id == click.event_id:
                return {click.event_id: each.judgement}
        new = _Seen(click.event_id, click.link, click.clicked_at, signs)
        # Clicks that waited in a spool come late and out of order: only their times count.
        insort(known, new, key=lambda each: each.at)
        before = {each.event_id: each.judgement for each in known}
        _count_bursts(known, new.at)
        if len(known) > _CLICKS_PER_KEY:
            del known[0]
        changed = {
            each.event_id: each.judgement
            for each in known
            if each.judgement != before[each.event_id]
        }
        return {**changed, new.event_id: new.judgement}


def _count_bursts(seen: list[_Seen], at: int) -> None:
    """Count the links of all spans of two seconds around a time. ``seen`` is in order of time."""
    for start in seen:
        if at - BURST_MICROSECONDS <= start.at <= at:
            span = [each for each in seen if 0 <= each.at - start.at <= BURST_MICROSECONDS]
            links = len({each.link for each in span})
            for each in span:
                each.links = max(each.links, links)


def judge_signs(signs: tuple[str, ...], links: int) -> Judgement:
    """Return the judgement of a click with those signs, one of that many links in a burst."""
    reasons = (*signs, BURST) if links >= BURST_SUSPECT else signs
    if USER_AGENT in signs or links >= BURST_MACHINE or len(reasons) > 1:
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
