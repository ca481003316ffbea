"""Where events are sent: one small protocol, a module for each kind of ARN."""

from typing import Protocol

from clicktrail.arn import Arn


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
