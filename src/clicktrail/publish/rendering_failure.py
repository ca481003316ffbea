"""Tells of emails that were not sent, because their template could not be rendered."""

from clicktrail.base.ids import new_id, now_us
from clicktrail.model import EventType, Message
from clicktrail.publish.event import mail_object, rendering_failure_event
from clicktrail.publish.nameless import told_of
from clicktrail.publish.routing import address, targets
from clicktrail.store import Store


class RenderingFailures:
    """Puts Rendering Failure events where the deliverer finds them; they survive a crash."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def tell(self, message: Message, template: str, error: str) -> None:
        """Tell the destinations for ``RENDERING_FAILURE`` of the message's configuration set.

        Raises `StoreUnavailable`.
        """
        configuration = await self._store.configuration.current()
        to = targets(configuration, message.configuration_set or "", EventType.RENDERING_FAILURE)
        if not to:
            return
        mail = told_of(mail_object(message), message.configuration_set or "", configuration)
        at = now_us()
        outgoing = address(
            new_id(at), to, lambda id_: rendering_failure_event(mail, template, error, id_), at
        )
        await self._store.clicks.send(outgoing)
