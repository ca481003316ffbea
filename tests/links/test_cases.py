"""Runs every case file; an HTML case in each transfer encoding and several charsets."""

import email
import email.policy
from email.message import Message

import pytest

from clicktrail.rewrite import Policy, Rewritten, rewrite_message
from links.casefile import Case, encode, is_own, load_all, tracking_link

CASES = load_all()
HTML = [case for case in CASES if not case.is_mime]
MIME = [case for case in CASES if case.is_mime]

ENVELOPES = ["utf-8 base64", "utf-8 quoted-printable", "utf-8 8bit", "utf-16-le base64"]


def policy() -> Policy:
    return Policy(link=tracking_link, is_own=is_own)


def check_links(case: Case, result: Rewritten) -> None:
    found = [(link.url, link.tags) for link in result.links]
    assert found == [(link.url, link.tags) for link in case.links]
    assert [link.index for link in result.links] == list(range(len(case.links)))
    assert result.reason in case.reasons
    if case.warnings is not None:
        assert len(result.warnings) == case.warnings, result.warnings


def wrap(text: str, charset: str, encoding: str) -> bytes:
    """Return an email with the text as its HTML part."""
    head = (
        "Subject: a case\r\nMIME-Version: 1.0\r\n"
        f"Content-Type: text/html; charset={charset}\r\n"
        f"Content-Transfer-Encoding: {encoding}\r\n\r\n"
    )
    return head.encode() + encode(text.encode(charset), encoding)


def unwrap(raw: bytes, charset: str) -> str:
    """Return the text of the HTML part."""
    parsed: Message = email.message_from_bytes(raw, policy=email.policy.compat32)
    assert parsed.get_content_type() == "text/html"
    payload = parsed.get_payload(decode=True)
    assert isinstance(payload, bytes)
    return payload.decode(charset)


@pytest.mark.parametrize("envelope", ENVELOPES)
@pytest.mark.parametrize("case", HTML, ids=lambda case: case.name)
def test_html_case(case: Case, envelope: str) -> None:
    charset, encoding = envelope.split()
    raw = wrap(case.html_input, charset, encoding)
    result = rewrite_message(raw, policy())
    assert unwrap(result.message, charset) == case.html_output
    check_links(case, result)
    if result.reason is not None:
        assert result.message == raw
    for link in result.links:
        assert case.html_input[link.offset] == "<", "a link's offset is where its element begins"
        assert link.part == 0


@pytest.mark.parametrize("case", MIME, ids=lambda case: case.name)
def test_mime_case(case: Case) -> None:
    result = rewrite_message(case.raw_input, policy())
    case.check_raw_output(result.message)
    check_links(case, result)
    assert max(map(len, result.message.split(b"\n"))) <= 999  # RFC 5322 § 2.1.1: 998, and the CR


def test_there_are_cases_enough() -> None:
    """A folder that was moved must not look like a suite that passes."""
    assert len(HTML) >= 200
    assert len(MIME) >= 60


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case_tells_the_truth_about_itself(case: Case) -> None:
    """Each link is in the output once, in order, and a case says what it is about."""
    assert case.sections["about"].strip()
    tracked = "\n".join(case.sections["output"].splitlines())
    places = [tracked.find(f"{{{link}}}") for link in range(len(case.links))]
    assert -1 not in places
    assert places == sorted(places)
    assert (case.reasons == (None,)) == bool(case.links)
