"""What the clicks of an email say of one another.

All of it follows from the clicks, their times and what each shows by itself, so neither their order
nor who reads them makes a difference; each new click can only speak against others.
"""

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from clicktrail.model import USUAL, Judgement, Thresholds
from clicktrail.publish.visitor_verdict.records import (
    LINK,
    Seen,
    ids_of,
    is_head,
    parts_of,
    seen_by_id,
    seen_of,
    time_of,
)
from clicktrail.publish.visitor_verdict.signs import (
    ALTERED,
    BURST,
    CERTAIN,
    DOUBLE_FETCH,
    GATEWAY,
    HEAD,
    HONEYPOT,
    IS_HEAD,
    LARGE_BURST,
    SWEEP,
    TOO_FAST,
    judgement,
)
from clicktrail.store.clicks.judging.evidence import Evidence

K = TypeVar("K")

SECOND = 1_000_000

MILLISECOND = 1000

BURST_SUSPECT = 2
BURST_MACHINE = 3
"""Different links of one email within the time of a burst (`Thresholds`)."""
CROWD = 3
"""So many visitors, with more than one browser, are as good as two links."""

RUSH_MICROSECONDS = 30 * SECOND
"""How far from a visit of the hidden link the same rush may reach: clicks of the email that follow
one another within the time of a burst."""

SWEEP_LINKS = 4
"""Different links of which each follows the last within the time of a sweep: so many."""
SHORT_SWEEP_MICROSECONDS = 8 * SECOND
SHORT_SWEEP_LINKS = 3
SHORT_SWEEP_OPENS = 6
"""Fewer, where they are all that the email has, or are opened again and again, so many times
together: people do so too, but slower."""
SLOW_SWEEP_MICROSECONDS = 40 * SECOND
SLOW_SWEEP_LINKS = 5
SLOW_SWEEP_SHARE = 0.8
"""The same in the order of the email: so many, and that much of all its links."""

HEAD_MICROSECONDS = 40 * SECOND
"""How far from a ``HEAD`` of the same visitor a click is not a person's."""

_IDLE = TOO_FAST | ALTERED | GATEWAY
"""Whoever has these alone seems a person."""

NEAR = max(HEAD_MICROSECONDS, SLOW_SWEEP_MICROSECONDS)
"""Clicks with nothing between them for longer say nothing of one another. (Visits of the hidden
link do, at any time.)"""

_LOOK_BACK, _LOOK_AHEAD = 32, 8
"""So many clicks each is compared with: work is linear in them."""


def judge_again(
    new: Evidence, known: Evidence, links: int = 0, limits: Thresholds = USUAL
) -> dict[str, Judgement]:
    """Return the judgements of an email's clicks that what is new changes, by event id.

    New clicks have been judged by their own signs. ``links`` is how many the email has; 0 where
    that is not known; ``limits`` are those of its configuration set.
    """
    if not (new.traps or known.traps):
        found: dict[str, Judgement] = {}
        added: set[str] = set()
        for run in _runs_of(new.records, known.records, links, limits):
            added = added or set(ids_of(new.records))  # most have no such run
            before = [each for each in run if each.event_id not in added]
            found.update(_changes(before, run, (), (), links, limits))
        return found
    earlier = seen_by_id(known.records)
    traps = seen_by_id(known.traps)
    everything = {**earlier, **seen_by_id(new.records)}.values()
    trapped = {**traps, **seen_by_id(new.traps)}.values()
    before, trapped_before = [*earlier.values()], [*traps.values()]
    return _changes(before, [*everything], trapped_before, [*trapped], links, limits)


def judge_marked(
    before: Evidence, after: Evidence, links: int, limits: Thresholds = USUAL
) -> dict[str, Judgement]:
    """Return the judgements of an email's clicks that change as records say other signs of them."""
    weights = limits.suspect, limits.machine
    was, is_now = (
        judge_together(
            [*seen_by_id(each.records).values()],
            [*seen_by_id(each.traps).values()],
            links,
            limits,
        )
        for each in (before, after)
    )
    return {
        event_id: judgement(signs, *weights)
        for event_id, signs in is_now.items()
        if signs != was[event_id]
    }


def _changes(
    before: Sequence["Seen"],
    after: Sequence["Seen"],
    traps_before: Sequence["Seen"],
    traps: Sequence["Seen"],
    links: int,
    limits: Thresholds,
) -> dict[str, Judgement]:
    """Return the judgements that differ after more came, by event id."""
    own = {each.event_id: each.signs for each in after}
    together = judge_together(after, traps, links, limits)
    if together == own:  # what was there before had no more: nothing speaks for a click
        return {}
    signs = own | judge_together(before, traps_before, links, limits)
    weights = limits.suspect, limits.machine
    return {
        event_id: judgement(found, *weights)
        for event_id, found in together.items()
        if judgement(found, *weights) != judgement(signs[event_id], *weights)
    }


def judge_together(
    clicks: Sequence[Seen], traps: Sequence[Seen], links: int, limits: Thresholds = USUAL
) -> dict[str, int]:
    """Return all signs of clicks of one email, by event id.

    ``traps`` are visits of its hidden link. Takes as many steps as there are clicks.
    """
    ordered, trapped = sorted(clicks), sorted(traps)
    found = {each.event_id: each.signs for each in ordered}
    for sign, ids in (
        *_bursts(ordered, limits.burst * MILLISECOND),
        *_sweeps(ordered, trapped, links, limits.sweep * MILLISECOND),
        (HEAD, _looked_at(ordered)),
        (DOUBLE_FETCH, _fetched_twice(ordered, limits.double_fetch * MILLISECOND)),
        (HONEYPOT, _trapped(ordered, trapped, limits.burst * MILLISECOND) if trapped else ()),
    ):
        for event_id in ids:
            found[event_id] |= sign
    return found


_Found = Iterator[tuple[int, Iterable[str]]]
"""A sign, and the clicks that have it."""


def _bursts(ordered: Sequence[Seen], within: int) -> _Found:
    """Find the clicks that are within some microseconds of other links, or of other visitors."""
    for run in _runs(ordered, within):
        if len(run) > 1:
            yield from _bursts_of(run, within)


def _bursts_of(ordered: Sequence[Seen], within: int) -> _Found:
    links: Counter[int] = Counter()
    visitors: Counter[str] = Counter()
    agents: Counter[str] = Counter()
    end = 0
    done = {BURST: 0, BURST | LARGE_BURST: 0}
    for start, first in enumerate(ordered):
        while end < len(ordered) and ordered[end].at - first.at <= within:
            _count(ordered[end], 1, links, visitors, agents)
            end += 1
        crowd = len(visitors) >= CROWD and len(agents) > 1
        for signs, enough in (
            (BURST, len(links) >= BURST_SUSPECT or crowd),
            (BURST | LARGE_BURST, len(links) >= BURST_MACHINE),
        ):
            if enough:
                yield signs, [e.event_id for e in ordered[max(start, done[signs]) : end]]
                done[signs] = end
        _count(first, -1, links, visitors, agents)


def _count(
    each: Seen, by: int, links: Counter[int], visitors: Counter[str], agents: Counter[str]
) -> None:
    _add(links, each.link, by)
    if each.visitor:
        _add(visitors, each.visitor, by)
        _add(agents, each.agent, by)


def _add(counter: Counter[K], key: K, by: int) -> None:
    counter[key] += by
    if not counter[key]:
        del counter[key]


def _sweeps(ordered: Sequence[Seen], traps: Sequence[Seen], links: int, within: int) -> _Found:
    """Find the clicks of who opens link after link; with the hidden one among them, for certain."""
    if len(ordered) < SHORT_SWEEP_LINKS:
        return
    for run in _runs(ordered, within):
        different = len({each.link for each in run})
        if different >= SWEEP_LINKS:
            yield SWEEP, [each.event_id for each in run]
    for run in _runs(ordered, min(SHORT_SWEEP_MICROSECONDS, within)):
        different = len({each.link for each in run})
        is_enough = len(run) >= SHORT_SWEEP_OPENS or (links and different >= links)
        if different >= SHORT_SWEEP_LINKS and is_enough:
            yield SWEEP, [each.event_id for each in run]
    hidden = {each.event_id for each in traps}
    for run in _runs(sorted([*ordered, *traps]), RUSH_MICROSECONDS) if traps else ():
        own = [each for each in run if each.event_id not in hidden]
        if len(own) < len(run) and len({each.link for each in own}) >= SHORT_SWEEP_LINKS:
            yield HONEYPOT, [each.event_id for each in own]
    if links and len(ordered) >= (least := _slow_sweep(links)):
        yield SWEEP, _in_order(ordered, least)


def _in_order(ordered: Sequence[Seen], least: int) -> list[str]:
    """Return the clicks that are part of so many links in their order, one soon after the other."""
    before, after = _chains(ordered, 1), _chains([*reversed(ordered)], -1)[::-1]
    return [
        each.event_id
        for each, b, a in zip(ordered, before, after, strict=True)
        if b + a - 1 >= least
    ]


def _chains(clicks: Sequence[Seen], way: int) -> list[int]:
    """Return how long the longest chain is that ends with each click."""
    found: list[int] = []
    for place, each in enumerate(clicks):
        longest = 0
        for other in range(max(0, place - _LOOK_BACK), place):
            one = clicks[other]
            near = abs(each.at - one.at) <= SLOW_SWEEP_MICROSECONDS
            if near and (each.link - one.link) * way > 0:
                longest = max(longest, found[other])
        found.append(longest + 1)
    return found


def _looked_at(ordered: Sequence[Seen]) -> Iterator[str]:
    """Find the clicks near a ``HEAD`` of the same address and browser.

    Of the same browser: Office sends ``HEAD`` before it hands a link to the person's own.
    """
    looks: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for each in ordered:
        if each.signs & IS_HEAD and each.visitor:
            looks[each.visitor, each.agent].append(each.at)
    for each in ordered if looks else ():
        if times := looks.get((each.visitor, each.agent)):
            near = bisect_left(times, each.at - HEAD_MICROSECONDS)
            if near < len(times) and times[near] - each.at <= HEAD_MICROSECONDS:
                yield each.event_id


def _fetched_twice(ordered: Sequence[Seen], within: int) -> Iterator[str]:
    """Find the clicks soon after which the same link is opened by somebody who seems a person."""
    for place, each in enumerate(ordered):
        if each.signs & (CERTAIN | IS_HEAD) or not each.visitor:
            continue
        for other in ordered[place + 1 : place + 1 + _LOOK_AHEAD]:
            if other.at - each.at > within:
                break
            is_other = other.visitor not in ("", each.visitor) and other.agent != each.agent
            if is_other and other.link == each.link and not other.signs & ~_IDLE:
                yield each.event_id
                break


def _trapped(ordered: Sequence[Seen], traps: Sequence[Seen], within: int) -> Iterator[str]:
    """Find the clicks of who followed the hidden link, and of the rushes in which it was."""
    visitors = {each.visitor for each in traps} - {""}
    yield from (each.event_id for each in ordered if each.visitor in visitors)
    times = [each.at for each in traps]
    hidden = {each.event_id for each in traps}
    for rush in _runs(sorted([*ordered, *traps]), within):
        first, last = bisect_left(times, rush[0].at), bisect_right(times, rush[-1].at)
        for one in rush if first < last else ():
            near = bisect_left(times, one.at - RUSH_MICROSECONDS, first, last)
            is_near = near < last and times[near] - one.at <= RUSH_MICROSECONDS
            if is_near and one.event_id not in hidden:
                yield one.event_id


def _runs(ordered: Iterable[Seen], gap: int) -> Iterator[list[Seen]]:
    """Return the clicks in parts within which each follows the last within a time."""
    run: list[Seen] = []
    for each in ordered:
        if run and each.at - run[-1].at > gap:
            yield run
            run = []
        run.append(each)
    if run:
        yield run


def _runs_of(new: str, known: str, links: int, limits: Thresholds) -> Iterator[list[Seen]]:
    """Return the new clicks with all that are near them, in the order of time.

    Most say nothing of one another: then their times are all that is read.
    """
    added = sorted(parts_of(new))
    texts = sorted(added + parts_of(known))
    if len(added) == 1 and _is_alone(added[0], texts):
        return
    texts = [*dict.fromkeys(texts)]
    end = 0
    for text in added:
        first = bisect_left(texts, text)
        if first < end:
            continue
        gaps = []
        at = own = time_of(text)
        last, start = first + 1, end
        while first > start and (gap := at - time_of(texts[first - 1])) <= NEAR:
            gaps.append(gap)
            at, first = at - gap, first - 1
        while last < len(texts) and (gap := time_of(texts[last]) - own) <= NEAR:
            gaps.append(gap)
            own, last = own + gap, last + 1
        end = last
        near = texts[first:end]
        if gaps and (_may_speak(gaps, near, links, limits) or any(map(is_head, near))):
            yield [seen_of(each) for each in near]


def _is_alone(text: str, texts: Sequence[str]) -> bool:
    """Whether none of the ordered records, in which this is, is near it."""
    place = bisect_left(texts, text)
    beside = [*texts[max(place - 1, 0) : place], *texts[place + 1 : place + 2]]
    at = time_of(text)
    return all(abs(at - time_of(each)) > NEAR for each in beside)


def _may_speak(gaps: Sequence[int], near: Sequence[str], links: int, limits: Thresholds) -> bool:
    """Whether clicks with so much time between them may say something of one another."""
    least = min(gaps)
    if least <= limits.burst * MILLISECOND:
        return True
    is_double = least <= limits.double_fetch * MILLISECOND
    if is_double and len({each[LINK] for each in near}) < len(near):
        return True
    sweep = limits.sweep * MILLISECOND
    opened = 1 + sum(gap <= sweep for gap in gaps)
    if opened >= (SHORT_SWEEP_LINKS if 0 < links <= SHORT_SWEEP_LINKS else SWEEP_LINKS):
        return True
    return links > 0 and len(gaps) >= _slow_sweep(links) - 1


def _slow_sweep(links: int) -> int:
    return max(SLOW_SWEEP_LINKS, round(links * SLOW_SWEEP_SHARE))
