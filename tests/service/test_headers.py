"""Header fields as today's programs write them, and as nobody should."""

import email.policy
import smtplib
from typing import Any

import pytest
from botocore.exceptions import ClientError

from support import forked
from support.service import Service, email_with, hrefs, html_of

LINK = '<a href="http://a.example/">x</a>'
LONG_TAGS = ", ".join(f"campaign{n}=summer-sale-of-{n}" for n in range(9))


def clicked(service: Service, name: str, arrived: bytes) -> dict[str, Any]:
    """Click the link of an email; return the event."""
    [link] = hrefs(html_of(arrived))
    assert service.request(link).status == 302
    [event] = service.wait_for_events(name, 1)
    return event


def test_control_headers_that_python_writes_in_encoded_words_are_read(service: Service) -> None:
    name = "configuration-set-with-a-name-so-long-that-it-is-encoded"
    service.cli("configuration-set", "create", name)
    service.cli("event-destination", "add", name, "d", "--stream", name, "--type", "CLICK")
    message = email_with(LINK, name, cte="7bit")
    message["X-SES-MESSAGE-TAGS"] = LONG_TAGS.replace(" ", "")
    raw = message.as_bytes(policy=email.policy.SMTP.clone(max_line_length=40))
    assert b"X-SES-MESSAGE-TAGS: =?utf-8?" in raw
    assert b"X-SES-CONFIGURATION-SET:" in raw
    assert name.encode() not in raw
    arrived = service.send(raw)
    assert b"x-ses-" not in arrived.lower()
    tags = clicked(service, name, arrived)["mail"]["tags"]
    assert {f"campaign{n}": [f"summer-sale-of-{n}"] for n in range(9)}.items() <= tags.items()


def test_a_list_unsubscribe_in_encoded_words_is_warned_of(service: Service) -> None:
    message = email_with(LINK)
    message["List-Unsubscribe"] = f"<https://example.com/unsubscribe?who={'a' * 80}>"
    for policy, warned in (
        (email.policy.SMTP, True),
        (email.policy.SMTP.clone(max_line_length=998), False),
    ):
        raw = message.as_bytes(policy=policy)
        assert (b"List-Unsubscribe: =?utf-8?" in raw) == warned
        made = forked.run(service.command("rewrite", "--report"), given=raw)
        assert made.returncode == 0
        assert ("Warning: unsubscribe: List-Unsubscribe" in made.stderr) == warned


def test_tags_of_ses_are_taken(service: Service, ses: Any) -> None:
    name = service.configuration_set()
    given = {f"ses:feedback-id-{letter}": f"value-{letter}" for letter in "abcd"}
    ses.send_email(
        FromEmailAddress="news@example.com",
        Destination={"ToAddresses": ["reader@example.org"]},
        Content={"Simple": {"Subject": {"Data": "Hi"}, "Body": {"Html": {"Data": LINK}}}},
        ConfigurationSetName=name,
        EmailTags=[{"Name": tag, "Value": value} for tag, value in given.items()],
    )
    tags = clicked(service, name, service.arrived())["mail"]["tags"]
    assert {tag: [value] for tag, value in given.items()}.items() <= tags.items()

    by_header = service.configuration_set()
    message = email_with(LINK, by_header)
    message["X-SES-MESSAGE-TAGS"] = "ses:feedback-id-a=week47"
    tags = clicked(service, by_header, service.send(message))["mail"]["tags"]
    assert tags["ses:feedback-id-a"] == ["week47"]


@pytest.mark.parametrize("name", ["ses:feedback-id-e", "ses:source-ip", "a b"])
def test_other_names_are_refused(ses: Any, name: str) -> None:
    with pytest.raises(ClientError) as caught:
        ses.send_email(
            FromEmailAddress="news@example.com",
            Destination={"ToAddresses": ["reader@example.org"]},
            Content={"Simple": {"Subject": {"Data": "Hi"}, "Body": {"Html": {"Data": LINK}}}},
            EmailTags=[{"Name": name, "Value": "x"}],
        )
    assert caught.value.response["Error"]["Code"] == "BadRequestException"


WORDS = b"=?utf-8?q?a=C3=A9?= "
NASTY = {
    "many encoded words": b"Subject: " + WORDS * 12_000,
    "a charset that is slow": b"Subject: =?punycode?q?" + b"a" * 200_000 + b"?=",
    "a charset that cannot replace": b"Subject: =?idna?q?" + b"a=FF" * 100 + b"?=",
    "addresses without end": b"To: " + b"a" * 200_000,
    "comments in comments": b"Sender: a@example.com " + b"(" * 100_000 + b")" * 100_000,
    "open comments": b"To: " + b"(" * 200_000,
    "escapes": b'Cc: "' + b'\\"' * 100_000,
    "parameters": b"Content-Language: x" + b"; a*0*=%41" * 20_000,
}


@pytest.mark.parametrize("name", NASTY)
def test_a_nasty_header_holds_up_nothing(service: Service, name: str) -> None:
    """It goes on, is found, and its click is told; the limit of time is the tests' own."""
    set_name = service.configuration_set()
    raw = b"X-SES-CONFIGURATION-SET: " + set_name.encode() + b"\r\n" + NASTY[name] + b"\r\n"
    raw += b"From: news@example.com\r\nContent-Type: text/html\r\n\r\n" + LINK.encode() + b"\r\n"
    event = clicked(service, set_name, service.send(raw))
    assert event["click"]["url"] == "http://a.example/"


def test_a_nasty_content_type_holds_up_nothing(service: Service) -> None:
    set_name = service.configuration_set()
    for piece in (b'; a="', b"; a*0*=%41", b"(", b";", b'\\"'):
        raw = b"X-SES-CONFIGURATION-SET: " + set_name.encode() + b"\r\nContent-Type: text/html; a="
        raw += piece * (200_000 // len(piece)) + b"\r\n\r\n" + LINK.encode() + b"\r\n"
        assert b"/c/" in service.send(raw)


def test_comments_in_comments_are_an_error_of_the_sender(service: Service, ses: Any) -> None:
    deep = "(" * 20_000
    for raw in (f"From: {deep}\r\nTo: a@b.c\r\n\r\nx", f"From: a@b.c\r\nTo: {deep}\r\n\r\nx"):
        with pytest.raises(ClientError) as caught:
            ses.send_email(Content={"Raw": {"Data": raw.encode()}})
        assert caught.value.response["Error"]["Code"] == "BadRequestException"
    attachment = {"RawContent": b"x", "FileName": "a.txt", "ContentType": f"text/plain {deep}"}
    content = {
        "Subject": {"Data": "x"},
        "Body": {"Text": {"Data": "x"}},
        "Attachments": [attachment],
    }
    with pytest.raises(ClientError) as caught:
        ses.send_email(
            FromEmailAddress="news@example.com",
            Destination={"ToAddresses": ["reader@example.org"]},
            Content={"Simple": content},
        )
    assert caught.value.response["Error"]["Code"] == "BadRequestException"


def test_a_header_that_is_too_long_is_refused_for_good(service: Service) -> None:
    with pytest.raises(smtplib.SMTPDataError) as caught:
        service.send(b"A: b\r\n" * 50_000 + b"\r\nx\r\n")
    assert caught.value.smtp_code == 552
