"""Identifiers and times.

An id is 21 characters (126 bits) of ``-0-9A-Z_a-z``: 48 bits of time in steps of 64 µs, 78 bits of
chance. The alphabet is in ASCII order, so ids sort by the time they were made, as text and as
bytes: new rows go to the end of every index.
"""

import os
import string
import time
from binascii import a2b_base64, b2a_base64
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

from clicktrail.errors import InvalidInput

ID_LENGTH = 21
_TIME_LENGTH = 8
"""So many characters of an id are time alone."""
_STANDARD = (string.ascii_uppercase + string.ascii_lowercase + string.digits + "+/").encode()
_ORDERED = ("-" + string.digits + string.ascii_uppercase + "_" + string.ascii_lowercase).encode()
_TO_ORDERED = bytes.maketrans(_STANDARD, _ORDERED)
_TO_STANDARD = bytes.maketrans(_ORDERED, _STANDARD)


def now_us() -> int:
    """Return the time now, in microseconds since 1970 UTC."""
    return time.time_ns() // 1000


def new_id(at_us: int | None = None) -> str:
    """Return a new id, made at that time (default: now)."""
    at = now_us() if at_us is None else at_us
    # 16 bytes: 48 bits of time, then chance; the last two bits are not part of the id.
    return unpack_id((at >> 6).to_bytes(6) + _chance())


def first_id(at_us: int) -> str:
    """Return the beginning that sorts before all ids made from that time on, after all others."""
    return unpack_id((at_us >> 6).to_bytes(6) + bytes(10))[:_TIME_LENGTH]


def made_at(id_: str) -> int:
    """Return the time an id was made, in microseconds since 1970 UTC, down to 64 of them.

    Raises `InvalidInput` for a text that is none.
    """
    _checked(id_)
    return time_in(id_)


def time_in(id_: str) -> int:
    """Return the same of a text that begins with an id, as is known already."""
    raw = id_[:_TIME_LENGTH].encode("ascii").translate(_TO_STANDARD)
    return int.from_bytes(a2b_base64(raw)) << 6


def _chance() -> bytes:
    """Return 10 random bytes. The kernel is asked for those of many ids at once."""
    while True:
        try:
            return _chances.pop()
        except IndexError:
            many = os.urandom(10 * 256)
            _chances.extend([many[at : at + 10] for at in range(0, len(many), 10)])


_chances: list[bytes] = []
os.register_at_fork(after_in_child=_chances.clear)  # else it would make its parent's ids again


def is_id(text: str) -> bool:
    """Whether a text is an id."""
    return _is_id(text.encode("ascii", "replace"))


def _is_id(raw: bytes) -> bool:
    return len(raw) == ID_LENGTH and not raw.translate(None, _ORDERED)


def pack_id(text: str) -> bytes:
    """Return the 16 bytes of an id. Raises `InvalidInput` for a text that is none."""
    return a2b_base64(_checked(text).translate(_TO_STANDARD) + b"A==")


def _checked(text: str) -> bytes:
    raw = text.encode("ascii", "replace")
    if not _is_id(raw):
        raise InvalidInput(f"{text!r} is not an id: {ID_LENGTH} letters, digits, '-', '_'")
    return raw


def unpack_id(raw: bytes) -> str:
    """Return the id of its 16 bytes (the inverse of `pack_id`)."""
    return b2a_base64(raw, newline=False)[:ID_LENGTH].translate(_TO_ORDERED).decode()


def in_calendar(at_us: int) -> int:
    """Return the time nearest to one, in microseconds, that a calendar of any time zone has.

    `datetime` ends where RFC 3339 does, with the years 1 and 9999; only a damaged store has others.
    """
    return min(max(at_us, _EARLIEST), _LATEST)


_EARLIEST = round(datetime(1, 1, 2, tzinfo=UTC).timestamp()) * 1_000_000
_LATEST = round(datetime(9999, 12, 31, tzinfo=UTC).timestamp()) * 1_000_000 - 1
NO_TIME = (ValueError, OverflowError, OSError)
"""What `datetime.fromtimestamp` raises of a time that is not in the calendar."""


def rfc3339(at_us: int) -> str:
    """Return a time as RFC 3339 text in UTC (``2026-11-23T18:08:04.933666Z``)."""
    seconds, micros = divmod(at_us, 1_000_000)
    try:
        return f"{datetime.fromtimestamp(seconds, UTC).isoformat()[:19]}.{micros:06d}Z"
    except NO_TIME:
        return rfc3339(in_calendar(at_us))


def epoch_seconds(at_us: int) -> float:
    """Return a time as answers of AWS have it, which clients make a date of their language."""
    return in_calendar(at_us) / 1e6


def day_of(at_us: int) -> str:
    """Return the UTC day of a time (``2026-11-23``)."""
    try:
        return _day(at_us // 86_400_000_000)
    except NO_TIME:
        return _day(in_calendar(at_us) // 86_400_000_000)


def first_of(days: int, last: date) -> date:
    """Return the first of so many days of which the last is given: of one day, itself."""
    return last - timedelta(days=days - 1)


def hour_of(at_us: int) -> str:
    """Return the UTC hour of a time (``2026-11-23T18``)."""
    try:
        return _hour(at_us // 3_600_000_000)
    except NO_TIME:
        return _hour(in_calendar(at_us) // 3_600_000_000)


@lru_cache(1000)
def _hour(number: int) -> str:
    return datetime.fromtimestamp(number * 3600, UTC).isoformat()[:13]


@lru_cache(1000)
def _day(number: int) -> str:
    return datetime.fromtimestamp(number * 86_400, UTC).date().isoformat()
