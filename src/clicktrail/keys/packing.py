"""URLs in tracking links: made short, and read again. No I/O.

Raw deflate (RFC 1951) with a preset dictionary. zlib spends most of its time on codes for the one
URL: so short ones, as most are, are written here, with the fixed codes of the format (§ 3.2.6). How
they begin and the names of their ``utm_`` parameters are taken from the dictionary.
"""

import zlib
from functools import lru_cache

from clicktrail.errors import InvalidInput

MAX_URL = 8192
"""The longest URL (in UTF-8 bytes) that is put into a tracking link; longer ones stay as they are.

Mail programs and browsers cut or refuse much longer ones.
"""

PLAIN, DEFLATED = 1, 2
"""Versions of a token: how its URL is written."""

# What URLs in emails often hold, the most frequent last (RFC 1950 § 2.2). It is part of the format:
# a change of it is a new version.
_DICTIONARY = (
    b"/unsubscribe?email=/preferences/account/settings/orders/products/category/collections/"
    b"articles/newsletter/blog/news/index.php?page=.html#/en/de/ru/status/intent/tweet?url=share?"
    b"play.google.com/store/apps/details?id=apps.apple.com/app/www.facebook.com/www.instagram.com/"
    b"www.linkedin.com/company/twitter.com/www.youtube.com/watch?v=t.me/vk.com/&token=&id=&lang="
    b"&utm_id=&utm_term=&utm_content=&utm_campaign=utm_campaign=&utm_source=newsletter&utm_medium="
    b"email?utm_source=.org/.net/.ru/.com/http://https://www."
)

_SHORT = 128
"""Characters of a URL; of longer ones zlib makes less, as codes of their own pay there."""

# The header of the only block, and two copies from the dictionary (`_copy`) that end with a byte.
_BEGINNINGS = {
    "http://": bytes.fromhex("03b24142"),
    "http://www.": bytes.fromhex("03094199"),
    "https://": bytes.fromhex("030a81d9"),
    "https://www.": bytes.fromhex("030ac1d9"),
}
_END = b"\0"
_UTM = "utm_"


def _reversed(code: int, size: int) -> int:
    """Return a code with its first bit the lowest (§ 3.1.1)."""
    return int(f"{code:0{size}b}"[::-1], 2)


# ASCII has codes of 8 bits, from 0x30 on.
_CODES = bytes(_reversed((0x30 + code) & 0xFF, 8) for code in range(256))
_number = int.from_bytes


def pack(url: str) -> tuple[int, bytes]:
    """Return the version that is shorter for a URL, and its bytes there.

    Raises `InvalidInput` for a URL over `MAX_URL` bytes.
    """
    if len(url) > _SHORT or not url.isascii():
        return _by_zlib(url) if len(url) <= _REMEMBERED else _pack_by_zlib(url)
    if url[:8] == "https://":
        begin = "https://www." if url[8:12] == "www." else "https://"
    elif url[:7] == "http://":
        begin = "http://www." if url[7:11] == "www." else "http://"
    else:
        return _by_zlib(url)
    first, utm, tail = url[len(begin) :].partition(_UTM)
    known = _BEGINNINGS[begin] + first.encode().translate(_CODES)
    return DEFLATED, known + (_parameters(tail, len(begin) + len(first)) if utm else _END)


@lru_cache(4096)  # all links of a mailing have them in common, and those of many emails
def _parameters(tail: str, place: int) -> bytes:
    """Return the bytes of what follows the first ``utm_`` of a short URL, which is at a place."""
    bits = size = 0
    for piece in tail.split(_UTM):
        name = piece[: piece.find("=") + 1]
        more, length = _copy(_UTM + name, place)
        bits |= more << size
        size += length
        value = piece[len(name) :].encode().translate(_CODES)
        bits |= _number(value, "little") << size
        size += 8 * len(value)
        place += len(_UTM) + len(piece)
    return bits.to_bytes((size + 14) // 8, "little")  # § 3.2.6: the end of the block is 7 zeros


@lru_cache(4096)
def _copy(text: str, place: int) -> tuple[int, int]:
    """Return the bits that write a text at a place in the URL, the first one lowest; their number.

    It is taken from the dictionary, if it is there.
    """
    raw = text.encode()
    away = place + len(_DICTIONARY) - _DICTIONARY.find(raw)
    if raw not in _DICTIONARY or len(raw) > _LONGEST_COPY:
        return _number(raw.translate(_CODES), "little"), 8 * len(raw)
    # § 3.2.5: each number of extra bits has four codes of lengths and two of distances; no extra
    # bits have twice as many.
    rest, far = len(raw) - 3, away - 1
    extra, more = max(rest.bit_length() - 3, 0), far.bit_length() - 2
    length = _reversed(1 + 4 * extra + (rest >> extra), 7) | (rest & ((1 << extra) - 1)) << 7
    distance = _reversed(2 * more + (far >> more), 5) | (far & ((1 << more) - 1)) << 5
    return length | distance << (7 + extra), 7 + extra + 5 + more


_LONGEST_COPY = 66
"""Characters, of those whose codes are 7 bits long with extra bits by the same rule."""


def unpack(version: int, body: bytes) -> str:
    """Return the URL that `pack` gave these for."""
    if version == DEFLATED:
        body = zlib.decompressobj(-zlib.MAX_WBITS, _DICTIONARY).decompress(body, MAX_URL)
    return body.decode("utf-8", "surrogatepass")


def _pack_by_zlib(url: str) -> tuple[int, bytes]:
    raw = url.encode("utf-8", "surrogatepass")
    if len(raw) > MAX_URL:
        raise InvalidInput(f"a URL of {len(raw)} bytes is too long to track ({MAX_URL})")
    deflater = _DEFLATER.copy()
    short = deflater.compress(raw) + deflater.flush()
    return (DEFLATED, short) if len(short) < len(raw) else (PLAIN, raw)


_DEFLATER = zlib.compressobj(9, zlib.DEFLATED, -10, 3, zlib.Z_DEFAULT_STRATEGY, _DICTIONARY)
"""Never used itself: a copy has read the dictionary already."""

_REMEMBERED = 512
_by_zlib = lru_cache(4096)(_pack_by_zlib)
"""Each URL of a mailing is deflated once."""
