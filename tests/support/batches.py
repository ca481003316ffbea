"""Events for destinations that take batches, and why they were not taken."""

import json
from collections.abc import Awaitable, Sequence

from clicktrail.errors import DeliveryFailed
from clicktrail.publish.destinations import Event


def event(number: int, size: int = 0) -> Event:
    """Return the event of that number; those of three emails take turns."""
    id_ = f"event-{number}:0"
    told = {"mail": {"messageId": f"message-{number % 3}"}, "eventId": id_, "more": "x" * size}
    return Event(id_, json.dumps(told).encode())


async def failure(sending: Awaitable[Sequence[DeliveryFailed | None]]) -> str:
    """Return why a whole batch was not taken; trying again may help."""
    outcomes: Sequence[DeliveryFailed | None]
    try:
        outcomes = await sending
    except DeliveryFailed as error:
        outcomes = [error]
    [said] = {str(each) for each in outcomes}
    assert not any(each is None or each.permanent for each in outcomes)
    return said
