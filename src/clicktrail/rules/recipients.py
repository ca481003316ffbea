"""Recipients' addresses as lists of them are kept and asked: each in one spelling."""

import re

from clicktrail.base.hostname import a_labels, host_name
from clicktrail.base.text.normal import normalized
from clicktrail.errors import InvalidInput

LOCAL_LIMIT = 64
"""RFC 5321 § 4.5.3.1.1: octets of what stands before the @."""
ADDRESS_LIMIT = 320
"""Characters of an address: RFC 5321 § 4.5.3.1.1, § 4.5.3.1.2. Doors take longer ones."""

_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_LITERAL = re.compile(r"\[[0-9a-z.:-]{1,64}\]")  # RFC 5321 § 4.1.3
_UNUSUAL = re.compile(r"[\x00-\x1f\x7f\s\ud800-\udfff]")


def recipient_key(address: str) -> str:
    """Return what all spellings of an address have in common; any text, as far as it goes.

    Letter case makes no difference, also before the @, where RFC 5321 § 2.4 would let it: who
    wants no email is to get none. Nor do quotes that are not needed (RFC 5321 § 4.1.2), nor the
    alphabet in which the domain is written (RFC 5891).
    """
    local, at, domain = address.strip("<> \t").rpartition("@")
    if len(local) > 1 and local[0] == local[-1] == '"':
        local = _ESCAPED.sub(r"\1", local[1:-1])
    if local.isascii():
        return f"{local.lower()}{at}{a_labels(domain)}"
    return f"{normalized('NFC', local).casefold()}{at}{a_labels(domain)}"


def readable(address: str) -> str:
    """Return an address as a list can show it; ``""`` for one that is longer than any.

    Databases have no room for it (PostgreSQL: none of an index entry), and whoever asks for it is
    found by its digest all the same.
    """
    return address if len(address) <= ADDRESS_LIMIT else ""


def checked_recipient(text: str) -> str:
    """Return the `recipient_key` of what must be an address. Raises `InvalidInput`."""
    local, at, domain = recipient_key(text).rpartition("@")
    try:
        if not at or not local or _UNUSUAL.search(local):
            raise InvalidInput("what stands before the @ is not of one")
        if len(local.encode()) > LOCAL_LIMIT:
            raise InvalidInput(f"more than {LOCAL_LIMIT} bytes stand before the @")
        host = domain if _LITERAL.fullmatch(domain) else host_name(domain)
    except InvalidInput as error:
        raise InvalidInput(
            f"{text[:320]!a} is not an address: expected one such as anna@example.com; {error}"
        ) from None
    return f"{local}@{host}"
