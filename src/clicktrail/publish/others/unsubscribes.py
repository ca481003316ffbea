"""Unsubscribes: what was logged, and what is told of it."""

from collections.abc import Sequence
from functools import partial

from clicktrail.base.logs import get_logger
from clicktrail.model import Click, Subscription
from clicktrail.publish.event import subscription_object, unsubscribe_event
from clicktrail.publish.routing import Target, address
from clicktrail.publish.subjects import Subject
from clicktrail.store.clicks.tally import Outgoing
from clicktrail.store.clicks.unsubscribes import LoggedUnsubscribe, Unsubscribe

log = get_logger(__name__)


def logged_unsubscribe(
    click: Click, subject: Subject, to: Sequence[Target], at: int
) -> LoggedUnsubscribe | None:
    """Return a request to unsubscribe as it is recorded; ``None`` where the link held none."""
    try:
        subscription = Subscription.unpacked(click.url)
    except ValueError:
        log.error("an unsubscribe names no list", event=click.event_id)
        return None
    made = Unsubscribe(
        click.event_id,
        click.message_id,
        click.clicked_at,
        subscription.contact_list,
        subscription.topic,
    )
    outgoing: tuple[Outgoing, ...] = ()
    if to:
        event = partial(unsubscribe_event, subject.mail, subscription_object(made))
        outgoing = address(click.event_id, to, event, at)
    day = subject.counted_at(click.clicked_at).daily()
    return LoggedUnsubscribe(made, subscription, day, outgoing)
