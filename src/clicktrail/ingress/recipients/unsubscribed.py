"""The reason of who wants no emails of a contact list."""

from collections.abc import Mapping, Sequence

from clicktrail.ingress.recipients.refusals import Email
from clicktrail.store.people.unsubscribed import UnsubscribedStore


class NotSubscribed:
    """Knows who has unsubscribed from what an email belongs to, or was never subscribed to it."""

    def __init__(self, unsubscribed: UnsubscribedStore) -> None:
        self._unsubscribed = unsubscribed

    async def against(self, recipients: Sequence[str], email: Email) -> Mapping[str, str]:
        """See `Reason.against`."""
        if email.options is None:
            return {}
        name, topic = email.options
        what = f"topic {topic!r} of " if topic else ""
        unwilling = await self._unsubscribed.unwilling(name, topic, recipients)
        return dict.fromkeys(unwilling, f"is not subscribed to {what}the contact list {name!r}")
