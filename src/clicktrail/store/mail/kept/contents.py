"""What is kept of an email beside its columns, as MessagePack, and how that is read again.

A disk may give back other bytes than it was given. Then the email is as one whose contents were
deleted: others are counted, indexed, deleted and erased all the same.
"""

from functools import lru_cache
from typing import Any

import msgspec
from sqlalchemy import Connection

from clicktrail.base.logs import get_logger
from clicktrail.model import Header, Tags
from clicktrail.store.database.core import storable
from clicktrail.store.mail.kept.books import Damaged, plain_of

log = get_logger(__name__)


class Content(msgspec.Struct, array_like=True):
    """New fields go to the end, with a default."""

    source: str
    source_ip: str | None
    headers: tuple[Header, ...]
    tags: Tags
    links: tuple[tuple[int, str, tuple[tuple[str, str], ...], int, int], ...]
    warnings: tuple[str, ...]


_encode = msgspec.msgpack.Encoder().encode
_decode_content = msgspec.msgpack.Decoder(Content).decode
_decode_recipients = msgspec.msgpack.Decoder(tuple[str, ...]).decode


def packed(value: Any) -> bytes:
    """Return recipients as they are kept; contents, before a book makes them small."""
    try:
        return _encode(value)
    except UnicodeEncodeError:
        return _encode(_storable(msgspec.to_builtins(value)))


def content_of(connection: Connection, message_id: str, kept: bytes) -> Content | None:
    """Return the contents of an email, within a transaction; ``None`` where they are damaged."""
    try:
        return _decode_content(plain_of(connection, kept))
    except (msgspec.MsgspecError, Damaged):
        tell_damage(message_id)
        return None


def recipients_of(message_id: str, kept: bytes) -> tuple[str, ...] | None:
    """Return the recipients of an email; ``None`` where they are damaged."""
    try:
        return _decode_recipients(kept)
    except msgspec.MsgspecError:
        tell_damage(message_id)
        return None


@lru_cache(1000)
def tell_damage(message_id: str) -> None:
    """Log that what is kept of an email is damaged, once."""
    log.error("what is kept of an email is damaged, and is passed over", id=message_id)


def _storable(value: Any) -> Any:
    """Return the value with every text in it as a database can hold it."""
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, list | tuple):
        return [_storable(item) for item in value]
    if isinstance(value, dict):
        return {storable(key): _storable(item) for key, item in value.items()}
    return value
