"""What the doors hand over: an email as it came in, and the way to the smarthost it goes out by."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from clicktrail.model import Envelope, Recipient, Reply, Tags
from clicktrail.model.subscription import ListOptions


@dataclass(frozen=True, slots=True)
class Submission:
    """An email as it came in."""

    message: bytes
    sender: str
    """Envelope sender; ``""`` for the null reverse-path."""
    recipients: tuple[str, ...]
    """Envelope recipients that the smarthost has accepted."""
    source_ip: str | None = None
    client: str = "localhost"
    """What the sender's machine called itself (EHLO)."""
    protocol: str = "ESMTP"
    """How it came in, as in RFC 3848."""
    traced: bool = True
    """Whether it gets a ``Received`` header here; a mail server around us writes its own."""
    queue_id: str = ""
    """What it is called in the logs of such a mail server."""
    configuration_set: str | None = None
    """Named outside of the email (``ConfigurationSetName``); it wins over the header."""
    tags: Tags = field(default_factory=dict)
    """Given outside of the email (``EmailTags``)."""
    exempt: bool = False
    """Whether its client may send in anybody's name (``identities.exempt``)."""
    may_still: Callable[[int], Awaitable[None]] | None = None
    """Raises `MessageRefused` where its sender may send no more, as of that version of the
    configuration."""
    click_tracking: bool | None = None
    """Says for this email alone whether clicks are tracked; ``None``: its configuration set."""
    open_tracking: bool | None = None
    """The same of opens."""
    list_options: ListOptions | None = None
    """Given outside of the email (``ListManagementOptions``); they win over the header."""


class Transaction(Protocol):
    """An email that is handed to the smarthost."""

    @property
    def takes_8bit(self) -> bool:
        """Whether its bodies may hold other bytes than ASCII (8BITMIME, RFC 6152)."""

    async def rcpt(self, recipients: Sequence[Recipient]) -> list[Reply]:
        """Name recipients; return the answers to them, refusals among them.

        The first call announces the email, even where it names nobody. Raises `MessageRefused`
        where the whole email is refused: then the transaction is over.
        """

    async def data(self, message: bytes) -> Reply:
        """Send the email; return the answer that takes it over."""

    async def abort(self) -> None:
        """Give the email up."""


class Smarthost(Protocol):
    """Where emails go out."""

    async def begin(self, envelope: Envelope) -> Transaction:
        """Begin to hand over an email. Raises `MessageRefused` where it cannot take it."""

    async def offered(self) -> frozenset[str]:
        """Return the extensions that it offers (lower case), as far as they can be known soon."""
