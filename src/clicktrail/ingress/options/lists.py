"""The contact list that an email belongs to, and the headers by which people leave it."""

from typing import NamedTuple

from clicktrail.errors import InvalidInput, MessageRefused
from clicktrail.headers.fields import HeaderSection
from clicktrail.headers.words import decoded_words
from clicktrail.ingress.submission import Submission
from clicktrail.model import check_name
from clicktrail.model.subscription import ListOptions
from clicktrail.rules.recipients import ADDRESS_LIMIT

LIST_HEADER = "x-ses-list-management-options"

ONE_RECIPIENT = (
    "unsubscribe: no link is added: the email has several recipients, and a link to unsubscribe is"
    " one person's"
)
TOO_LONG = (
    f"unsubscribe: no link is added: the recipient's address has more than {ADDRESS_LIMIT}"
    " characters, and is none (RFC 5321)"
)
NO_HTTPS = (
    "unsubscribe: List-Unsubscribe-Post is not added, as nobody is known to serve https"
    " (redirect.tls_listen, tracking.https_host)"
)

_NAMES = {"contactlistname": "list", "": "list", "topicname": "topic", "topic": "topic"}
_SYNTAX = "expected contactListName=LIST; topicName=TOPIC"


class Leaving(NamedTuple):
    """An email by which its reader may leave the list that it belongs to, as far as it may."""

    raw: bytes
    fields: bytes = b""
    """Header lines to be added on top."""
    link: str = ""
    warnings: tuple[str, ...] = ()


def list_options(submission: Submission, header: HeaderSection) -> ListOptions | None:
    """Return the list and topic of an email: given outside of it (``ListManagementOptions``), or by
    its header. Raises `MessageRefused` for a header that cannot be read.
    """
    if submission.list_options is not None:
        return submission.list_options
    given = decoded_words(header.value(LIST_HEADER)).strip()
    if not given:
        return None
    try:
        return _read(given)
    except InvalidInput as error:
        raise MessageRefused(554, f"5.6.0 {LIST_HEADER.upper()}: {error}") from None


def checked_options(contact_list: str, topic: str | None) -> ListOptions:
    """Return the options of such names. Raises `InvalidInput`."""
    check_name(contact_list, "contact list")
    return ListOptions(contact_list, check_name(topic, "topic") if topic else "")


def unsubscribe_fields(header: HeaderSection, link: str) -> bytes:
    """Return the headers by which programs unsubscribe somebody; none, where it has its own."""
    if header.values("list-unsubscribe"):
        return b""
    # RFC 2369 § 3.2; § 2: an address in angle brackets.
    fields = f"List-Unsubscribe: <{link}>\r\n"
    # RFC 8058 § 3.1: there must be one of https, and one header alone.
    if link.startswith("https:") and not header.values("list-unsubscribe-post"):
        fields += "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
    return fields.encode("ascii")


def _read(text: str) -> ListOptions:
    """Return the options of ``contactListName=list; topicName=topic``, as Postbox has it, or of
    ``list; topic=topic``, as SES does. Raises `InvalidInput`."""
    found: dict[str, str] = {}
    for piece in text[:1000].rstrip("; \t").split(";"):
        name, equals, value = piece.rpartition("=")
        known = _NAMES.get(name.strip().lower()) if equals or not found else None
        if known is None or known in found:
            raise InvalidInput(f"{piece.strip()[:100]!a} is not understood: {_SYNTAX}")
        found[known] = value.strip()
    if "list" not in found:
        raise InvalidInput(f"it names no contact list: {_SYNTAX}")
    return checked_options(found["list"], found.get("topic"))
