"""Who is told of an event."""

from collections.abc import Callable, Sequence
from functools import lru_cache

from clicktrail.base.arn import Arn, Kind, parse_arn
from clicktrail.model import EventDestination, EventType
from clicktrail.publish.event import event_id_for
from clicktrail.store.clicks.clicks import Outgoing
from clicktrail.store.clicks.outbox import Notification
from clicktrail.store.clicks.streams import NewStreamEvent
from clicktrail.store.configuration import Configuration

Target = tuple[str, EventDestination]
"""An event destination with the name of its configuration set."""


def targets(
    configuration: Configuration, set_name: str | None, event_type: EventType
) -> list[Target]:
    """Return the destinations for an event, in their order.

    They are those of the email's configuration set, as it stands now; a set that was deleted has
    none. ``set_name`` is ``None`` where nothing of the email is known any more (its row is gone,
    as after the loss of the database), so that its set is not known either. Such an event goes

    - to the destinations of the one set that wants events of the type, where there is only one;
    - else to the built-in streams among the destinations of all those sets, each stream once.
      Webhooks are left out: they may belong to different customers, and none of them must learn
      of clicks of another's recipients. Streams stay within the installation.
    """
    if set_name is not None:
        owner = configuration.sets.get(set_name)
        return [(set_name, d) for d in owner.subscribers(event_type)] if owner else []
    found = [(s.name, d) for s in configuration.sets.values() for d in s.subscribers(event_type)]
    if len({name for name, _ in found}) == 1:
        return found
    streams = {d.arn: (name, d) for name, d in found if _parsed(d.arn).kind is Kind.STREAM}
    return list(streams.values())


def address(
    event_id: str, to: Sequence[Target], make: Callable[[str], bytes], at: int, hold: int = 0
) -> tuple[Outgoing, ...]:
    """Return the notifications of an event, one for each destination.

    ``make`` gives the JSON for an ``eventId``. With ``hold`` they wait for so many microseconds,
    all of them in the outbox.
    """
    outgoing: list[Outgoing] = []
    for place, (set_name, destination) in enumerate(to):
        full_id = event_id_for(event_id, place)
        arn = _parsed(destination.arn)
        if arn.kind is Kind.STREAM and not hold:
            outgoing.append(NewStreamEvent(arn.name, full_id, make(full_id), at))
        else:
            payload, name = make(full_id), destination.name
            outgoing.append(Notification(full_id, set_name, name, destination.arn, payload, hold))
    return tuple(outgoing)


@lru_cache(1000)
def _parsed(text: str) -> Arn:
    return parse_arn(text)
