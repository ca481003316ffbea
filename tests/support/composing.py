"""Emails composed as the API does it, and read again."""

import asyncio
import email.policy
from email.message import EmailMessage
from email.parser import BytesParser
from typing import Any

import msgspec

from clicktrail.ingress.compose.compose import Composed, check_content, compose, render
from clicktrail.ingress.compose.template import Work
from clicktrail.ingress.compose.template import render as render_work
from clicktrail.ingress.sesv2.send_shapes import SendEmailRequest

MOST = 1_000_000


def composed(most: int = MOST, **body: Any) -> Composed:
    """Compose what a client would send as JSON."""
    request = msgspec.json.decode(msgspec.json.encode(body), type=SendEmailRequest)
    template = request.content.template
    rendered = None
    if template is not None:
        check_content(request.content)
        rendered = asyncio.run(render(template, _Here(), escape=False, most=most))
    return compose(request, "clicktrail.test", most, rendered)


class _Here:
    """Renders templates in this process."""

    async def render(self, work: Work) -> dict[str, str]:
        return render_work(work)


def read(raw_email: bytes) -> EmailMessage:
    """Parse an email, which must be as it may go over the wire (RFC 5322 § 2)."""
    assert raw_email.count(b"\r\n") == raw_email.count(b"\n") == raw_email.count(b"\r")
    assert max(map(len, raw_email.split(b"\r\n"))) <= 998
    message = BytesParser(policy=email.policy.default).parsebytes(raw_email)
    assert isinstance(message, EmailMessage)
    for part in message.walk():
        assert part.defects == []
    return message
