"""What is remembered of a click to judge others by: a text of one length (`evidence.RECORD`)."""

from typing import NamedTuple
from zlib import crc32

from clicktrail.base.ids import ID_LENGTH, time_in
from clicktrail.model import Click
from clicktrail.publish.visitor_verdict.signs import IS_HEAD
from clicktrail.store.clicks.evidence import NOBODY, RECORD


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
    return f"{_checksum(ip) & 0xFFFF:04x}{_checksum(agent) & 0xFF:02x}"


def _checksum(text: str) -> int:
    return crc32(text.encode(errors="replace"))


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
    return bool(int(text[_SIGNS.start], 16) & IS_HEAD >> 8)


LINK, _SIGNS = slice(ID_LENGTH, ID_LENGTH + 4), slice(ID_LENGTH + 4, ID_LENGTH + 7)


def seen_by_id(records: str) -> dict[str, Seen]:
    """Return the clicks of records, by event id."""
    return {text[:ID_LENGTH]: seen_of(text) for text in parts_of(records)}


def ids_of(records: str) -> list[str]:
    """Return the event ids of records."""
    return [records[at : at + ID_LENGTH] for at in range(0, len(records), RECORD)]


def parts_of(records: str) -> list[str]:
    """Return the records that stand one behind the other."""
    return [records[at : at + RECORD] for at in range(0, len(records), RECORD)]


def seen_of(text: str) -> Seen:
    """Return the click of a record."""
    event_id, who = text[:ID_LENGTH], text[ID_LENGTH + 7 :]
    visitor, agent = ("", "") if who == NOBODY else (who[:4], who[4:])
    link, signs = int(text[LINK], 16), int(text[_SIGNS], 16)
    return Seen(time_in(event_id), event_id, link, signs, visitor, agent)
