"""Where events are sent: two small protocols, a module for each kind of ARN."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import msgspec

from clicktrail.base.arn import Arn, Kind, missing_extra
from clicktrail.errors import DeliveryFailed


@dataclass(frozen=True, slots=True)
class Event:
    """One event to send: its ``eventId`` and its JSON."""

    id: str
    payload: bytes

    @property
    def message_id(self) -> str:
        """The email that it tells of, which keeps its events together; else the ``eventId``."""
        try:
            return _decode(self.payload).mail.messageId or self.id
        except msgspec.MsgspecError:
            return self.id


class Destination(Protocol):
    """Sends events to all destinations of one kind."""

    async def send(self, arn: Arn, event_id: str, payload: bytes) -> None:
        """Send one event; on return the other side has it.

        Raises `DeliveryFailed`, whose ``permanent`` tells whether trying again is of no use. May
        be cancelled when it takes too long.
        """
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


@runtime_checkable
class BatchDestination(Protocol):
    """Sends many events to a destination at once."""

    @property
    def batch(self) -> int:
        """The most events of one `send_many`."""
        ...

    async def send_many(self, arn: Arn, events: Sequence[Event]) -> Sequence[DeliveryFailed | None]:
        """Send events; return for each why it failed, or ``None``: the other side has it.

        Raises `DeliveryFailed` where none was taken. May be cancelled when it takes too long.
        """
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


def need(kind: Kind) -> None:
    """Raise `DeliveryFailed` where the library for a kind is not installed."""
    if missing := missing_extra(kind):
        raise DeliveryFailed(missing)


class _Mail(msgspec.Struct):
    messageId: str


class _Event(msgspec.Struct):
    mail: _Mail


_decode = msgspec.json.Decoder(_Event).decode
