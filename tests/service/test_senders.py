"""Nobody sends in a name that a receiver may read and that belongs to no identity."""

import smtplib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from support.command_line import invoke
from support.service import Service
from support.ses import access_key, ses_client

OURS = b"From: News <news@example.com>\r\n"
STRANGE = b"ceo@other.org"
BODY = b"To: b@example.org\r\nSubject: x\r\n\r\ntext\r\n"

REFUSED = {
    "white space before the colon, first": b"From : " + STRANGE + b"\r\n" + OURS,
    "white space before the colon, alone": b"From : " + STRANGE + b"\r\n",
    "a tab before the colon": OURS + b"From\t: " + STRANGE + b"\r\n",
    "capitals": OURS + b"FROM: " + STRANGE + b"\r\n",
    "like the line of a mailbox file": b"From \x0b: " + STRANGE + b"\r\n" + OURS,
    "behind the line of a mailbox file": b"From x Mon Nov 23 18:00:00 2026\r\nFrom: " + STRANGE,
    "no From": b"X-From: x\r\n",
    "an empty From": b"From: \r\n",
    "an empty From and ours": b"From: \r\n" + OURS,
    "several From": OURS + b"From: " + STRANGE + b"\r\n",
    "several From, one cannot be read": OURS + b"From: <" + STRANGE + b"\r\n",
    "behind a line without colon": OURS + b"nonsense\r\nFrom: " + STRANGE + b"\r\n",
    "in a line behind a lone CR": OURS + b"X: y\rFrom: " + STRANGE + b"\r\n",
    "a name with NUL": OURS + b"From\0: " + STRANGE + b"\r\n",
    "a byte order mark": b"\xef\xbb\xbfFrom: " + STRANGE + b"\r\n" + OURS,
    "a fold first": b" From: " + STRANGE + b"\r\n" + OURS,
    "folded before the colon": OURS + b"From\r\n : " + STRANGE + b"\r\n",
    "a value with NUL": b"From: " + STRANGE + b"\0 <news@example.com>\r\n",
    "two mailboxes": b"From: news@example.com, " + STRANGE + b"\r\n",
    "two mailboxes without comma": b"From: <news@example.com> <" + STRANGE + b">\r\n",
    "a group": b"From: x: news@example.com, " + STRANGE + b";\r\n",
    "an empty group": b"From: x:;\r\n",
    "a route": b"From: <@other.org:news@example.com>\r\n",
    "a name without quotes": b"From: " + STRANGE + b" <news@example.com>\r\n",
    "a comment": b"From: (" + STRANGE + b") news@example.com\r\n",
    "a comment within": b"From: ceo(x)@other.org\r\n",
    "a comment that hides": b"From: " + STRANGE + b" (@example.com\r\n",
    "a quoted local part": b'From: "' + STRANGE + b'"@example.com\r\n',
    "quotes before a bracket": b'From: "' + STRANGE + b'"[ <news@example.com>\r\n',
    "a bracket before quotes": b'From: [x] "' + STRANGE + b'" <news@example.com>\r\n',
    "white space in a domain": b"From: x@example.com munity <news@example.com>\r\n",
    "a comment in a domain": b"From: x@example.com(c)munity <news@example.com>\r\n",
    "encoded white space": b"From: =?utf-8?q?x=40example.com_munity?= <news@example.com>\r\n",
    "white space of Unicode": b"From: news@example.com\xc2\x85\r\n",
    "a wide sign": b"From: ceo\xef\xbc\xa0other.org@example.com\r\n",
    "an escape": b"From: ceo\\@other.org@example.com\r\n",
    "two signs": b"From: " + STRANGE + b"@example.com\r\n",
    "encoded words in the address": b"From: =?utf-8?q?ceo=40other=2Eorg=00?=@example.com\r\n",
    "encoded words in the name": b"From: =?utf-8?q?ceo=40other=2Eorg?= <news@example.com>\r\n",
    "comments in comments": b"From: news@example.com " + b"(" * 10_000 + b"\r\n",
    "Sender": OURS + b"Sender: " + STRANGE + b"\r\n",
    "Resent-From": OURS + b"Resent-From: " + STRANGE + b"\r\n",
    "Resent-Sender": OURS + b"Resent-Sender: " + STRANGE + b"\r\n",
}
REFUSED_BY_SMTP = {
    "an end that some do not see": OURS + b"X: y\n\r\nFrom: " + STRANGE + b"\r\n",
    "another such end": OURS + b"X: y\n\nFrom: " + STRANGE + b"\r\n",
}
TAKEN = {
    "a name": OURS,
    "white space before the colon": b"From : news@example.com\r\n",
    "a subdomain": b"From: News <x@mail.EXAMPLE.com>\r\nSender: y@example.com\r\n",
    "a comment": b"From: news@example.com (News (of (the (day))))\r\n",
    "deep comments": b"From: news@example.com " + b"(" * 5_000 + b")" * 5_000 + b"\r\n",
    "a quoted name": b'From: "' + STRANGE + b' via us" <news@example.com>\r\n',
    "8-bit names": b"From: N\xe9ws <news@example.com>\r\n",
    "the line of a mailbox file": b"From x Mon Nov 23 18:00:00 2026\r\n" + OURS,
    "several From": OURS + b"From: info@example.com\r\n",
}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder: Path = tmp_path_factory.mktemp("guarded")
    with Service(folder) as service:
        service.cli("identity", "create", "example.com")
        yield service


@pytest.fixture(scope="module")
def ses(guarded: Service) -> Iterator[Any]:
    client = ses_client(guarded, access_key(guarded, "send"))
    yield client
    client.close()


def submit(service: Service, message: bytes, sender: str = "news@example.com") -> None:
    with smtplib.SMTP("127.0.0.1", service.smtp) as client:
        client.sendmail(sender, ["b@example.org"], message)


@pytest.mark.parametrize("name", [*REFUSED, *REFUSED_BY_SMTP])
def test_smtp_refuses_a_sender_that_is_none_of_ours(guarded: Service, name: str) -> None:
    header = REFUSED.get(name) or REFUSED_BY_SMTP[name]
    with pytest.raises(smtplib.SMTPDataError) as caught:
        submit(guarded, header + BODY)
    assert caught.value.smtp_code == 553
    assert b"5.7.1 " in bytes(caught.value.smtp_error)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", REFUSED)
def test_the_api_refuses_a_sender_that_is_none_of_ours(
    guarded: Service, ses: Any, name: str
) -> None:
    codes = ("MailFromDomainNotVerifiedException", "MessageRejected", "BadRequestException")
    if name == "no From":
        return  # the API adds it
    with pytest.raises(ClientError) as caught:
        ses.send_email(
            FromEmailAddress="news@example.com",
            Destination={"ToAddresses": ["b@example.org"]},
            Content={"Raw": {"Data": REFUSED[name] + BODY}},
        )
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert caught.value.response["Error"]["Code"] in codes


@pytest.mark.parametrize("name", TAKEN)
def test_what_can_be_read_and_is_ours_is_sent(guarded: Service, name: str) -> None:
    submit(guarded, TAKEN[name] + BODY)
    assert guarded.arrived().endswith(BODY)


@pytest.mark.parametrize("header", [b"From: MAILER-DAEMON@example.com\r\n", b""])
def test_a_bounce_is_sent(guarded: Service, header: bytes) -> None:
    submit(guarded, header + BODY, sender="")
    assert guarded.arrived().endswith(header + BODY)


@pytest.fixture
def restricted(guarded: Service) -> Iterator[str]:
    """A domain, of whose mailboxes two may send; one has an identity of its own."""
    guarded.cli("identity", "create", "few.example")
    guarded.cli("identity", "create", "own@few.example")
    said = guarded.cli("identity", "senders", "few.example", "shop@few.example", "News")
    assert said == "For few.example may send: news, shop.\n"
    yield "few.example"
    guarded.cli("identity", "senders", "few.example", "--all")
    submit(guarded, b"From: other@few.example\r\n" + BODY, sender="other@few.example")
    guarded.arrived()
    for name in ("few.example", "own@few.example"):
        guarded.cli("identity", "delete", name, "--yes")


def test_a_domain_says_which_mailboxes_send(guarded: Service, ses: Any, restricted: str) -> None:
    for mailbox in ("news", "Shop", "own"):
        address = f"{mailbox}@{restricted}"
        submit(guarded, b"From: " + address.encode() + b"\r\n" + BODY, sender=address)
        guarded.arrived()
    for header, sender in (
        (f"From: other@{restricted}", f"news@{restricted}"),
        (f"From: news@{restricted}", f"other@{restricted}"),
        (f"From: news@mail.{restricted}", f"news@{restricted}"),
        (f"From: news@{restricted}\r\nSender: other@{restricted}", f"news@{restricted}"),
    ):
        with pytest.raises(smtplib.SMTPDataError, match="that may send for") as caught:
            submit(guarded, header.encode() + b"\r\n" + BODY, sender=sender)
        assert caught.value.smtp_code == 553
        assert "shop" not in str(caught.value)
    with pytest.raises(ses.exceptions.MessageRejected, match="that may send for"):
        ses.send_email(
            FromEmailAddress=f"other@{restricted}",
            Destination={"ToAddresses": ["b@example.org"]},
            Content={"Simple": {"Subject": {"Data": "x"}, "Body": {"Text": {"Data": "x"}}}},
        )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("few.example",), "or --all"),
        (("few.example", "news", "--all"), "or --all"),
        (("few.example", "a@other.example"), "is no mailbox of few.example"),
        (("few.example", "a b"), "is not an address"),
        (("own@few.example", "news"), "is an address"),
        (("nobodys.example", "news"), "there is no identity"),
    ],
)
def test_what_cannot_be_a_mailbox_of_it_is_refused(
    guarded: Service, restricted: str, words: tuple[str, ...], said: str
) -> None:
    done = invoke(["identity", "senders", *words, "--data", str(guarded.data)])
    assert done.exit_code == 1
    assert said in done.stderr
