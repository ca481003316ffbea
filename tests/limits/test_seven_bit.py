"""Emails converted to 7 bits take no more time than they are long."""

from contextlib import suppress

import pytest

from clicktrail.rewrite.mime.seven_bit import NotConvertible, seven_bit
from limits.growth import Row, check_growth

MULTIPART = "Content-Type: multipart/mixed; boundary=b\r\n\r\n"
PIECES = {
    "text": ("\r\n", "ü"),
    "lines": ("\r\n", "ü\r\n"),
    "binary": ("Content-Type: image/png\r\n\r\n", "\xff"),
    "parts": (MULTIPART, "--b\r\n\r\nü\r\n"),
    "signed parts": (MULTIPART, "--b\r\nContent-Type: multipart/signed; boundary=c\r\n\r\nü\r\n"),
    "nested parts": (MULTIPART, f"--b\r\n{MULTIPART}ü\r\n"),
    "nested emails": ("", "Content-Type: message/rfc822\r\n\r\n"),
    "emails": (MULTIPART, "--b\r\nContent-Type: message/rfc822\r\n\r\n\r\nü\r\n"),
    "labels": ("", "Content-Transfer-Encoding: 8bit\r\n"),
    "escapes": ("Content-Transfer-Encoding: quoted-printable\r\n\r\n", "=ü = \t"),
    "digits": ("Content-Transfer-Encoding: base64\r\n\r\n", "aü"),
    "parameters": ("Content-Type: image/png", "; x=ü"),
    "a parameter": ('Content-Type: image/png; x="', "ü"),
    "fields": ("", "Content-Description: ü\r\n"),
    "a field": ("Content-Description: ", "ü a"),
    "preamble": (MULTIPART, "ü--b"),
}


def convert(raw: bytes) -> None:
    with suppress(NotConvertible):
        seven_bit(raw)


@pytest.mark.long
@pytest.mark.parametrize("name", PIECES)
def test_no_email_takes_more_time_than_it_is_long(name: str) -> None:
    before, piece = (text.encode() for text in PIECES[name])

    def make(size: int) -> bytes:
        return before + piece * (size // len(piece)) + "\r\n\r\nü".encode()

    check_growth(Row(name, make, convert))
