"""Events as values: those that webhooks bring, and those read from a stream."""

from collections.abc import Mapping
from datetime import datetime

import msgspec

from clicktrail.base.redact import reason_of
from clicktrail.errors import InvalidInput, InvalidSignature
from clicktrail.model import Verdict


class _Values(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """Fields as in docs/notifications.md; those that are not known are passed over."""


class CommonHeaders(_Values, frozen=True):
    """The headers that everybody asks for, as the sender wrote them."""

    from_: tuple[str, ...] = msgspec.field(default=(), name="from")
    to: tuple[str, ...] = ()
    subject: str = ""
    date: str = ""
    message_id: str = ""
    original_message_id: str = ""
    """The sender's own ``Message-ID``."""


class Header(_Values, frozen=True):
    """A header field: name, and raw value unfolded."""

    name: str
    value: str


class Mail(_Values, frozen=True):
    """The email. Of one that is no longer kept there is nothing but ``message_id``."""

    message_id: str
    timestamp: datetime | None = None
    """When it was accepted."""
    identity_id: str = ""
    source: str = ""
    """The envelope sender."""
    destination: tuple[str, ...] = ()
    """The envelope recipients."""
    common_headers: CommonHeaders | None = None
    headers: tuple[Header, ...] = ()
    headers_truncated: bool = False
    tags: dict[str, tuple[str, ...]] = {}
    """``ses:…`` of the service, and the sender's own."""


class Bot(_Values, frozen=True):
    """Who clicked or opened, a person or a machine, and why that is thought."""

    verdict: Verdict
    reasons: tuple[str, ...] = ()


class Click(_Values, frozen=True):
    """A click on a link."""

    timestamp: datetime
    link: str
    """The original URL, as the email had it."""
    destination: str | None = ""
    """Where the link leads since it was changed, ``""`` where it was not; ``None`` where it leads
    nowhere any more."""
    ip_address: str = ""
    user_agent: str = ""
    link_tags: dict[str, tuple[str, ...]] = {}
    bot: Bot | None = None


class Open(_Values, frozen=True):
    """An open: the email's image was fetched."""

    timestamp: datetime
    ip_address: str = ""
    user_agent: str = ""
    bot: Bot | None = None
    proxy: str = ""
    """The image proxy that fetched it; ``""`` where none is known to have."""


class Subscription(_Values, frozen=True):
    """What somebody has unsubscribed from."""

    contact_list: str
    timestamp: datetime
    source: str = ""
    topic: str = ""
    """``""``: the list as a whole."""


class Failure(_Values, frozen=True):
    """Why a template could not be rendered."""

    error_message: str = ""
    template_name: str = ""


class Event(_Values, frozen=True):
    """One event: ``Click``, ``Open``, ``Unsubscribe``, ``Send`` or ``Rendering Failure``, and any
    to come later."""

    event_type: str
    event_id: str
    """The same in a repeat: leave out what was seen before."""
    mail: Mail
    click: Click | None = None
    """With ``Click``."""
    open: Open | None = None
    """With ``Open``."""
    subscription: Subscription | None = None
    """With ``Unsubscribe``."""
    failure: Failure | None = None
    """With ``Rendering Failure``."""
    test: bool = False
    """Whether nobody clicked: an event to try the destination."""


_decode = msgspec.json.Decoder(Event).decode


def read_event(body: bytes | str) -> Event:
    """Return the event that a JSON text holds. Raises `InvalidInput` for one that is none."""
    try:
        event = _decode(body)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise InvalidInput(f"it is no event of Clicktrail: {reason_of(error)}") from None
    return event


def verify_webhook(secret: str, headers: Mapping[str, str], body: bytes) -> Event:
    """Return the event that a webhook brings.

    ``secret`` is the signing secret (``whsec_…``), ``body`` the body of the request as it came, and
    ``headers`` its headers, whose names may be in any case. Raises `InvalidSignature` for one that
    was not signed with that secret within five minutes (Standard Webhooks, "Verifying"), and
    `InvalidInput` for a secret that is none or a body that holds no event.
    """
    from standardwebhooks import Webhook, WebhookVerificationError  # noqa: PLC0415 - for these only

    try:
        webhook = Webhook(secret)
    except Exception:  # the library raises whatever base64 raises
        raise InvalidInput("it is no signing secret: expected whsec_ and base64") from None
    try:
        webhook.verify(body, dict(headers), json_parse=False)
    except (WebhookVerificationError, ValueError) as error:
        raise InvalidSignature(f"the webhook is not to be trusted: {reason_of(error)}") from None
    return read_event(body)
