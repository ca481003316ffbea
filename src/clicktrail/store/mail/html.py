"""The HTML of emails, kept where their configuration set says so: what click maps are drawn on."""

import zlib

import msgspec

LIMIT = 1024 * 1024
"""An email with more bytes of HTML is not kept: its map is a list."""


def place_of(link: int) -> str:
    """Return what stands in kept HTML instead of the tracking link with that index."""
    return f"#clicktrail-{link}"


def pack_html(parts: tuple[str, ...]) -> bytes:
    """Return HTML parts as they are kept; ``b""`` where they are too large."""
    raw = msgspec.msgpack.encode([part.encode("utf-8", "replace") for part in parts])
    return zlib.compress(raw, 6) if len(raw) <= LIMIT else b""


def unpack_html(kept: bytes) -> tuple[str, ...]:
    """Return HTML parts (the inverse of `pack_html`)."""
    parts = msgspec.msgpack.decode(zlib.decompress(kept), type=tuple[bytes, ...])
    return tuple(part.decode() for part in parts)
