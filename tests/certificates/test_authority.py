"""What is made of the answers of an authority."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import formatdate

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from clicktrail.certificates.authority import Client, certificate_id


@pytest.fixture(params=["UTC", "UTC-3", "UTC+8"])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("told", "least", "most"),
    [
        ("600", 590, 600),
        ("tomorrow", 80000, 86401),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.5, 1),
        ("0", 0.5, 1),
        ("soon", 40, 50),
        ("", 40, 50),
        ("9" * 400, 40, 50),
        ("-5", 40, 50),
        ("nan", 40, 50),
    ],
)
def test_it_is_waited_as_long_as_it_says_in_every_time_zone(
    zone: str, told: str, least: float, most: float
) -> None:
    if told == "tomorrow":
        told = formatdate(time.time() + 86400, usegmt=True)
    answer = requests.Response()
    answer.headers["Retry-After"] = told
    left = (Client.retry_after(answer, 50) - datetime.now()).total_seconds()
    assert least <= left <= most


def certified(serial: int, issuer: bytes | None) -> str:
    """Return a certificate (PEM) with this serial number and authority key identifier."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    builder = x509.CertificateBuilder(x509.Name([]), x509.Name([]), key.public_key(), serial)
    builder = builder.not_valid_before(now).not_valid_after(now + timedelta(days=1))
    if issuer is not None:
        known = x509.AuthorityKeyIdentifier(issuer, None, None)
        builder = builder.add_extension(known, critical=False)
    made = builder.sign(key, hashes.SHA256())
    return made.public_bytes(serialization.Encoding.PEM).decode()


@pytest.mark.parametrize(
    ("serial", "ending"),
    [
        (0x87654321, "AIdlQyE"),  # RFC 9773 § 4.1's own example: with a sign byte
        (0x7654321, "B2VDIQ"),
        (0x7F, "fw"),
        (0x80, "AIA"),
    ],
)
def test_the_identifier_of_a_certificate(serial: int, ending: str) -> None:
    issuer = bytes.fromhex("69885b6b87464041e1b37b847ba0ae2cde01c8d4")
    assert certificate_id(certified(serial, issuer)) == f"aYhba4dGQEHhs3uEe6CuLN4ByNQ.{ending}"
    assert certificate_id(certified(serial, None)) == ""
