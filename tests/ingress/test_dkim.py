"""DKIM signatures: verified by dkimpy, and by hand as RFC 6376 says."""

import base64
import hashlib
import re

import dkim
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from clicktrail.errors import InvalidInput
from clicktrail.ingress.dkim import NotSignable, Signer
from clicktrail.keys import dkim as dkimkey
from clicktrail.keys.vault import KEY_SIZE, Vault
from clicktrail.model import Dkim, Identity

PRIVATE = dkimkey.generate(1024)
VAULT = Vault(bytes(range(KEY_SIZE)))
IDENTITY = Identity("id", "news@example.com")
KEY = Dkim("sel", VAULT.seal(PRIVATE, dkimkey.purpose(IDENTITY.name)), "AWS_SES")
SIGNER = Signer(VAULT)
EMAIL = (
    b"From: News <news@example.com>\r\nTo: a@example.org,\r\n\tb@example.org\r\n"
    b"Subject:  Hello   there \r\nDate: Mon, 23 Nov 2026 10:00:00 +0000\r\n"
    b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Content-Transfer-Encoding: 8bit\r\nX-Other: x\r\n"
    b"\r\nGr\xc3\xbc\xc3\x9fe  \t\r\n\r\n--\r\n\r\n"
)


def record(name: bytes, timeout: int = 5) -> bytes:
    assert name == b"sel._domainkey.example.com."
    return dkimkey.dns_record(PRIVATE).encode()


def signed(message: bytes) -> bytes:
    return SIGNER.signature(message, IDENTITY, KEY) + message


def is_good(message: bytes) -> bool:
    return bool(dkim.verify(message, dnsfunc=record))


def test_a_signature_is_verified_by_another_program_of_the_field() -> None:
    assert is_good(signed(EMAIL))


def test_a_signature_is_verified_by_hand() -> None:
    whole = signed(EMAIL)
    header, _, rest = whole.partition(b"From:")
    value = re.sub(rb"\s+", b" ", header.partition(b":")[2]).strip()
    tags = dict(tag.strip().split(b"=", 1) for tag in value.split(b";"))
    head, _, body = (b"From:" + rest).partition(b"\r\n\r\n")

    # RFC 6376 § 3.4.4: the body, relaxed.
    lines = [re.sub(rb"[ \t]+", b" ", line).rstrip(b" ") for line in body.split(b"\r\n")]
    canonical = b"\r\n".join(lines).rstrip(b"\r\n") + b"\r\n"
    assert base64.b64decode(tags[b"bh"]) == hashlib.sha256(canonical).digest()

    # § 3.4.2 and § 3.7: the headers, the last of a name first, then the signature's own.
    fields = [
        (name.lower(), re.sub(rb"\s+", b" ", text).strip())
        for name, text in (
            line.split(b":", 1) for line in re.sub(rb"\r\n[ \t]", b" ", head).split(b"\r\n")
        )
    ]
    data = b""
    for wanted in tags[b"h"].split(b":"):
        for at in range(len(fields) - 1, -1, -1):
            if fields[at][0] == wanted:
                data += wanted + b":" + fields.pop(at)[1] + b"\r\n"
                break
    data += b"dkim-signature:" + value.rpartition(b"b=")[0] + b"b="
    public = serialization.load_der_public_key(
        base64.b64decode(dkimkey.dns_record(PRIVATE).rpartition("p=")[2])
    )
    assert isinstance(public, rsa.RSAPublicKey)
    signature = base64.b64decode(tags[b"b"].replace(b" ", b""))
    public.verify(signature, data, padding.PKCS1v15(), hashes.SHA256())
    assert (tags[b"d"], tags[b"s"]) == (b"example.com", b"sel")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"Subject:  Hello", b"Subject:  Goodbye"),
        (b"From: News", b"From: Someone <x@evil.example>\r\nFrom: News"),
        (b"To: a@", b"Cc: c@evil.example\r\nTo: a@"),
        (b"\r\n\r\nGr", b"\r\nReply-To: c@evil.example\r\n\r\nGr"),
        (b"\r\n--\r\n", b"\r\n-+\r\n"),
        (b"text/plain", b"text/html"),
    ],
)
def test_a_change_of_what_is_signed_breaks_it(old: bytes, new: bytes) -> None:
    whole = signed(EMAIL)
    assert old in whole
    assert not is_good(whole.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"X-Other: x\r\n", b""),
        (b"Subject:  Hello   there \r\n", b"Subject: Hello\r\n there\r\n"),
        (b"--\r\n\r\n", b"--\r\n\r\n\r\n\r\n"),
    ],
)
def test_what_relays_do_on_the_way_does_not(old: bytes, new: bytes) -> None:
    whole = signed(EMAIL)
    assert old in whole
    assert is_good(b"Received: from a by b; x\r\n" + whole.replace(old, new))


@settings(max_examples=60)
@given(
    subject=st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=300),
    body=st.binary(max_size=300),
    recipients=st.integers(0, 40),
)
def test_any_email_can_be_signed(subject: str, body: bytes, recipients: int) -> None:
    folded = re.sub(r"(.{60}) ", r"\1\r\n ", subject)
    to = ",\r\n ".join(f"r{number}@example.org" for number in range(recipients))
    head = f"From: a@example.com\r\nSubject: {folded.strip()}\r\nTo: {to}\r\n\r\n"
    whole = signed(head.encode() + re.sub(rb"\r?\n|\r", b"\r\n", body))
    assert is_good(whole)
    signature = whole.partition(b"From:")[0]
    assert max(map(len, signature.split(b"\r\n"))) < 998  # RFC 5322 § 2.1.1


@pytest.mark.parametrize("head", [b" folded first\r\n", b"no colon here\r\n"])
def test_a_malformed_header_is_not_signed(head: bytes) -> None:
    with pytest.raises(NotSignable):
        signed(head + EMAIL)


# Keys


def test_a_key_is_read_in_every_form_that_people_have_it() -> None:
    key = dkimkey.load(PRIVATE)
    for form in (serialization.PrivateFormat.TraditionalOpenSSL, serialization.PrivateFormat.PKCS8):
        for encoding in (serialization.Encoding.PEM, serialization.Encoding.DER):
            given = key.private_bytes(encoding, form, serialization.NoEncryption())
            text = given if b"BEGIN" in given else base64.b64encode(given)
            assert dkimkey.read_private(text) == PRIVATE


@pytest.mark.parametrize(
    "text", [b"", b"%%%", b"AAAA", b"-----BEGIN RSA PRIVATE KEY-----\nAAAA\n", b"\xff" * 20]
)
def test_what_is_no_key_is_refused(text: bytes) -> None:
    with pytest.raises(InvalidInput, match="not a private key"):
        dkimkey.read_private(text)


@pytest.mark.parametrize("selector", ["", "a b", "-a", "a.b", "x" * 64, "ü"])
def test_what_is_no_selector_is_refused(selector: str) -> None:
    with pytest.raises(InvalidInput, match="selector"):
        dkimkey.check_selector(selector)


def test_new_selectors_are_selectors_and_differ() -> None:
    made = {dkimkey.check_selector(dkimkey.new_selector()) for _ in range(20)}
    assert len(made) == 20
