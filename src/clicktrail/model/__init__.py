"""The values that the parts of Clicktrail hand to one another. None is changed once it is made.

Times are whole microseconds since 1970-01-01 UTC (``…_at``); they become RFC 3339 texts only at
the edge (`clicktrail.base.ids.rfc3339`).
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from clicktrail.errors import InvalidInput
from clicktrail.model.orders import LinkChange as LinkChange
from clicktrail.model.orders import Orders as Orders
from clicktrail.model.request import Request as Request
from clicktrail.model.rules import NO_RULES as NO_RULES
from clicktrail.model.rules import Rules as Rules
from clicktrail.model.subscription import Subscription as Subscription
from clicktrail.model.thresholds import USUAL as USUAL
from clicktrail.model.thresholds import Thresholds as Thresholds
from clicktrail.model.where import Where as Where

Tags = dict[str, list[str]]
"""Tag name → its values, in the order given."""

LinkTags = tuple[tuple[str, str], ...]
"""Tags of a link: keys and values, in order; a key may stand there twice."""

ResourceTags = tuple[tuple[str, str], ...]
"""Tags of a configuration set or an identity: keys, each only once, and values."""

Header = tuple[str, str]
"""A header as the sender sent it: name, and raw value unfolded (RFC 2047 words undecoded)."""


class EventType(StrEnum):
    """Event types of the SES v2 API (``MatchingEventTypes``).

    `PRODUCED` are; a `SUBSCRIPTION` is told as ``Unsubscribe``.
    """

    SEND = "SEND"
    REJECT = "REJECT"
    BOUNCE = "BOUNCE"
    COMPLAINT = "COMPLAINT"
    DELIVERY = "DELIVERY"
    OPEN = "OPEN"
    CLICK = "CLICK"
    RENDERING_FAILURE = "RENDERING_FAILURE"
    DELIVERY_DELAY = "DELIVERY_DELAY"
    SUBSCRIPTION = "SUBSCRIPTION"
    VERDICT_CHANGED = "VERDICT_CHANGED"
    """Our own: a click that was told has another verdict now."""


PRODUCED = frozenset(
    {
        EventType.SEND,
        EventType.CLICK,
        EventType.OPEN,
        EventType.SUBSCRIPTION,
        EventType.RENDERING_FAILURE,
        EventType.VERDICT_CHANGED,
    }
)
"""The event types that come; the others are taken, as programs for SES name them."""


class HttpsPolicy(StrEnum):
    """``HttpsPolicy`` of SES tracking options: the scheme of tracking links."""

    OPTIONAL = "OPTIONAL"
    """The scheme of the original link."""
    REQUIRE = "REQUIRE"
    """Always https."""


class Reason(StrEnum):
    """Why an email is not tracked (behaviour § 1 and § 4)."""

    OFF = "off"
    SEVERAL_RECIPIENTS = "several-recipients"
    NO_HTML = "no-html"
    SIGNED = "signed"
    NO_LINKS = "no-links"
    UNPARSABLE = "unparsable"
    RECIPIENT = "recipient"
    """Who gets it wants not to be tracked."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """What MAIL announces of an email (RFC 5321 § 4.1.1.2)."""

    sender: str
    """``""`` for the null reverse-path."""
    size: int = 0
    """In bytes; 0 where it is not given."""
    body_8bit: bool = False
    smtputf8: bool = False
    dsn: tuple[str, ...] = ()
    """The parameters RET and ENVID, as they came (RFC 3461 § 4.3, 4.4)."""
    priority: str = ""
    """The value of MT-PRIORITY (RFC 6710 § 3)."""
    requires_tls: bool = False
    """REQUIRETLS (RFC 8689)."""
    origin: tuple[str, ...] = ()
    """The attributes of Postfix's XFORWARD, as they came: who sent it before it came here."""


class Recipient(NamedTuple):
    """Who RCPT names (RFC 5321 § 4.1.1.3)."""

    address: str
    dsn: tuple[str, ...] = ()
    """NOTIFY and ORCPT, as they came (RFC 3461 § 4.1, 4.2)."""


Reply = tuple[int, str]
"""An SMTP reply (RFC 5321 § 4.2): its code, and the text of its lines, joined by newlines."""


class MessageState(StrEnum):
    """How far an email came. Only `SENT` emails are counted as ``Sent``."""

    PENDING = "pending"
    """Durable here; the smarthost has not yet answered."""
    SENT = "sent"
    """The smarthost has accepted it."""
    REFUSED = "refused"
    """The smarthost did not accept it; the sender was told so and keeps it."""
    UNKNOWN = "unknown"
    """The smarthost has it whole and did not answer: the sender was told to try again."""


class Verdict(StrEnum):
    """Who clicked (behaviour § 7)."""

    HUMAN = "human"
    SUSPECT = "suspect"
    MACHINE = "machine"


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict with its reasons (docs/machine-clicks.md)."""

    verdict: Verdict
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EventDestination:
    """Where events of a configuration set go. ``arn`` names the stream or webhook."""

    name: str
    arn: str
    types: frozenset[EventType]
    enabled: bool = True
    role_arn: str = ""
    """``IamRoleArn`` of API clients, given back as it is."""


MOST_SETTLE = 600
"""The longest time for which a configuration set may hold notifications back, in seconds."""


@dataclass(frozen=True, slots=True)
class ConfigurationSet:
    """Settings that an email names: what is tracked, and who is told."""

    name: str
    engagement: bool = False
    redirect_domain: str | None = None
    https_policy: HttpsPolicy = HttpsPolicy.OPTIONAL
    destinations: tuple[EventDestination, ...] = ()
    sending: bool = True
    """Whether emails that use it are sent at all (``SendingEnabled``)."""
    tags: ResourceTags = ()
    options: str = "{}"
    """What API clients set and get back, though nothing is done with it: JSON by SES's names."""
    keep_html: bool = False
    """Whether the HTML of tracked emails is kept, for click maps."""
    track_visible_urls: bool = True
    """Whether links whose text is their own URL are tracked too."""
    engagement_opens: bool = False
    """Whether engagement statistics count opens too."""
    rules: Rules = NO_RULES
    settle: int = 0
    """Seconds for which notifications of clicks are held back, so that verdicts settle."""

    @property
    def click_tracking(self) -> bool:
        """Whether emails with this configuration set get tracking links (behaviour § 1)."""
        return self.engagement or any(
            d.enabled and EventType.CLICK in d.types for d in self.destinations
        )

    @property
    def open_tracking(self) -> bool:
        """Whether emails with this configuration set get the image that tells of opens.

        Not by engagement statistics alone: an image is new to who gets the email.
        """
        return (self.engagement and self.engagement_opens) or any(
            d.enabled and EventType.OPEN in d.types for d in self.destinations
        )

    def subscribers(self, event_type: EventType) -> tuple[EventDestination, ...]:
        """Return the enabled destinations for events of that type."""
        return tuple(d for d in self.destinations if d.enabled and event_type in d.types)


@dataclass(frozen=True, slots=True)
class Dkim:
    """The DKIM key of an identity (RFC 6376)."""

    selector: str
    sealed: bytes
    """The private key (DER, PKCS #8), sealed by the installation's vault."""
    origin: str
    """``AWS_SES`` for one that was made here, ``EXTERNAL`` for a given one, as SES has it."""
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class Identity:
    """A domain (``example.com``) or an address (``a@example.com``) that sends."""

    id: str
    name: str
    configuration_set: str | None = None
    tags: ResourceTags = ()
    dkim: Dkim | None = None
    senders: tuple[str, ...] = ()
    """The mailboxes of a domain that may send, by what stands before their @; all where empty."""

    @property
    def domain(self) -> str:
        """The domain that it signs for."""
        return self.name.rpartition("@")[2]


@dataclass(slots=True)  # not frozen: that takes three times as long, and one is made for each link
class Link:
    """One tracked link of an email. ``index`` counts from 0 in the order of the email."""

    index: int
    url: str
    """The original URL, exactly as a browser would read it from the email."""
    tags: LinkTags = ()
    part: int = 0
    """Which HTML part, counted from 0."""
    offset: int = 0
    """Where its element begins, in characters of the decoded part."""


@dataclass(frozen=True, slots=True)
class Message:
    """An accepted email, as kept in the store: everything that a notification needs."""

    id: str
    accepted_at: int
    source: str
    """Envelope sender; ``""`` for the null reverse-path."""
    recipients: tuple[str, ...]
    """Envelope recipients that the smarthost accepted."""
    identity: Identity | None = None
    configuration_set: str | None = None
    source_ip: str | None = None
    headers: tuple[Header, ...] = ()
    tags: Tags = field(default_factory=dict)
    """The sender's own tags; system tags are added in the notification."""
    reason: Reason | None = None
    """Why it is not tracked; ``None`` for a tracked email."""
    links: tuple[Link, ...] = ()
    warnings: tuple[str, ...] = ()
    state: MessageState = MessageState.PENDING
    html: tuple[str, ...] = ()
    """Its HTML parts as they are to be kept; not read back with the email."""


@dataclass(slots=True)  # not frozen: as a Link, it is made on a hot path
class Click:
    """One click, as logged before the redirect. Holds all that the token knew.

    With `OPEN_LINK` it is an open, as logged before the image is sent; with `UNSUBSCRIBE_LINK`
    somebody has unsubscribed, and ``url`` is a `Subscription.packed`.
    """

    event_id: str
    message_id: str
    link: int
    url: str
    clicked_at: int
    ip: str
    user_agent: str
    request: int = 0
    """What its request showed of who sent it: bits of `Request`."""
    destination: str | None = ""
    """Where the link leads since it was changed, ``""`` where it was not; ``None`` where it leads
    nowhere any more."""


HONEYPOT_LINK = 1 << 30
"""The index of the hidden link that only machines follow: no email has as many links of its own."""

OPEN_LINK = HONEYPOT_LINK + 1
"""The index of the image that tells of opens."""

UNSUBSCRIBE_LINK = OPEN_LINK + 1
"""The index of the link by which somebody unsubscribes."""

PROVIDERS: dict[str, tuple[str, ...]] = {
    "Yandex": ("yandex.ru", "yandex.com", "ya.ru", "yandex.by", "yandex.kz"),
    "Google": ("gmail.com", "googlemail.com"),
    "Mail.Ru Group": ("mail.ru", "bk.ru", "list.ru", "inbox.ru", "internet.ru"),
    "Microsoft": ("outlook.com", "hotmail.com", "live.com", "msn.com", "windowslive.com"),
}
"""Recipients' providers by domain (behaviour § 8); every other domain is ``Other``."""

OTHER_PROVIDER = "Other"

_PROVIDER_OF = {domain: name for name, domains in PROVIDERS.items() for domain in domains}


def domain_of(address: str) -> str:
    """Return the domain of an address in lower case, or ``""`` where it has none."""
    return address.rpartition("@")[2].strip("<> \t").rstrip(".").lower() if "@" in address else ""


def provider_of(address: str) -> str:
    """Return the provider of a recipient's address (behaviour § 8)."""
    return _PROVIDER_OF.get(domain_of(address), OTHER_PROVIDER)


NAME_LIMIT = 64
_NAME_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")


def check_name(name: str, what: str) -> str:
    """Return a name of a configuration set or event destination, if it is one.

    SES v2 ``CreateConfigurationSet``: letters, digits, ``_`` and ``-``, at most 64 characters.
    Raises `InvalidInput`.
    """
    if not name or len(name) > NAME_LIMIT or not _NAME_CHARACTERS.issuperset(name):
        raise InvalidInput(
            f"{what} {name!r} is not a valid name: use 1 to {NAME_LIMIT} letters, digits, '_', '-'"
        )
    return name


class Role(StrEnum):
    """What an account may do."""

    VIEWER = "viewer"
    """Look at everything, change nothing."""
    ADMINISTRATOR = "administrator"


class Scope(StrEnum):
    """What a key is good for."""

    SEND = "send"
    """Send emails, by the API and by SMTP."""
    MANAGE = "manage"
    """Change configuration sets, identities and what belongs to them; look at them too."""
    READ = "read"
    """Look at configuration sets and identities; read metrics."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits for one destination, and how it has been doing."""

    configuration_set: str
    destination: str
    count: int
    oldest_at: int | None
    """When the oldest waiting notification was made."""
    dead: int
    last_success_at: int | None
    last_failure_at: int | None
    last_error: str
