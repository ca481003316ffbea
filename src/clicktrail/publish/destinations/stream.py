"""The built-in stream as a destination.

The publisher writes events for streams in the transaction of their click. This is for what comes
from the outbox: notifications of a destination that was a webhook when they were made.
"""

from clicktrail.base.arn import Arn
from clicktrail.base.ids import now_us
from clicktrail.errors import DeliveryFailed, StoreUnavailable
from clicktrail.store import Store
from clicktrail.store.clicks.streams import NewStreamEvent


class StreamDestination:
    """Appends events to built-in streams."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def send(self, arn: Arn, event_id: str, payload: bytes) -> None:
        """See `Destination.send`."""
        try:
            await self._store.streams.append(
                [NewStreamEvent(arn.name, event_id, payload, now_us())]
            )
        except StoreUnavailable as error:
            raise DeliveryFailed(str(error)) from error

    async def close(self) -> None:
        """See `Destination.close`."""
