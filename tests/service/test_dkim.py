"""Emails are signed with DKIM after their links were rewritten: what arrives is verified."""

import email.policy
import json
import re
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import dkim
import pytest

from clicktrail.keys import dkim as dkimkey
from clicktrail.keys.token import PATH
from support.service import Service, email_with, hrefs, html_of
from support.ses import access_key, ses_client
from support.signing import is_good

HTML = '<p>Gr\u00fc\u00dfe <a href="http://a.example/x">x</a></p>'


def sent(service: Service, name: str, message: EmailMessage) -> bytes:
    message.replace_header("From", f"News <news@{name}>")
    # The Maildir has the line ends of this machine; on the wire they are CRLF.
    arrived = service.send(message, sender=f"news@{name}")
    return arrived if b"\r\n" in arrived else arrived.replace(b"\n", b"\r\n")


@pytest.mark.parametrize("cte", ["quoted-printable", "base64", "8bit"])
def test_a_tracked_email_is_signed_after_rewriting(
    service: Service, signing: tuple[str, dict[str, Any]], cte: str
) -> None:
    name, record = signing
    arrived = sent(service, name, email_with(HTML, service.configuration_set(), cte=cte))
    assert PATH in hrefs(html_of(arrived))[0]
    assert arrived.count(b"DKIM-Signature:") == 1
    assert is_good(arrived, record)


def test_an_email_that_is_not_tracked_is_signed_too(
    service: Service, signing: tuple[str, dict[str, Any]]
) -> None:
    name, record = signing
    assert is_good(sent(service, name, email_with(HTML)), record)


def test_date_and_message_id_that_lack_are_there_before_it_is_signed(
    service: Service, signing: tuple[str, dict[str, Any]]
) -> None:
    name, record = signing
    lacking = email_with(HTML, service.configuration_set())
    del lacking["Date"]
    del lacking["Message-ID"]
    arrived = sent(service, name, lacking)
    assert len(re.findall(rb"(?m)^Date: \w{3}, \d", arrived)) == 1
    assert len(re.findall(rb"(?m)^Message-ID: <[^@>]+@%b>" % name.encode(), arrived)) == 1
    assert is_good(arrived, record)
    given = email_with(HTML, service.configuration_set())
    del given["Date"]
    del given["Message-ID"]
    given["Date"] = "Mon, 23 Nov 2026 18:00:00 +0000"
    given["Message-ID"] = "<mine@shop.example>"
    arrived = sent(service, name, given)
    assert re.findall(rb"(?m)^(?:Date|Message-ID):.*\S", arrived) == [
        b"Date: Mon, 23 Nov 2026 18:00:00 +0000",
        b"Message-ID: <mine@shop.example>",
    ]
    assert is_good(arrived, record)


def test_a_signature_that_rewriting_breaks_is_removed_and_said_so(
    service: Service, signing: tuple[str, dict[str, Any]]
) -> None:
    name, record = signing
    tracked = email_with(HTML, service.configuration_set())
    tracked["DKIM-Signature"] = "v=1; a=rsa-sha256; d=other.example; s=s; h=from; bh=x; b=y"
    arrived = sent(service, name, tracked)
    assert b"other.example" not in arrived
    assert is_good(arrived, record)


def test_a_signature_that_still_fits_stays(service: Service) -> None:
    message = email_with(HTML)
    private = dkimkey.generate(1024)
    pem = dkimkey.load(private).private_bytes(*_pem())
    raw = message.as_bytes(policy=email.policy.SMTP)
    headers = [b"from", b"to", b"subject"]
    whole = dkim.sign(raw, b"s", b"example.com", pem, include_headers=headers) + raw
    arrived = service.send(whole)
    arrived = arrived if b"\r\n" in arrived else arrived.replace(b"\n", b"\r\n")
    record = dkimkey.dns_record(private)
    assert dkim.verify(arrived, dnsfunc=lambda *_, **__: record.encode())


def _pem() -> tuple[Any, Any, Any]:
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    return Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()


def test_without_a_key_nothing_is_signed(
    service: Service, signing: tuple[str, dict[str, Any]]
) -> None:
    name, _ = signing
    service.cli("identity", "dkim", "remove", name, "--yes")
    assert b"DKIM-Signature" not in sent(service, name, email_with(HTML))


def test_a_key_that_one_has_is_taken(service: Service, tmp_path: Path) -> None:
    name = f"own-{service.configuration_set(stream=False)}.example"
    service.cli("identity", "create", name)
    private = dkimkey.generate(1024)
    file = tmp_path / "key.pem"
    file.write_bytes(dkimkey.load(private).private_bytes(*_pem()))
    said = service.cli("identity", "dkim", "set", name, "--selector", "mine", "--key", str(file))
    assert f"mine._domainkey.{name}. TXT" in said
    assert dkimkey.dns_record(private) in said
    record = json.loads(service.cli("identity", "dkim", "show", name, "--json"))
    assert is_good(sent(service, name, email_with(HTML)), record)


def test_an_api_client_gives_a_key_and_switches_it_off_and_on(service: Service) -> None:
    ses = ses_client(service, access_key(service, "manage"))
    name = f"api-{service.configuration_set(stream=False)}.example"
    private = dkimkey.generate(1024)
    pem = dkimkey.load(private).private_bytes(*_pem()).decode()
    one_line = "".join(pem.splitlines()[1:-1])
    made = ses.create_email_identity(
        EmailIdentity=name,
        DkimSigningAttributes={
            "DomainSigningSelector": "mine",
            "DomainSigningPrivateKey": one_line,
        },
    )
    assert made["DkimAttributes"]["SigningEnabled"] is True
    shown = ses.get_email_identity(EmailIdentity=name)["DkimAttributes"]
    assert shown["Status"] == "SUCCESS"
    assert shown["SigningAttributesOrigin"] == "EXTERNAL"
    record = json.loads(service.cli("identity", "dkim", "show", name, "--json"))
    assert record["value"] == dkimkey.dns_record(private)
    assert is_good(sent(service, name, email_with(HTML)), record)

    ses.put_email_identity_dkim_attributes(EmailIdentity=name, SigningEnabled=False)
    assert b"DKIM-Signature" not in sent(service, name, email_with(HTML))
    ses.put_email_identity_dkim_attributes(EmailIdentity=name, SigningEnabled=True)
    assert is_good(sent(service, name, email_with(HTML)), record)

    ses.put_email_identity_dkim_signing_attributes(
        EmailIdentity=name,
        SigningAttributesOrigin="AWS_SES",
        SigningAttributes={"NextSigningKeyLength": "RSA_1024_BIT"},
    )
    new = json.loads(service.cli("identity", "dkim", "show", name, "--json"))
    assert new["value"] != record["value"]
    assert is_good(sent(service, name, email_with(HTML)), new)


@pytest.mark.parametrize(
    "attributes",
    [
        {"DomainSigningSelector": "mine", "DomainSigningPrivateKey": "AAAA"},
        {"DomainSigningSelector": "no selector", "DomainSigningPrivateKey": "AAAA"},
        {"DomainSigningPrivateKey": "AAAA"},
        {"NextSigningKeyLength": "RSA_512_BIT"},
    ],
)
def test_a_key_that_cannot_be_makes_no_identity(
    service: Service, attributes: dict[str, str]
) -> None:
    ses = ses_client(service, access_key(service, "manage"), parameter_validation=False)
    name = f"bad-{service.configuration_set(stream=False)}.example"
    with pytest.raises(ses.exceptions.BadRequestException):
        ses.create_email_identity(EmailIdentity=name, DkimSigningAttributes=attributes)
    with pytest.raises(ses.exceptions.NotFoundException):
        ses.get_email_identity(EmailIdentity=name)
