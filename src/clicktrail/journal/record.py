"""A click as bytes: a MessagePack array of its fields, in their order.

New fields go to the end, so that an older reader can read newer records.
"""

from typing import Any

import msgspec

from clicktrail.model import Click

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[Any])


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
    match texts[: len(Click.__slots__)]:
        case [str(event_id), str(message_id), int(link), str(url), int(at), str(ip), str(agent)]:
            return Click(event_id, message_id, link, url, at, ip, agent)
        case _:
            raise ValueError("not the record of a click: its fields are of other types")


def _bytes_if_surrogates(value: str | int) -> str | int | bytes:
    if isinstance(value, int):
        return value
    try:
        value.encode()
    except UnicodeEncodeError:
        return value.encode("utf-8", "surrogatepass")
    return value
