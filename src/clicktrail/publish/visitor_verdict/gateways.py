"""What clicks from one network say of it, over the emails of many recipients: a gateway's, or not.

A gateway opens links moments after each email was accepted, whoever would read it, and then no
more. People behind one address (an office, a conference, a carrier's phones) come when they read:
some at once, most later, with browsers of their own, and each opens another link. All of it
follows from what is remembered of the clicks, so their order makes no difference; later clicks may
acquit earlier ones.
"""

import socket
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache

from clicktrail.base.ids import ID_LENGTH
from clicktrail.model import Click
from clicktrail.publish.visitor_verdict.records import checksum
from clicktrail.publish.visitor_verdict.signs import ALTERED, CLOUD, TOO_FAST
from clicktrail.store.clicks.judging.crowds import ALONE, EMAIL, GATEWAY, RECORD, STATE, mark_of

SECOND = 1_000_000
LATEST = 3600 * SECOND
"""Later clicks say nothing: they are of another time of the day."""
_BOUNDS = [60 * SECOND, 180 * SECOND, 540 * SECOND, LATEST]
_DELAYS = "abcd"
"""How long after its email was accepted a click came, at most."""
MINUTE, MINUTES, PROMPT = "a", "ab", "abc"
LATE = 0.05
"""The share of clicks that a gateway's network may have after nine minutes."""
SAME = 0.9
"""The least share of clicks with one browser, with one link of several, in the first minute."""
LATE_WEAK, SAME_WEAK = 0.025, 0.97
"""The same where little else speaks against it, with three minutes for one."""
PHONES = 0.8
"""With such a share of phones it is people's, who were told of an email where they look at once."""
LONG_EMAIL = 3
"""So many links an email has in which it says something that the same one is opened."""
EMAILS_FOR_ONE = 3
"""So many emails count as much as a recipient, where there are fewer of these."""
WEAK = 3
"""So many times as many recipients it takes where little else speaks against it."""

_INNOCENT = TOO_FAST | ALTERED | CLOUD
_UNKNOWN = "--"

_DELAY, _AGENT, _KIND, _LINK, _READER, _LEAST = (
    ID_LENGTH + 1,
    ID_LENGTH + 2,
    ID_LENGTH + 4,
    ID_LENGTH + 5,
    ID_LENGTH + 10,
    ID_LENGTH + 13,
)
_FIRST = 33
"""The character that stands for 0 recipients."""


def crowd_record(
    click: Click, signs: int, accepted_at: int, links: int, reader: str, least: int
) -> str:
    """Return what is remembered of a click to judge others from its network by; ``""`` for nothing.

    ``click`` is as it may be kept, ``accepted_at`` when its email was accepted, in microseconds,
    which has so many ``links``, and ``reader`` as its first recipient; ``least`` is from how many
    recipients on such clicks are a gateway's, 0 for never (`Thresholds`).
    """
    delay = click.clicked_at - accepted_at
    if not least or delay > LATEST or signs & ~_INNOCENT:
        return ""
    agent, is_phone = _agent(click.user_agent)
    kind = is_phone | (2 if links >= LONG_EMAIL else 0)
    return (
        f"{click.event_id}{ALONE}{_DELAYS[bisect_left(_BOUNDS, delay)]}{agent}{kind}"
        f"{click.link & 0xFF:02x}{mark_of(click.message_id)}"
        f"{checksum(reader) & 0xFFF:03x}{chr(_FIRST + least)}"
    )


@lru_cache(1 << 10)
def _agent(text: str) -> tuple[str, bool]:
    """Return a byte of a User-Agent, and whether it is a phone's; a family's name says nothing."""
    is_phone = "Mobile" in text or "Android" in text or "iPhone" in text
    return f"{checksum(text) & 0xFF:02x}" if "/" in text else _UNKNOWN, is_phone


def network_of(ip: str) -> str:
    """Return the network of an address, /24 or /64 of IPv6; ``""`` for what is none to judge by.

    Those of private networks (RFC 1918, RFC 4193, RFC 6598), the loopback and a link are the
    machine's own or a proxy's, behind which all readers may be (`redirect.trusted_proxies`).
    """
    try:
        if ":" not in ip:
            return _of_four(socket.inet_pton(socket.AF_INET, ip))
        raw = socket.inet_pton(socket.AF_INET6, ip.partition("%")[0])
    except (OSError, ValueError):
        return ""
    if raw.startswith(_MAPPED):
        return _of_four(raw[12:])
    # RFC 4291 § 2.4 (the loopback, those of a link), RFC 4193 § 3.1
    is_private = raw == _LOOPBACK or raw[0] & 0xFE == 0xFC or (raw[0] == 0xFE and raw[1] >> 6 == 2)
    return "" if is_private else raw[:8].hex()


def _of_four(raw: bytes) -> str:
    first, second = raw[0], raw[1]
    if first in (10, 127) or (first, second) in _PRIVATE:
        return ""
    return raw[:3].hex()


_MAPPED = bytes(10) + b"\xff\xff"
_LOOPBACK = bytes(15) + b"\1"
_PRIVATE = {
    (192, 168),
    (169, 254),  # RFC 3927 § 2.1
    *((172, second) for second in range(16, 32)),
    *((100, second) for second in range(64, 128)),
}


def misjudged(records: str) -> list[int]:
    """Return the places of records that say the wrong thing: of a gateway's click, or of another.

    Takes as many steps as there are records. What a disk has cut off at their end says nothing.
    """
    records = records[: len(records) - len(records) % RECORD]
    states, leasts = records[STATE::RECORD], records[_LEAST::RECORD]
    if _FIRST + len(states) < ord(min(leasts)):  # as most
        return []
    most = _FIRST + _recipients(records)
    if most == _FIRST and GATEWAY not in states:
        return []
    delays = records[_DELAY::RECORD]
    return [
        place
        for place, (state, delay, least) in enumerate(zip(states, delays, leasts, strict=True))
        if (state == GATEWAY) != (delay in PROMPT and ord(least) <= most)
    ]


def _recipients(records: str) -> int:
    """Return of how many recipients' emails a gateway opened links; 0 where it is none.

    Where little else speaks against it, of so many fewer.
    """
    delays, kinds = records[_DELAY::RECORD], records[_KIND::RECORD]
    number = len(delays)
    late = number - _count(delays, PROMPT)
    if late > LATE * number:
        return 0
    agents = Counter(_texts(records, _AGENT, 2))
    del agents["-", "-"]
    agent = max(agents.values(), default=0)
    is_agent, is_agent_weak = agent >= SAME * number, agent >= SAME_WEAK * number
    are_phones = not is_agent and _count(kinds, "13") >= PHONES * number
    pairs = zip(_texts(records, _LINK, 2), kinds, strict=True)
    links = Counter(link for link, kind in pairs if kind in "23")
    link = 0 if are_phones else max(links.values(), default=0)
    is_link, is_link_weak = link >= SAME * number, link >= SAME_WEAK * number
    is_soon = _count(delays, MINUTE) >= SAME * number
    are_read = not are_phones and _count(kinds, "23") >= SAME_WEAK * number
    is_weak = (is_agent_weak or is_link_weak) and late <= LATE_WEAK * number
    if is_agent + is_link + is_soon > 1:
        each = 1
    elif is_weak or (are_read and _count(delays, MINUTES) >= SAME_WEAK * number):
        each = WEAK
    else:
        return 0
    readers = len(set(_texts(records, _READER, 3)))
    emails = len(set(_texts(records, EMAIL.start, 3)))
    return max(readers, emails // EMAILS_FOR_ONE) // each


def _texts(records: str, start: int, length: int) -> Iterable[tuple[str, ...]]:
    return zip(*(records[start + n :: RECORD] for n in range(length)), strict=True)


def _count(text: str, characters: str) -> int:
    return sum(map(text.count, characters))
