"""What is made of the answers of an authority."""

import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from clicktrail.certificates.authority import (
    MOST_BYTES,
    Authority,
    Client,
    OrderFailed,
    certificate_id,
    new_account_key,
)
from clicktrail.certificates.threads import in_thread


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


class Endless(BaseHTTPRequestHandler):
    """An authority whose answers have no end, packed where it says so."""

    sent = 0

    def do_GET(self) -> None:
        self.send_response(200)
        packer = zlib.compressobj(wbits=31) if self.path == "/packed" else None
        if packer is not None:
            self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        spaces = b" " * 65536
        with suppress(OSError):
            while Endless.sent < 256 * MOST_BYTES:
                piece = spaces if packer is None else packer.compress(spaces)
                Endless.sent += len(spaces)
                self.wfile.write(piece)

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize("path", ["plain", "packed"])
def test_no_answer_is_read_beyond_all_measure(path: str) -> None:
    Endless.sent = 0
    with ThreadingHTTPServer(("127.0.0.1", 0), Endless) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            with pytest.raises(OrderFailed, match="does not answer as RFC 8555 has it"):
                Authority(f"http://127.0.0.1:{server.server_port}/{path}", new_account_key())
        finally:
            server.shutdown()
    assert Endless.sent < 256 * MOST_BYTES  # it was hung up on


async def test_an_authority_that_never_comes_to_an_end_is_given_up() -> None:
    over = threading.Event()
    try:
        with pytest.raises(OrderFailed, match="longer than 0"):
            await in_thread(over.wait, 0.1)
    finally:
        over.set()
