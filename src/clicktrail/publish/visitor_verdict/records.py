"""What is remembered of a click to judge others by: a text of one length (`evidence.RECORD`)."""

import re
from collections.abc import Mapping
from typing import NamedTuple
from zlib import crc32

from clicktrail.base.ids import ID_LENGTH, time_in
from clicktrail.model import Click
from clicktrail.publish.visitor_verdict.signs import GATEWAY, IS_HEAD
from clicktrail.store.clicks.judging.evidence import NOBODY, RECORD


def record(click: Click, signs: int) -> str:
    """Return what is remembered of a click to judge others by.

    Its id, which tells the time, the link, the signs, and three bytes by which its address and
    browser are told from others that click in the same email. ``click`` is as it may be kept.
    """
    link = min(max(click.link, 0), 0xFFFF)
    return f"{click.event_id}{link:04x}{signs:03x}{_visitor(click.ip, click.user_agent)}"


def _visitor(ip: str, agent: str) -> str:
    if not ip:
        return NOBODY
    return f"{checksum(ip) & 0xFFFF:04x}{checksum(agent) & 0xFF:02x}"


def checksum(text: str) -> int:
    """Return 32 bits by which a text is told from others, where it may now and then be wrong."""
    return crc32(text.encode(errors="replace"))


def marked(records: str, states: Mapping[str, bool]) -> str:
    """Return records with whether some of the clicks are a gateway's, by event id.

    Of damaged ones, those that can be read.
    """
    try:
        return _all_marked(records, states)
    except DAMAGE:
        return _all_marked(sound(records), states)


def _all_marked(records: str, states: Mapping[str, bool]) -> str:
    return "".join(
        _marked(text, states[id_]) if (id_ := text[:ID_LENGTH]) in states else text
        for text in parts_of(records)
    )


def _marked(text: str, is_gateway: bool) -> str:
    at = _SIGNS.start
    high = int(text[at], 32) & ~_HIGH | (_HIGH if is_gateway else 0)
    return text[:at] + _DIGITS[high] + text[at + 1 :]


def signs_of(text: str) -> int:
    """Return the signs of a record."""
    high = int(text[_SIGNS.start], 32)
    low = int(text[_SIGNS.start + 1 : _SIGNS.stop], 16)
    return (high & ~_HIGH) << 8 | low | (GATEWAY if high & _HIGH else 0)


class Seen(NamedTuple):
    """A click, as it is remembered; in the order of time."""

    at: int
    event_id: str
    link: int
    signs: int
    visitor: str
    """``""`` where it is not known."""
    agent: str


def time_of(text: str) -> int:
    """Return when the click of a record was, in microseconds since 1970 UTC."""
    return time_in(text)


def is_head(text: str) -> bool:
    """Whether a record is that of a ``HEAD``."""
    return bool(int(text[_SIGNS.start], 32) & IS_HEAD >> 8)


LINK, _SIGNS = slice(ID_LENGTH, ID_LENGTH + 4), slice(ID_LENGTH + 4, ID_LENGTH + 7)
_HIGH = 16
"""`GATEWAY` in the first digit of the signs, which has five bits."""
_DIGITS = "0123456789abcdefghijklmnopqrstuv"


def seen_by_id(records: str) -> dict[str, Seen]:
    """Return the clicks of records, by event id."""
    return {text[:ID_LENGTH]: seen_of(text) for text in parts_of(records)}


def ids_of(records: str) -> list[str]:
    """Return the event ids of records."""
    return [records[at : at + ID_LENGTH] for at in range(0, len(records), RECORD)]


def parts_of(records: str) -> list[str]:
    """Return the records that stand one behind the other."""
    return [records[at : at + RECORD] for at in range(0, len(records), RECORD)]


DAMAGE = ValueError, IndexError
"""What reading records raises that a disk has not given back as they were."""


def sound(records: str) -> str:
    """Return those of the records that can be read."""
    return "".join(filter(_SOUND.fullmatch, parts_of(records)))


_SOUND = re.compile(
    rf"[-0-9A-Z_a-z]{{{ID_LENGTH}}}[0-9a-f]{{4}}[0-9a-v][0-9a-f]{{2}}(?:[0-9a-f]{{6}}|{NOBODY})"
)


def seen_of(text: str) -> Seen:
    """Return the click of a record."""
    event_id, who = text[:ID_LENGTH], text[ID_LENGTH + 7 :]
    visitor, agent = ("", "") if who == NOBODY else (who[:4], who[4:])
    return Seen(time_in(event_id), event_id, int(text[LINK], 16), signs_of(text), visitor, agent)
