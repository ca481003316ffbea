"""In whose name an email is sent, and whether it may be: identities and the From field."""

from functools import lru_cache

from clicktrail.errors import MessageRefused
from clicktrail.headers.addresses import UnreadableAddress, mailboxes, senders_in
from clicktrail.headers.fields import HeaderSection
from clicktrail.model import Identity
from clicktrail.rules.recipients import recipient_key
from clicktrail.store.configuration import Configuration

_CHECKED = ("from", "sender", "resent-from", "resent-sender")
"""Fields whose addresses must belong to identities. SES wants that of From and Sender, which some
mail programs show; a receiver may take the Resent fields for them (RFC 4407 § 2)."""

_CACHED = 1000
"""Characters of a field that is remembered: senders are few, and reading takes time."""


_LONGEST = 16 * 1024
"""Characters of such a field: it names one sender, or a few."""


class UnknownSender(MessageRefused):
    """The email is sent in the name of an address that belongs to no identity."""

    def __init__(self, address: str) -> None:
        shown = address if len(address) <= 320 else f"{address[:320]}…"
        super().__init__(
            553,
            f"5.7.1 {shown!a} belongs to no identity: make one for it or its domain"
            " (clicktrail identity create)",
        )
        self.address = address


class MailboxMayNotSend(MessageRefused):
    """The email is sent in the name of an address that its identity does not let send."""

    def __init__(self, address: str, identity: str) -> None:
        super().__init__(
            553,
            f"5.7.1 {address[:320]!a} is none of the mailboxes that may send for {identity!a}"
            " (clicktrail identity senders)",
        )


class UnreadableSender(MessageRefused):
    """Who sends the email cannot be told for sure, so that identities cannot be checked."""

    def __init__(self, why: str) -> None:
        super().__init__(553, f"5.7.1 who sends this email cannot be told: {why}")


def identity_of(
    configuration: Configuration, header: HeaderSection, sender: str, required: str = "no"
) -> Identity | None:
    """Return who sends: the identity of the From field's address, else of the envelope's.

    ``required`` says whether senders must have one: ``yes``, ``no``, or ``auto``, which is yes as
    soon as there is an identity. Raises what `check_senders` raises.
    """
    if required == "yes" or (required == "auto" and configuration.identities):
        check_senders(configuration, header, sender)
    found = None
    value = header.value("from")
    if 0 < len(value) <= _LONGEST:
        found = configuration.identity_for(_first_address(value))
    return found or configuration.identity_for(sender)


def check_senders(configuration: Configuration, header: HeaderSection, sender: str) -> None:
    """Check that all addresses that a receiver may take for the sender's have an identity.

    Raises `UnknownSender`, `MailboxMayNotSend` where that identity names others that may send,
    and `UnreadableSender` where they cannot all be read. Emails with the
    null reverse-path pass: they are the reports and answers of mail servers (RFC 5321 § 4.5.5),
    from MAILER-DAEMON or whomever, and lost where they are refused.
    """
    if not sender:
        return
    if header.doubt:
        raise UnreadableSender(header.doubt)
    found = [sender]
    for name, value in header.fields:
        if name.lower() not in _CHECKED:
            continue
        if len(value) > _LONGEST:
            raise UnreadableSender(f"{name} has more than {_LONGEST} characters")
        try:
            found += _senders(value) if len(value) <= _CACHED else senders_in(value)
        except UnreadableAddress as error:
            raise UnreadableSender(f"{name}: {error}") from None
    if not header.values("from"):  # RFC 5322 § 3.6: exactly one
        raise UnreadableSender("it has no From field")
    for address in found:
        identity = configuration.identity_for(address)
        if identity is None:
            raise UnknownSender(address)
        if identity.senders and not _may_send(address, identity):
            raise MailboxMayNotSend(address, identity.name)


def _may_send(address: str, identity: Identity) -> bool:
    local, _, domain = recipient_key(address).rpartition("@")
    return domain == identity.name and local in identity.senders


@lru_cache(maxsize=256)
def _senders(value: str) -> list[str]:
    return senders_in(value)


def _first_address(value: str) -> str:
    return _first_cached(value) if len(value) <= _CACHED else _first(value)


def _first(value: str) -> str:
    try:
        return next((box.address for box in mailboxes(value)), "")
    except UnreadableAddress:
        return ""


_first_cached = lru_cache(maxsize=256)(_first)
