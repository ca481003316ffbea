"""The library: tracking links and webhooks for other programs, without a service (docs/library.md).

What is named here stays as it is within a major version; nothing else of the package is promised.
"""

from clicktrail.api.events import (
    Bot,
    Click,
    CommonHeaders,
    Event,
    Failure,
    Header,
    Mail,
    Open,
    Subscription,
    read_event,
    verify_webhook,
)
from clicktrail.api.links import OpenedLink, TrackedEmail, TrackedHtml, Tracking, new_keys
from clicktrail.errors import ClicktrailError, InvalidInput, InvalidSignature, InvalidToken
from clicktrail.model import Link, Reason, Verdict

__all__ = [
    "Bot",
    "Click",
    "ClicktrailError",
    "CommonHeaders",
    "Event",
    "Failure",
    "Header",
    "InvalidInput",
    "InvalidSignature",
    "InvalidToken",
    "Link",
    "Mail",
    "Open",
    "OpenedLink",
    "Reason",
    "Subscription",
    "TrackedEmail",
    "TrackedHtml",
    "Tracking",
    "Verdict",
    "new_keys",
    "read_event",
    "verify_webhook",
]
