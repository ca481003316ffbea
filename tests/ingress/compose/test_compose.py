"""What SendEmail composes, read again by the standard library's parser."""

import re
from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import Message
from email.utils import collapse_rfc2231_value, parseaddr
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clicktrail.errors import InvalidInput
from clicktrail.ingress.compose.compose import Composed
from support.composing import composed, read

LINE = st.text(st.characters(blacklist_categories=("Cc", "Cs", "Zl", "Zp")), max_size=200)
ODD = st.sampled_from(
    [
        " ",
        "  x",
        "x ",
        "=?utf-8?q?a?=",
        "a =?utf-8?b?w6k=?= b",
        "\u2028",
        "a\x85b",
        "\u2029",
        '"',
        "\\",
        "%41",
        "a'b'c",
        "utf-8''%41",
        "a;b=c",
        "\xa0x\xa0",
        "x" * 200,
        "ü " * 100,
        "日本" * 60,
        "😀",
    ]
)
TYPED = st.text(
    st.characters(codec="utf-8", exclude_characters=[*map(chr, range(32)), "\x7f"]),
    max_size=200,
) | st.lists(ODD, max_size=4).map("".join)
LINES = st.lists(LINE.map(lambda line: line.rstrip()), max_size=5).map("\n".join)


def simple(**more: Any) -> dict[str, Any]:
    body = more.pop("Body", {"Text": {"Data": "text"}, "Html": {"Data": "<p>html</p>"}})
    subject = more.pop("Subject", "subject")
    return {
        "FromEmailAddress": "News <news@example.com>",
        "Destination": {"ToAddresses": ["a@example.org"]},
        "Content": {"Simple": {"Subject": {"Data": subject}, "Body": body, **more}},
    }


def raw(data: bytes, **more: Any) -> Composed:
    return composed(Content={"Raw": {"Data": data}}, **more)


def tree(part: Any) -> Any:
    """Return the types of an email's parts."""
    if part.is_multipart():
        return [part.get_content_subtype(), *(tree(each) for each in part.iter_parts())]
    return part.get_content_type()


def attachment(**more: Any) -> dict[str, Any]:
    return {"RawContent": b"data", "FileName": "a.bin", **more}


def test_text_and_html_are_alternatives() -> None:
    made = composed(**simple())
    message = read(made.message)
    assert tree(message) == ["alternative", "text/plain", "text/html"]
    assert made.message.isascii()
    assert made.sender == "news@example.com"
    assert made.recipients == ("a@example.org",)
    assert message["MIME-Version"] == "1.0"
    assert message["Message-ID"].endswith("@example.com>")
    assert message["Date"].datetime is not None
    names = [name.lower() for name, _ in message.items()]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("body", "expected"),
    [({"Text": {"Data": "x"}}, "text/plain"), ({"Html": {"Data": "<p>x"}}, "text/html")],
)
def test_one_of_the_two_stands_alone(body: dict[str, Any], expected: str) -> None:
    assert tree(read(composed(**simple(Body=body)).message)) == expected


def test_pictures_belong_to_the_html_and_attachments_to_the_email() -> None:
    parts = [
        attachment(ContentDisposition="INLINE", ContentId="logo", FileName="l.png"),
        attachment(ContentType="application/pdf; x=y", ContentDescription="Für dich"),
    ]
    both = read(composed(**simple(Attachments=parts)).message)
    assert tree(both) == [
        "mixed",
        ["alternative", "text/plain", ["related", "text/html", "image/png"]],
        "application/pdf",
    ]
    (pdf,) = both.iter_attachments()
    assert pdf["Content-Description"] == "Für dich"
    assert pdf["Content-Type"].params["x"] == "y"
    assert pdf.get_content() == b"data"
    made = composed(**simple(Attachments=parts, Body={"Html": {"Data": "x"}})).message
    assert b'multipart/related; type="text/html"; boundary' in made
    only_html = read(made)
    assert tree(only_html) == ["mixed", ["related", "text/html", "image/png"], "application/pdf"]
    only_text = read(composed(**simple(Attachments=parts, Body={"Text": {"Data": "x"}})).message)
    assert tree(only_text) == ["mixed", "text/plain", "image/png", "application/pdf"]


@pytest.mark.parametrize("given", ["logo", "<logo@example.com>", "x" * 78, f"<{'x' * 76}>"])
def test_a_content_id_is_what_the_html_refers_to(given: str) -> None:
    part = attachment(ContentDisposition="INLINE", ContentId=given)
    made = composed(**simple(Attachments=[part], Body={"Html": {"Data": "x"}})).message
    assert f"\r\nContent-ID: <{given.strip('<>')}>\r\n".encode() in made


@pytest.mark.parametrize("encoding", ["BASE64", "QUOTED_PRINTABLE", "SEVEN_BIT", None])
def test_attachments_arrive_in_the_encoding_asked_for(encoding: str | None) -> None:
    data = b"line = 1\r\nline 2\r\n"
    part = attachment(RawContent=data, ContentTransferEncoding=encoding, ContentType="text/x-y")
    (found,) = read(composed(**simple(Attachments=[part])).message).iter_attachments()
    expected = {"QUOTED_PRINTABLE": "quoted-printable", "SEVEN_BIT": "7bit"}
    assert found["Content-Transfer-Encoding"] == expected.get(encoding or "", "base64")
    assert found.get_payload(decode=True) == data


def test_an_attached_email_stays_one_where_it_may() -> None:
    inner = b"Subject: inner\r\n\r\nbody\r\n"
    for data, expected in ((inner, "message/rfc822"), (b"\xff\r\n", "application/octet-stream")):
        part = attachment(RawContent=data, ContentType="message/rfc822", FileName="m.eml")
        message = read(composed(**simple(Attachments=[part])).message)
        assert [p.get_content_type() for p in message.iter_attachments()] == [expected]


def decoded(text: str) -> str:
    """Return a text of a header as it is shown."""
    return str(make_header(decode_header(text)))


@settings(max_examples=80)
@given(subject=TYPED, header=TYPED, file_name=TYPED, description=TYPED, name=TYPED, key=TYPED)
def test_texts_of_headers_arrive_character_by_character(
    subject: str, header: str, file_name: str, description: str, name: str, key: str
) -> None:
    key = key[:5]
    part = attachment(
        FileName=file_name[:255],
        ContentDescription=description,
        ContentType=f"a/b; key*=utf-8''{quote(key, safe='')}",
    )
    body = simple(
        Subject=subject, Headers=[{"Name": "X-Mine", "Value": header}], Attachments=[part]
    )
    shown = name.replace("=?", "") and f"x{name.replace('=?', '')}x"
    quoted = shown.replace("\\", "\\\\").replace('"', '\\"')
    body["FromEmailAddress"] = f'"{quoted}" <news@example.com>'
    made = composed(**body).message
    assert made.isascii()
    assert max(map(len, made.split(b"\r\n"))) <= 998
    message = message_from_bytes(made)  # by the reader of old: the new one changes texts
    assert decoded(message["Subject"]) == subject
    assert decoded(message["X-Mine"]) == header
    assert decoded(parseaddr(message["From"])[0]) == shown
    sent = message.get_payload()[1]  # type: ignore[index]
    assert isinstance(sent, Message)
    assert decoded(sent["Content-Description"] or "") == description
    arrived = collapse_rfc2231_value(sent.get_param("filename", "", "content-disposition") or "")
    assert arrived == file_name[:255]
    assert collapse_rfc2231_value(sent.get_param("key") or "") == key
    # Many readers decode words here too, and strip what is between quotes.
    for word in re.findall(r'filename="(.*)"', sent["Content-Disposition"]):
        assert decoded(word).strip() == arrived


@settings(max_examples=60)
@given(subject=LINE, text=LINES, html=LINES, file_name=LINE, header=LINE)
def test_texts_arrive_as_they_were_given(
    subject: str, text: str, html: str, file_name: str, header: str
) -> None:
    made = composed(
        **simple(
            Subject=subject,
            Body={"Text": {"Data": text}, "Html": {"Data": html}},
            Headers=[{"Name": "X-Mine", "Value": header}],
            Attachments=[attachment(FileName=file_name)],
        )
    )
    message = read(made.message)
    for name, given_text in (("Subject", subject), ("X-Mine", header)):
        assert "".join(str(message[name]).split()) == "".join(given_text.split()), name
    for kind, given_text in (("plain", text), ("html", html)):
        part = message.get_body((kind,))
        assert part is not None
        found = part.get_content().replace("\r\n", "\n")
        assert found.splitlines() == given_text.splitlines() or found.rstrip("\n") == given_text
    (found_part,) = message.iter_attachments()
    assert "".join((found_part.get_filename() or "").split()) == "".join(file_name.split())


@settings(max_examples=100)
@given(st.sampled_from(["from", "to", "subject", "header", "file", "cid", "type"]), st.text())
def test_no_text_begins_a_header_of_its_own(where: str, text: str) -> None:
    evil = f"{text}\r\nX-Evil: yes"
    body = simple(
        Subject=evil if where == "subject" else "s",
        Headers=[{"Name": "X-Mine", "Value": evil if where == "header" else "v"}],
        Attachments=[
            attachment(
                FileName=evil if where == "file" else "f",
                ContentId=evil if where == "cid" else "c",
                ContentType=f"text/plain; x={evil}" if where == "type" else "text/plain",
            )
        ],
    )
    if where == "from":
        body["FromEmailAddress"] = f"{evil} <news@example.com>"
    if where == "to":
        body["Destination"]["ToAddresses"] = [f"{evil} <a@example.com>"]
    with pytest.raises((InvalidInput, msgspec.DecodeError, UnicodeEncodeError)):
        composed(**body)


@pytest.mark.parametrize(
    "charset", [*"utf-8 ISO-8859-1 windows-1252 utf-16 idna unicode_escape".split()]
)
def test_texts_are_sent_in_their_charset_where_mail_programs_read_it(charset: str) -> None:
    given_text = {"Data": "Größe\n", "Charset": charset}
    message = read(composed(**simple(Body={"Text": given_text})).message)
    expected = charset.lower() if charset in ("ISO-8859-1", "windows-1252") else "utf-8"
    assert message.get_content_charset() == expected
    assert message.get_content().rstrip() == "Größe"


def test_all_addresses_get_the_email_once_and_bcc_is_not_shown() -> None:
    body = simple()
    body["Destination"] = {
        "ToAddresses": ["A <a@example.org>", "b@example.org"],
        "CcAddresses": ["c@example.org"],
        "BccAddresses": ["d@example.org", "a@EXAMPLE.org"],
    }
    body["FeedbackForwardingEmailAddress"] = "bounces@example.com"
    made = composed(**body)
    assert sorted(a.lower() for a in made.recipients) == [f"{x}@example.org" for x in "abcd"]
    assert made.sender == "bounces@example.com"
    message = read(made.message)
    assert message["To"] == "A <a@example.org>, b@example.org"
    assert message["Cc"] == "c@example.org"
    assert b"d@example.org" not in made.message


RAW = b"From: R <r@example.com>\nTo: A <a@example.org>, b@example.org\nBcc: c@example.org\n"


def test_a_raw_email_goes_to_whom_it_names() -> None:
    made = raw(RAW + b"\nbody\n")
    assert made.sender == "r@example.com"
    assert made.recipients == ("a@example.org", "b@example.org", "c@example.org")
    message = read(made.message)
    assert message["Bcc"] is None
    assert message["Date"].datetime is not None
    assert message["Message-ID"].endswith("@example.com>")
    assert message["From"] == "R <r@example.com>"


def test_what_the_request_says_wins_over_a_raw_email() -> None:
    made = raw(
        RAW + b"Date: Thu, 27 Jun 2024 14:05:45 +0000\nMessage-ID: <mine@x>\n\nbody\n",
        FromEmailAddress="bounce@example.com",
        Destination={"ToAddresses": ["x@example.org"]},
    )
    assert (made.sender, made.recipients) == ("bounce@example.com", ("x@example.org",))
    message = read(made.message)
    assert message["From"] == "R <r@example.com>"
    assert message["Message-ID"] == "<mine@x>"
    assert message.get_all("Date") == ["Thu, 27 Jun 2024 14:05:45 +0000"]
    without_from = raw(b"To: a@example.org\n\nx", FromEmailAddress="N <n@example.com>")
    assert read(without_from.message)["From"] == "N <n@example.com>"


def test_the_bytes_of_a_raw_email_stay_but_for_line_ends() -> None:
    body = b"8bit \xff\xfe\n\r\nNUL \0 dot\n.\n"
    made = raw(RAW + b"\n" + body)
    assert made.message.endswith(b"\r\n\r\n8bit \xff\xfe\r\n\r\nNUL \0 dot\r\n.\r\n")


def test_the_first_line_of_a_mailbox_file_is_left_out() -> None:
    made = raw(b"From someone Thu Jan  1 00:00:00 1970\n" + RAW + b"\nbody\n")
    assert made.sender == "r@example.com"
    assert read(made.message)["From"] == "R <r@example.com>"


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "begins with headers"),
        (b"\nbody", "begins with headers"),
        (b"To: a@example.org\n\nx", "FromEmailAddress"),
        (b"From: a@example.org\n\nx", "at least one recipient"),
        (b"From: a@example.org\nTo: nonsense\n\nx", "Data: To: 'nonsense' is no address"),
        (b"From: a@example.org\nTo: " + b"a@b.c, " * 50 + b"a@b.c\n\nx", "exceeds 50"),
    ],
)
def test_a_raw_email_that_cannot_be_sent_is_refused(data: bytes, what: str) -> None:
    with pytest.raises(InvalidInput, match=what):
        raw(data)


def test_an_email_may_have_as_many_bytes_as_the_limit_says() -> None:
    head = b"From: a@example.org\r\nTo: a@b.c\r\nDate: x\r\nMessage-ID: <x@y>\r\n\r\n"
    data = head + b"x" * (500 - len(head) - 2) + b"\r\n"
    content = {"Raw": {"Data": data}}
    assert composed(most=500, Content=content).message == data
    with pytest.raises(InvalidInput, match="Message length is more than 499 bytes long: '500'"):
        composed(most=499, Content=content)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"Body": {}}, "Body"),
        ({"Headers": [{"Name": "Content-Type", "Value": "x"}]}, "Content-Type cannot"),
        ({"Headers": [{"Name": "BCC", "Value": "x"}]}, "BCC cannot"),
        ({"Headers": [{"Name": "a b", "Value": "x"}]}, "not the name"),
        ({"Headers": [{"Name": "", "Value": "x"}]}, "not the name"),
        ({"Attachments": [attachment(ContentType="multipart/mixed")]}, "multipart/mixed"),
        ({"Attachments": [attachment(ContentType="nothing")]}, "ContentType"),
        (
            {"Attachments": [attachment(RawContent=b"\xff", ContentTransferEncoding="SEVEN_BIT")]},
            "SEVEN_BIT",
        ),
        *(
            ({"Attachments": [attachment(**{name: f"a{end}b"})]}, "line breaks")
            for name in ("FileName", "ContentId", "ContentDescription", "ContentType")
            for end in ("\n", "\x0b", "\x1c")
        ),
        *(
            ({"Attachments": [attachment(ContentType=f"a/b; x*=utf-8''{end}X: y")]}, "line breaks")
            for end in ("%0d%0a", "%0b")
        ),
        *(
            ({"Attachments": [attachment(ContentId=wrong)]}, "ContentId is no message id")
            for wrong in ("é@x", "a>b", "<a<b>")
        ),
        ({"Body": {"Text": {"Data": "ü", "Charset": "us-ascii"}}}, "cannot hold"),
        ({"Body": {"Text": {"Data": "x", "Charset": "no-such"}}}, "not known"),
        ({"Body": {"Text": {"Data": "x", "Charset": "utf-8\n"}}}, "not known"),
    ],
)
def test_what_cannot_be_composed_is_refused_by_name(change: dict[str, Any], what: str) -> None:
    with pytest.raises(InvalidInput, match=what):
        composed(**simple(**change))


def test_more_than_one_content_is_refused() -> None:
    body = simple()
    body["Content"]["Raw"] = {"Data": RAW}
    with pytest.raises(InvalidInput, match="exactly one"):
        composed(**body)
