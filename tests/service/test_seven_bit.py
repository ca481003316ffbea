"""A smarthost that takes 7 bits alone gets such emails, and what was signed here still verifies."""

import asyncio
import json
import re
import smtplib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import dkim
import pytest

from clicktrail.keys.token import PATH
from support.hostile_smarthost import HostileSmarthost
from support.service import PATIENCE, Service, email_with, hrefs, html_of

HTML = '<p>Grüße <a href="http://a.example/x">x</a></p>'
SEVEN = ("SIZE 10000000", "PIPELINING")
SIGNED = """\
From: news@{0}
To: reader@example.org
MIME-Version: 1.0
Content-Type: multipart/signed; boundary=b; protocol="application/pgp-signature"

--b
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 8bit

Grüße
--b
Content-Type: application/pgp-signature

x
--b--
"""


class Post:
    """A service whose identity signs, before a smarthost of the test's."""

    def __init__(self, service: Service, smarthost: HostileSmarthost) -> None:
        self.service, self.smarthost = service, smarthost
        self.name = service.configuration_set()
        self.domain = f"{self.name}.example"
        service.cli("identity", "create", self.domain)
        service.cli("identity", "dkim", "generate", self.domain, "--bits", "1024")
        self.record = json.loads(service.cli("identity", "dkim", "show", self.domain, "--json"))

    def tracked(self, cte: str = "8bit") -> bytes:
        """Return an email with a link."""
        email = email_with(HTML, self.name, cte=cte)
        email.replace_header("From", f"news@{self.domain}")
        return email.as_bytes().replace(b"\n", b"\r\n")

    async def send(self, raw: bytes, *options: str, to: str = "reader@example.org") -> str:
        """Send an email; return the answer to it, or to its recipient."""

        def say() -> str:
            with smtplib.SMTP("127.0.0.1", self.service.smtp, timeout=PATIENCE) as client:
                client.ehlo()
                client.mail(f"news@{self.domain}", options)
                code, text = client.docmd("RCPT TO:", f"<{to}>".encode().decode("latin-1"))
                if code < 400:
                    code, text = client.data(raw)
                return f"{code} {text.decode()}"

        return await asyncio.to_thread(say)

    def is_good(self, raw: bytes) -> bool:
        """Whether its signature verifies."""

        def look_up(host: bytes, timeout: int = 5) -> bytes:
            assert host.decode() == f"{self.record['name']}."
            return str(self.record["value"]).encode()

        return bool(dkim.verify(raw, dnsfunc=look_up))


@pytest.fixture
async def post(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Post]:
    given: dict[str, Any] = getattr(request, "param", {"offers": SEVEN})
    async with HostileSmarthost(offers=given["offers"]) as smarthost:
        flags = given.get("flags", ())
        service = Service(tmp_path, *flags, smarthost=f"smtp://{smarthost.address}")
        await asyncio.to_thread(service.start)
        try:
            yield await asyncio.to_thread(Post, service, smarthost)
        finally:
            await asyncio.to_thread(service.stop)


@pytest.mark.parametrize("cte", ["8bit", "quoted-printable", "base64"])
async def test_an_email_is_converted_before_it_is_signed(post: Post, cte: str) -> None:
    assert (await post.send(post.tracked(cte), "BODY=8BITMIME")).startswith("250")
    [taken] = post.smarthost.taken
    assert "BODY" not in taken.mail
    assert taken.message.isascii()
    assert b"8bit" not in taken.message
    assert PATH in hrefs(html_of(taken.message))[0]
    assert "Grüße" in html_of(taken.message)
    assert post.is_good(taken.message)


@pytest.mark.parametrize("post", [{"offers": ("8BITMIME",)}], indirect=True)
async def test_one_that_takes_8_bits_gets_them(post: Post) -> None:
    assert (await post.send(post.tracked(), "BODY=8BITMIME")).startswith("250")
    [taken] = post.smarthost.taken
    assert "Grüße".encode() in taken.message
    assert post.is_good(taken.message)


ALWAYS = {"offers": ("8BITMIME",), "flags": ("--smarthost-seven-bit", "always")}


@pytest.mark.parametrize(
    ("post", "who"),
    [(ALWAYS, "smarthost.seven_bit"), ({"offers": SEVEN}, "the mail server behind this one")],
    indirect=["post"],
)
async def test_who_wants_7_bits_is_named(post: Post, who: str) -> None:
    raw = b"Content-Transfer-Encoding: x-uuencode\r\n\r\n\xfc\r\n"
    answer = await post.send(f"From: a@{post.domain}\r\n".encode() + raw, "BODY=8BITMIME")
    assert answer.startswith(f"554 5.6.3 {who} wants 7 bits")


@pytest.mark.parametrize("post", [ALWAYS], indirect=True)
async def test_all_emails_are_converted_where_that_is_set(post: Post) -> None:
    assert (await post.send(post.tracked(), "BODY=8BITMIME")).startswith("250")
    [taken] = post.smarthost.taken
    assert taken.message.isascii()
    assert post.is_good(taken.message)


async def test_a_signature_of_others_that_conversion_breaks_goes(post: Post) -> None:
    raw = b"DKIM-Signature: v=1; d=other.example\r\n" + re.sub(
        rb"(?im)^x-ses[^\n]*\n", b"", post.tracked()
    )
    assert (await post.send(raw)).startswith("250")
    [taken] = post.smarthost.taken
    assert b"d=other.example" not in taken.message
    assert post.is_good(taken.message)


async def test_what_somebody_signed_in_8_bits_is_refused(post: Post) -> None:
    raw = SIGNED.format(post.domain).replace("\n", "\r\n").encode()
    answer = await post.send(raw, "BODY=8BITMIME")
    assert answer.startswith("554 5.6.3 ")
    assert "signed" in answer
    assert post.smarthost.taken == []
    post.smarthost.offers = ("8BITMIME",)
    post.smarthost.cut_all()
    assert (await post.send(raw, "BODY=8BITMIME")).startswith("250")
    assert raw[raw.index(b"--b") :] in post.smarthost.taken[0].message


async def test_an_address_that_it_cannot_take_is_refused_before_the_email(post: Post) -> None:
    answer = await post.send(post.tracked(), "SMTPUTF8", to="leser@example.org")
    assert answer.startswith("550 5.6.7 ")
    began = [command for command in post.smarthost.commands if command.startswith("MAIL")]
    assert set(began) <= {"MAIL FROM:<>"}  # by which it is greeted
