"""Webhooks as a service sends them: an event, and the headers that sign it. DKIM signatures."""

from datetime import UTC, datetime
from typing import Any

import dkim
from standardwebhooks import Webhook

from clicktrail.publish.event import sample_event

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
EVENT_ID = "6KqVfQ7pW1nXz0aRrUe3C:0"
AT = 1_795_457_284_933_666
BODY = sample_event("news", EVENT_ID, AT)


def signed(body: bytes, at: datetime | None = None, secret: str = SECRET) -> dict[str, str]:
    """Return the headers of a webhook that was signed at that time (default: now)."""
    now = at or datetime.now(UTC)
    return {
        "Webhook-Id": EVENT_ID,
        "webhook-timestamp": str(int(now.timestamp())),
        "WEBHOOK-SIGNATURE": Webhook(secret).sign(EVENT_ID, now, body.decode()),
    }


def is_good(raw: bytes, record: dict[str, Any]) -> bool:
    """Whether a DKIM signature can be verified with that DNS record."""

    def look_up(host: bytes, timeout: int = 5) -> bytes:
        assert host.decode() == f"{record['name']}."
        return str(record["value"]).encode()

    return bool(dkim.verify(raw, dnsfunc=look_up))
