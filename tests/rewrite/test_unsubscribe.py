"""The placeholder for the page where somebody unsubscribes: nothing but it changes."""

import email
import email.policy
from email.message import EmailMessage
from random import Random

import pytest

from clicktrail.rewrite.unsubscribe import PLACEHOLDER, with_unsubscribe_url
from links.documents import simple_document
from links.envelopes import plain, random_envelope
from support.rewrite_checks import check_wire

URL = f"https://t.example/u/{'AbC-_1' * 30}"


def email_of(html: str, text: str, cte: str = "quoted-printable") -> EmailMessage:
    message = EmailMessage(policy=email.policy.SMTP)
    message["Subject"] = PLACEHOLDER
    message.set_content(text, cte=cte)
    message.add_alternative(html, subtype="html", cte=cte)
    return message


@pytest.mark.parametrize("cte", ["quoted-printable", "base64", "8bit"])
def test_it_is_filled_in_html_and_in_text_alone(cte: str) -> None:
    shown = f"{'ä' * 60}<a href='{PLACEHOLDER}'>{PLACEHOLDER}</a>{{{{other}}}}"
    message = email_of(shown, f"Off: {PLACEHOLDER}\n", cte)
    message.add_attachment(PLACEHOLDER, subtype="html", filename="x.html")
    raw = message.as_bytes()
    done = email.message_from_bytes(with_unsubscribe_url(raw, URL), policy=email.policy.default)
    assert isinstance(done, EmailMessage)
    html, text = done.get_body(("html",)), done.get_body(("plain",))
    assert html is not None
    assert text is not None
    assert html.get_content().rstrip() == shown.replace(PLACEHOLDER, URL)
    assert text.get_content().rstrip() == f"Off: {URL}"
    [attachment] = done.iter_attachments()
    assert attachment.get_content().rstrip() == PLACEHOLDER
    assert done["Subject"] == PLACEHOLDER


def test_without_it_an_email_stays_the_same_bytes() -> None:
    raw = email_of("<p>x", "x\n").as_bytes()
    assert with_unsubscribe_url(raw, URL) is raw
    for odd in (b"", b"\r\n", b"\xff" * 99, raw[:50], b"Content-Type: multipart/mixed\r\n\r\n--"):
        assert with_unsubscribe_url(odd, URL) == odd


def test_a_signed_email_stays_the_same_bytes() -> None:
    raw = email_of(PLACEHOLDER, "x\n").as_bytes()
    signed = raw.replace(b"multipart/alternative", b"multipart/signed")
    assert with_unsubscribe_url(signed, URL) is signed


def test_it_is_filled_in_emails_of_all_kinds() -> None:
    filled = 0
    for seed in range(400):
        rng = Random(seed)
        text = simple_document(rng)
        for _ in range(rng.randrange(3)):
            place = rng.randrange(len(text) + 1)
            text = text[:place] + PLACEHOLDER + text[place:]
        envelope = random_envelope(rng, text) if seed % 2 else plain(text)
        before = envelope.text_of(envelope.raw)
        done = with_unsubscribe_url(envelope.raw, URL)
        after = envelope.text_of(done)
        assert after in (before.replace(PLACEHOLDER, URL), before), seed
        if done is not envelope.raw:
            check_wire(envelope.raw, done)
        filled += after != before
    assert filled > 150
