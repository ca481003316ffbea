"""Addresses of headers, as notifications have them."""

from clicktrail.headers.addresses import UnreadableAddress, mailboxes
from clicktrail.model import domain_of


def split_addresses(value: str) -> list[str]:
    """Return the addresses of a ``From`` or ``To`` header, each as it is written there.

    A value that is no address list comes back whole, as the only item; an empty one gives none.
    """
    try:
        return [mailbox.text for mailbox in mailboxes(value)]
    except UnreadableAddress:
        return [value.strip()]


def domain_in(address: str) -> str:
    """Return the domain of one address as a header has it (``A <a@b.c>``), or ``""``."""
    try:
        found = mailboxes(address)
    except UnreadableAddress:
        return ""
    return domain_of(found[0].address) if len(found) == 1 else ""
