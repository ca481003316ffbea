"""Reads what can be read of a damaged journal: page by page, without SQLite.

A row stands in a leaf page of the table's tree ("Database File Format", sqlite.org/fileformat2.html
§ 1.6): ``payload size (varint) | row number (varint) | payload``, and the payload's rest, where it
is long, in a chain of overflow pages. Newer states of pages are in the log (§ 4). Nothing of the
tree above is needed, and no page that is damaged costs another.

A click that was counted before, or that is found twice, has the event id it had: the store counts
it once.
"""

import struct
from collections.abc import Iterator
from pathlib import Path

from clicktrail.base.ids import pack_id
from clicktrail.errors import InvalidInput
from clicktrail.journal.record import START, decode, length_at
from clicktrail.model import Click

_LEAF = 0x0D
_USUAL_PAGE = 4096
_LOG_HEAD, _FRAME_HEAD = 32, 24
_LOG_MAGIC = (0x377F0682, 0x377F0683)


def clicks_of_journal(path: Path) -> Iterator[Click]:
    """Give the clicks of a SQLite journal and of the log beside it (``-wal``). Raises `OSError`."""
    data = _bytes_of(path)
    log = _bytes_of(path.with_name(path.name + "-wal"))
    size = _page_size(data, log)
    newest = _newest_pages(data, log, size)
    for number, page in newest.items():
        for payload in _payloads(number, page, newest, size):
            yield from clicks_of_row(payload)


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def clicks_of_row(raw: bytes) -> Iterator[Click]:
    """Give the clicks in bytes that hold records: a row, one record, or what is left of them."""
    at = 0
    while (match := START.search(raw, at)) is not None:
        at = match.start()
        size = length_at(raw, at)
        if 0 < size <= len(raw) - at:
            try:
                click = decode(raw[at : at + size])
                pack_id(click.event_id)
                pack_id(click.message_id)
            except (ValueError, InvalidInput):
                pass
            else:
                yield click
                at += size
                continue
        at += 1


def _page_size(data: bytes, log: bytes) -> int:
    for size in (
        int.from_bytes(data[16:18]) if data.startswith(b"SQLite format 3\0") else 0,
        int.from_bytes(log[8:12]),
    ):
        if 512 <= size <= 65536 and size & (size - 1) == 0:
            return size
    return _USUAL_PAGE


def _newest_pages(data: bytes, log: bytes, size: int) -> dict[int, bytes]:
    """Return the pages of the file by number, each as it was last written."""
    pages = {
        number: data[at : at + size] for number, at in enumerate(range(0, len(data), size), start=1)
    }
    salts = log[_LOG_HEAD + 8 : _LOG_HEAD + 16]
    # What was written since the log began anew has the salts of its first frame (§ 4.1).
    for at in range(_LOG_HEAD, len(log) - _FRAME_HEAD, _FRAME_HEAD + size):
        if log[at + 8 : at + 16] == salts:
            (number,) = struct.unpack_from(">I", log, at)
            pages[number] = log[at + _FRAME_HEAD : at + _FRAME_HEAD + size]
    return pages


def _payloads(number: int, page: bytes, pages: dict[int, bytes], size: int) -> Iterator[bytes]:
    """Give the rows of a leaf page; all of it as one, where it does not say where they are."""
    start = 100 if number == 1 else 0
    if len(page) < start + 8 or page[start] != _LEAF:
        # Perhaps its head alone is damaged. Overflow pages have no whole record, or another's.
        yield page
        return
    count = int.from_bytes(page[start + 3 : start + 5])
    for cell in range(count):
        place = int.from_bytes(page[start + 8 + 2 * cell : start + 10 + 2 * cell])
        if not start + 8 <= place < len(page):
            yield page
            return
        payload = _payload(page, place, pages, size)
        yield page[place:] if payload is None else payload


def _payload(page: bytes, place: int, pages: dict[int, bytes], size: int) -> bytes | None:
    length, place = _varint(page, place)
    _, place = _varint(page, place)
    most, least = size - 35, (size - 12) * 32 // 255 - 23  # § 1.6: of what stands in a leaf
    if length <= most:
        return page[place : place + length]
    if length > len(pages) * size:
        return None
    local = least + (length - least) % (size - 4)
    local = least if local > most else local
    parts = [page[place : place + local]]
    missing = length - local
    (following,) = struct.unpack(">I", page[place + local : place + local + 4].rjust(4, b"\0"))
    while missing > 0:
        more = pages.get(following)
        if more is None or len(more) < 4:
            break  # what is there is read
        following = int.from_bytes(more[:4])
        parts.append(more[4 : 4 + missing])
        missing -= size - 4
    return b"".join(parts)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Return a number of § 1.6 (seven bits a byte, the highest first) and where it ends."""
    value = 0
    for byte in data[at : at + 8]:
        at += 1
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at
    return value << 8 | (data[at] if at < len(data) else 0), at + 1
