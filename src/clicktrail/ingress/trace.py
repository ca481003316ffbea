"""What is put on top of an email: the trace of where it has been (RFC 5321 § 4.4)."""

import re
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import lru_cache

from clicktrail.base.ids import new_id, now_us
from clicktrail.headers.fields import HeaderSection, first_field
from clicktrail.ingress.submission import Submission

_NOT_IN_NAME = re.compile(r"[^!-~]|[()<>;\\\"]")


def received(submission: Submission, hostname: str, message_id: str, accepted_at: int) -> bytes:
    """Return the ``Received`` header of an email that came in at that time (microseconds)."""
    address = submission.source_ip or ""
    literal = f" ([{'IPv6:' if ':' in address else ''}{address}])" if address else ""
    client = _printable(submission.client)
    return (
        f"Received: from {client}{literal}\r\n"
        f"\tby {hostname} (Clicktrail) with {submission.protocol} id {message_id};\r\n"
        f"\t{_date(accepted_at // 1_000_000)}\r\n"
    ).encode()


def missing_fields(header: HeaderSection, domain: str) -> bytes:
    """Return the fields that a mail server would add (RFC 6409 § 8.2, 8.3); usually none."""
    fields = []
    if not header.values("date"):
        fields.append(f"Date: {_date(now_us() // 1_000_000)}\r\n")
    if not header.values("message-id"):
        fields.append(f"Message-ID: <{new_id()}@{domain}>\r\n")
    return "".join(fields).encode()


def on_top(header: bytes, raw: bytes) -> bytes:
    """Return the email with one header more."""
    at = first_field(raw)  # the line of a mailbox file stays the first
    return raw[:at] + header + raw[at:] if at else header + raw


@lru_cache(maxsize=2)
def _date(seconds: int) -> str:
    """Return a time as a date of RFC 5322 § 3.3."""
    return format_datetime(datetime.fromtimestamp(seconds, UTC))


def _printable(text: str) -> str:
    """Return a name as a header can hold it: what a client calls itself is not to be trusted."""
    return _NOT_IN_NAME.sub("", text[:255]) or "unknown"
