"""A test event, sent straight to an event destination to see whether it arrives."""

import asyncio
from collections.abc import Mapping

from clicktrail.base.arn import Arn, Kind, check_deliverable
from clicktrail.base.ids import new_id, now_us
from clicktrail.errors import DeliveryFailed, NotFound
from clicktrail.publish.destinations import BatchDestination, Destination, Event
from clicktrail.publish.destinations.stream import StreamDestination
from clicktrail.publish.event import event_id_for, sample_event
from clicktrail.store import Store


async def send_test_event(
    store: Store,
    built: Mapping[Kind, Destination | BatchDestination],
    set_name: str,
    name: str,
    patience: float,
) -> str:
    """Send a test event to one destination of a configuration set; return the event's id.

    Waits up to ``patience`` seconds. Raises `NotFound`, `InvalidInput` for a destination that
    nothing can be sent to, `StoreUnavailable`, and `DeliveryFailed` with the reason.
    """
    destinations = (await store.configuration.get_set(set_name)).destinations
    found = next((each for each in destinations if each.name == name), None)
    if found is None:
        raise NotFound(f"configuration set {set_name!r} has no event destination {name!r}")
    arn = check_deliverable(found.arn)
    at = now_us()
    event_id = event_id_for(new_id(at), 0)
    event = Event(event_id, sample_event(set_name, event_id, at))
    try:
        async with asyncio.timeout(patience):
            await _send({Kind.STREAM: StreamDestination(store), **built}[arn.kind], arn, event)
    except (DeliveryFailed, TimeoutError) as error:
        why = str(error) or f"no answer within {patience:g} seconds"
        raise DeliveryFailed(f"{set_name}/{name} did not take the test event: {why}") from None
    return event_id


async def _send(to: Destination | BatchDestination, arn: Arn, event: Event) -> None:
    if not isinstance(to, BatchDestination):
        await to.send(arn, event.id, event.payload)
        return
    [failed] = await to.send_many(arn, [event])
    if failed is not None:
        raise failed
