"""What one email says of tracking, and who wants not to be tracked."""

from collections.abc import Iterable
from typing import NamedTuple

from clicktrail.base.hostname import domain_name
from clicktrail.errors import InvalidInput
from clicktrail.rules.recipients import checked_recipient, recipient_key

TRACK_HEADER = "x-clicktrail-track"
"""A header that allows less than a configuration set asks for; it does not go on (lower case)."""


class Allowed(NamedTuple):
    """What may be tracked of an email."""

    clicks: bool = True
    opens: bool = True
    warnings: tuple[str, ...] = ()


ALL_ALLOWED = Allowed()
_VALUES = {"no": Allowed(False, False), "clicks": Allowed(True, False), "opens": Allowed(False)}


def allowed_by(values: Iterable[str]) -> Allowed:
    """Return what the values of `TRACK_HEADER` allow; of several, what all of them do.

    Of those that cannot be understood the first is told: a header has room for thousands.
    """
    found = ALL_ALLOWED
    for value in values:
        one = _VALUES.get(value.strip().lower())
        if one is None:
            warning = f"X-Clicktrail-Track is {value.strip()[:50]!a}: use no, clicks or opens"
            one = Allowed(False, False, (f"{warning}; nothing is tracked",))
        clicks, opens = found.clicks and one.clicks, found.opens and one.opens
        found = Allowed(clicks, opens, found.warnings or one.warnings)
    return found


def checked_entry(text: str) -> str:
    """Return who is not to be tracked as it is kept: ``anna@example.com``, ``@example.com``.

    Raises `InvalidInput`.
    """
    text = text.strip()
    if not text.startswith("@"):
        return checked_recipient(text)
    try:
        return f"@{domain_name(text[1:])}"
    except InvalidInput as error:
        raise InvalidInput(
            f"{text[:320]!a} is not a domain: expected one such as @example.com; {error}"
        ) from None


def entries_of(address: str) -> tuple[str, str]:
    """Return the entries by which an address is not tracked: its own, and that of its domain."""
    key = recipient_key(address)
    return key, f"@{key.rpartition('@')[2]}"
