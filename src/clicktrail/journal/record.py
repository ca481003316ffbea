"""A click as bytes: a MessagePack array of its fields, in their order.

New fields go to the end, so that an older reader can read newer records.
"""

import re
from typing import Any

import msgspec

from clicktrail.model import Click

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[Any])

_FIRST = 7
"""So many fields had the first records."""
_LATER = (0, "")
"""What those have that came later, in records without them."""


def encode(click: Click) -> bytes:
    """Return the record of a click."""
    try:
        return _encoder.encode(
            (
                click.event_id,
                click.message_id,
                click.link,
                click.url,
                click.clicked_at,
                click.ip,
                click.user_agent,
                click.request,
                click.destination,
            )
        )
    except UnicodeEncodeError:  # a lone surrogate: such texts go as bytes
        return _encoder.encode(
            [_bytes_if_surrogates(getattr(click, name)) for name in Click.__slots__]
        )


def decode(record: bytes) -> Click:
    """Return the click of a record. Raises `ValueError` where it is none."""
    try:
        fields = _decoder.decode(record)
        texts = [f.decode("utf-8", "surrogatepass") if isinstance(f, bytes) else f for f in fields]
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ValueError(f"not the record of a click: {error}") from None
    if len(texts) >= _FIRST:
        texts += _LATER[len(texts) - _FIRST :]
    match texts[: len(Click.__slots__)]:
        case [
            str(event_id),
            str(message_id),
            int(link),
            str(url),
            int(at),
            str(ip),
            str(agent),
            int(request),
            str() | None as destination,
        ]:
            return Click(event_id, message_id, link, url, at, ip, agent, request, destination)
        case _:
            raise ValueError("not the record of a click: its fields are of other types")


def _bytes_if_surrogates(value: str | int | None) -> str | int | bytes | None:
    if value is None or isinstance(value, int):
        return value
    try:
        value.encode()
    except UnicodeEncodeError:
        return value.encode("utf-8", "surrogatepass")
    return value


START = re.compile(rb"[\x97-\x9f]\xb5(?=[-0-9A-Z_a-z]{21})")
"""How every record begins: an array of seven fields or a few more, and an event id."""


def length_at(data: bytes, at: int) -> int:
    """Return how long the record is that begins there, by its structure alone.

    0 where none begins; more than there are bytes, where the end of ``data`` cuts it off. Takes as
    many steps as a record has fields.
    """
    if START.match(data, at) is None:
        return 0
    here = at + 1
    for _ in range(data[at] & 0x0F):
        if here >= len(data):
            return here - at + 1
        size = _size_of_field(data, here)
        if not size:
            return 0
        here += size
    return here - at


def _size_of_field(data: bytes, at: int) -> int:
    """Return the size of a MessagePack value, with its head; 0 for kinds that no field has."""
    kind = data[at]
    if kind <= 0x7F or kind >= 0xE0 or kind in (0xC0, 0xC2, 0xC3):  # small int, nil, bool
        return 1
    if 0xA0 <= kind <= 0xBF:  # short text
        return 1 + (kind & 0x1F)
    if kind in _FIXED:
        return 1 + _FIXED[kind]
    if kind in _COUNTED:
        width = _COUNTED[kind]
        return 1 + width + int.from_bytes(data[at + 1 : at + 1 + width])
    return 0


_FIXED = {0xCA: 4, 0xCB: 8, 0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8, 0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8}
"""Floats and integers: how many bytes follow."""
_COUNTED = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4}
"""Bytes and texts: how many bytes tell how many follow."""
