"""Where clicks are from whose links do not say of which email they are."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from clicktrail.model import OTHER_PROVIDER, PROVIDERS, provider_of

MARK_SIZE = 3
"""Bytes of a `set_mark`."""
_SIGN = "~"
"""What no id of an email begins with."""


@dataclass(frozen=True, slots=True)
class Anonymous:
    """What links of an anonymous configuration set say of an email."""

    mark: bytes
    """That of the set (`set_mark`)."""
    provider: int
    """The place of the recipient's provider in `clicktrail.model.PROVIDERS`, from 1; 0: other."""
    day: int
    """When it was sent, in days since 1970 UTC."""

    @property
    def text(self) -> str:
        """What stands in the place of an email's id."""
        return f"{_SIGN}{self.packed().hex()}"

    def packed(self) -> bytes:
        """Return it as six bytes."""
        return self.mark + bytes([self.provider]) + self.day.to_bytes(2)

    @property
    def at(self) -> int:
        """When that day began, in microseconds since 1970 UTC."""
        return self.day * DAY


DAY = 86_400_000_000
SIZE = 6


def unpacked(raw: bytes) -> Anonymous:
    """Return what six bytes say (the inverse of `Anonymous.packed`)."""
    return Anonymous(raw[:MARK_SIZE], raw[MARK_SIZE], int.from_bytes(raw[4:SIZE]))


def is_anonymous(message_id: str) -> bool:
    """Whether what stands in the place of an email's id says of no email."""
    return message_id.startswith(_SIGN)


def read_anonymous(message_id: str) -> Anonymous:
    """Return what it says. Raises `ValueError` for what `is_anonymous` is not true of."""
    raw = bytes.fromhex(message_id.removeprefix(_SIGN))
    if not is_anonymous(message_id) or len(raw) != SIZE:
        raise ValueError("it says of an email")
    return unpacked(raw)


@lru_cache(1000)
def set_mark(name: str) -> bytes:
    """Return by what links know a configuration set: the same three bytes on every node."""
    return hashlib.blake2b(name.encode(), digest_size=MARK_SIZE, person=b"clicktrail-set").digest()


_PROVIDERS = (OTHER_PROVIDER, *PROVIDERS)
"""By their numbers in links: new ones go to the end."""


def anonymous_origin(set_name: str, reader: str, at: int) -> Anonymous:
    """Return what links say of an email of that set to that address, sent at that time."""
    return Anonymous(set_mark(set_name), _PROVIDERS.index(provider_of(reader)), at // DAY)


def provider_in(origin: Anonymous) -> str:
    """Return the provider of whoever got the email."""
    known = origin.provider < len(_PROVIDERS)
    return _PROVIDERS[origin.provider] if known else OTHER_PROVIDER


def set_in(origin: Anonymous, names: Iterable[str]) -> str:
    """Return which of some configuration sets it is; ``""`` for none of them."""
    return next((name for name in names if set_mark(name) == origin.mark), "")
