"""What the doors hand over: an email as it came in, and the way to the smarthost it goes out by."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from clicktrail.model import Envelope, Tags


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


class Transaction(Protocol):
    """An email that has been announced to the smarthost."""

    async def rcpt(self, address: str, dsn: tuple[str, ...] = ()) -> tuple[int, str]:
        """Name a recipient, with NOTIFY and ORCPT as they came (RFC 3461 § 4.1, 4.2)."""

    async def data(self, message: bytes) -> tuple[int, str]:
        """Send the email; return the answer that takes it over."""

    async def abort(self) -> None:
        """Give the email up."""


class Smarthost(Protocol):
    """Where emails go out."""

    async def begin(self, envelope: Envelope) -> Transaction:
        """Announce an email."""

    async def offered(self) -> frozenset[str]:
        """Return the extensions that it offers (lower case), as far as they can be known soon."""
