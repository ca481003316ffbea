"""URLs in tracking links: made short, and read again. No I/O.

Raw deflate (RFC 1951) with a preset dictionary. zlib spends most of its time on codes for the one
URL: so short ones, as most are, are written here, with the fixed codes of the format (§ 3.2.6). All
that they have in common with the dictionary is then how they begin.
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

# The header of the only block, and two copies from the dictionary that end with a byte.
_BEGINNINGS = {
    "http://": bytes.fromhex("03b24142"),
    "http://www.": bytes.fromhex("03094199"),
    "https://": bytes.fromhex("030a81d9"),
    "https://www.": bytes.fromhex("030ac1d9"),
}
_END = b"\0"
# ASCII has codes of 8 bits, 0x30 and the following, with the first bit the lowest (§ 3.1.1).
_CODES = bytes(int(f"{(0x30 + code) & 0xFF:08b}"[::-1], 2) for code in range(256))


def pack(url: str) -> tuple[int, bytes]:
    """Return the version that is shorter for a URL, and its bytes there.

    Raises `InvalidInput` for a URL over `MAX_URL` bytes.
    """
    if len(url) > _SHORT or not url.isascii() or "utm_" in url:
        return _by_zlib(url) if len(url) <= _REMEMBERED else _pack_by_zlib(url)
    if url[:8] == "https://":
        begin = "https://www." if url[8:12] == "www." else "https://"
    elif url[:7] == "http://":
        begin = "http://www." if url[7:11] == "www." else "http://"
    else:
        return _by_zlib(url)
    rest = url[len(begin) :].encode().translate(_CODES)
    return DEFLATED, _BEGINNINGS[begin] + rest + _END


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
"""The emails of a mailing have most of their URLs in common: each is deflated once."""
