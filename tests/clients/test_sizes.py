"""Large emails: 10 MB with attachments comes in by both doors, more than the limit by none."""

import email.policy
import hashlib
import random
import smtplib
from collections.abc import Iterator
from email.message import EmailMessage
from email.parser import BytesParser
from typing import Any

import pytest
from botocore.exceptions import ClientError

from support.service import Service, email_with, hrefs, html_of
from support.ses import access_key, ses_client

LIMIT = 10 * 1024 * 1024
HTML = "<p>Large: <a href='https://example.com/large'>look</a></p>"
READER = "reader@gmail.com"


@pytest.fixture(scope="module")
def ses(service: Service) -> Iterator[Any]:
    client = ses_client(service, access_key(service, "send"))
    yield client
    client.close()


def large(size: int, configuration_set: str | None = None) -> bytes:
    """Return an email with three attachments that is exactly so many bytes long."""
    message = email_with(HTML, configuration_set)
    message["Date"] = "Thu, 27 Jun 2024 14:05:45 +0000"
    chance = random.Random(size)
    for number in range(3):
        message.add_attachment(
            chance.randbytes((size - 10_000) // 3 * 3 // 4 * 76 // 78),
            maintype="application",
            subtype="octet-stream",
            filename=f"{number}.bin",
        )
    raw = message.as_bytes(policy=email.policy.SMTP)
    # RFC 2046 § 5.1.1: what follows the last boundary is to be ignored.
    missing = size - len(raw)
    assert 0 <= missing < 10_000 + size // 100
    return raw + (b"x" * 76 + b"\r\n") * (missing // 78) + b"x" * (missing % 78 - 2) + b"\r\n"


def attachments_of(raw: bytes) -> list[str]:
    """Return hashes of the attachments of an email."""
    parsed = BytesParser(policy=email.policy.default).parsebytes(raw)
    assert isinstance(parsed, EmailMessage)
    contents = [part.get_payload(decode=True) for part in parsed.iter_attachments()]
    return [hashlib.sha256(each).hexdigest() for each in contents if isinstance(each, bytes)]


def send_raw(ses: Any, raw: bytes, configuration_set: str | None = None) -> None:
    named = {"ConfigurationSetName": configuration_set} if configuration_set else {}
    ses.send_email(
        FromEmailAddress="news@example.com",
        Destination={"ToAddresses": [READER]},
        Content={"Raw": {"Data": raw}},
        **named,
    )


@pytest.fixture(scope="session", autouse=True)
def identity(service: Service) -> None:
    service.cli("identity", "create", "example.com")


def test_an_email_of_ten_megabytes_with_attachments_is_tracked_by_smtp(service: Service) -> None:
    raw = large(LIMIT, service.configuration_set())
    assert_tracked(raw, service.send(raw))


def test_an_email_of_ten_megabytes_with_attachments_is_tracked_by_boto3(
    service: Service, ses: Any
) -> None:
    raw = large(LIMIT)
    send_raw(ses, raw, service.configuration_set())
    assert_tracked(raw, service.arrived())


def assert_tracked(sent: bytes, arrived: bytes) -> None:
    assert len(sent) == LIMIT
    [link] = hrefs(html_of(arrived))
    assert "/c/" in link
    assert len(attachments_of(sent)) == 3
    assert attachments_of(arrived) == attachments_of(sent)


@pytest.mark.parametrize(
    ("size", "told"),
    [
        (LIMIT + 100, f"Message length is more than {LIMIT} bytes long"),
        (30_000_000, "the request is longer than"),  # which is not even read to its end
    ],
    ids=["one line more", "30 MB"],
)
def test_a_larger_email_is_refused_by_the_api(ses: Any, size: int, told: str) -> None:
    with pytest.raises(ClientError) as caught:
        send_raw(ses, large(size))
    answer = caught.value.response
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert answer["Error"]["Code"] == "BadRequestException"
    assert told in answer["Error"]["Message"]


def test_an_email_that_is_one_line_too_large_is_refused_by_smtp(service: Service) -> None:
    with pytest.raises(smtplib.SMTPSenderRefused) as refused:
        service.send(large(LIMIT + 100))
    assert refused.value.smtp_code == 552
    assert str(LIMIT).encode() in bytes(refused.value.smtp_error)
