"""Kinds of email that people and programs send, for mail servers to pass on."""

import base64
import quopri
from dataclasses import dataclass

URL = "http://shop.example/offer?a=1&b=ü"
LINK = f'<p>Grüße <a href="{URL.replace("&", "&amp;")}">here</a></p>'
PAGE = f"<html><body>\r\n{LINK}\r\n</body></html>\r\n"
LONG = f"<html><body>{'x ' * 2000}{LINK}{'y' * 3000}</body></html>\r\n"


@dataclass(frozen=True)
class Kind:
    """An email; in ``raw``, ``{set}`` stands for a configuration set that tracks."""

    name: str
    raw: bytes
    sender: str = "news@example.com"
    recipients: tuple[str, ...] = ("reader@gmail.com",)
    options: tuple[str, ...] = ()
    """Of MAIL."""
    rcpt: tuple[str, ...] = ()
    """Options of RCPT."""
    tracked: bool = True
    made: frozenset[str] = frozenset()
    """Headers that the mail server makes of its own (lower case)."""
    broken: bool = False
    """Whether Postfix alone breaks its long lines when it sends it on."""


def head(*more: str, subject: str = "Hello", set_: str = "{set}") -> str:
    """Return a header without the blank line."""
    lines = [
        "From: News <news@example.com>",
        "To: Reader <reader@gmail.com>",
        f"Subject: {subject}",
        "Date: Mon, 23 Nov 2026 18:00:00 +0000",
        "Message-ID: <1@example.com>",
        "MIME-Version: 1.0",
        *([f"X-SES-CONFIGURATION-SET: {set_}"] if set_ else []),
        *more,
    ]
    return "".join(f"{line}\r\n" for line in lines)


def html(
    body: str = PAGE, cte: str = "8bit", charset: str = "utf-8", header: str | None = None
) -> bytes:
    """Return an email of one HTML part."""
    kind = f"Content-Type: text/html; charset={charset}", f"Content-Transfer-Encoding: {cte}"
    top = head(*kind) if header is None else header + "".join(f"{line}\r\n" for line in kind)
    return top.encode() + b"\r\n" + encoded(body.encode(charset, "xmlcharrefreplace"), cte)


def encoded(body: bytes, cte: str) -> bytes:
    if cte == "base64":
        return base64.encodebytes(body).replace(b"\n", b"\r\n")
    if cte == "quoted-printable":
        lines = quopri.encodestring(body.replace(b"\r\n", b"\n"))
        return lines.replace(b"\n", b"\r\n")
    return body


def multipart(kind: str, *parts: bytes, more: str = "") -> bytes:
    top = head(f'Content-Type: multipart/{kind};\r\n\tboundary="=_b"{more}').encode()
    inside = b"".join(b"--=_b\r\n" + part + b"\r\n" for part in parts)
    return top + b"\r\npreamble\r\n" + inside + b"--=_b--\r\nepilogue\r\n"


def part(kind: str, body: str | bytes, cte: str = "8bit", *more: str) -> bytes:
    raw = body if isinstance(body, bytes) else body.encode()
    lines = [f"Content-Type: {kind}", f"Content-Transfer-Encoding: {cte}", *more]
    return "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n" + encoded(raw, cte)


TEXT = part("text/plain; charset=utf-8", f"Grüße {URL}\r\n")
HTML_PART = part("text/html; charset=utf-8", PAGE, "quoted-printable")
PDF = part(
    "application/pdf",
    bytes(range(256)) * 400,
    "base64",
    'Content-Disposition: attachment; filename="a.pdf"',
)
BOUNCE = (
    b"From: MAILER-DAEMON@example.com\r\nTo: news@example.com\r\nSubject: Undelivered\r\n"
    b"Date: Mon, 23 Nov 2026 18:00:00 +0000\r\nMessage-ID: <b@example.com>\r\nMIME-Version: 1.0\r\n"
    b'Content-Type: multipart/report; report-type=delivery-status; boundary="=_r"\r\n\r\n'
    b"--=_r\r\nContent-Type: text/plain\r\n\r\nsorry\r\n--=_r\r\n"
    b"Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; x.example\r\n\r\n"
    b"Final-Recipient: rfc822; a@example.org\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n--=_r--\r\n"
)
EIGHT = ("BODY=8BITMIME",)
PLAIN_HEAD = head("Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: 8bit")

KINDS = [
    Kind("html in 8bit", html(), options=EIGHT),
    Kind("html in quoted-printable", html(cte="quoted-printable")),
    Kind("html in base64", html(cte="base64")),
    Kind("html in 7bit", html(PAGE.replace("ü", "&uuml;").replace("ß", "&szlig;"), "7bit")),
    Kind("html in koi8-r", html(PAGE, "quoted-printable", "koi8-r")),
    Kind("html in windows-1251, base64", html(PAGE, "base64", "windows-1251")),
    Kind("html in iso-8859-1, 8bit", html(PAGE, "8bit", "iso-8859-1"), options=EIGHT),
    Kind("html in utf-16, base64", html(PAGE, "base64", "utf-16")),
    Kind("html of long lines", html(LONG, "8bit"), options=EIGHT, broken=True),
    Kind("html of long lines in quoted-printable", html(LONG, "quoted-printable")),
    Kind("html without a last line end", html(PAGE.rstrip())),
    Kind(
        "html with lines that begin with dots",
        html(f"<p>\r\n.\r\n..\r\n.x {LINK}\r\n.\r\n</p>\r\n"),
    ),
    Kind("alternative", multipart("alternative", TEXT, HTML_PART), options=EIGHT),
    Kind("mixed with an attachment", multipart("mixed", HTML_PART, PDF)),
    Kind(
        "related with a picture",
        multipart(
            "related", HTML_PART, part("image/png", b"\x89PNG" * 999, "base64", "Content-ID: <p@x>")
        ),
    ),
    Kind("two html parts", multipart("mixed", HTML_PART, HTML_PART, TEXT), options=EIGHT),
    Kind(
        "html in an email in an email",
        multipart(
            "mixed",
            HTML_PART,
            b"Content-Type: message/rfc822\r\n\r\n" + html().replace(b"X-SES", b"X-Old"),
        ),
        options=EIGHT,
    ),
    Kind(
        "html and a calendar",
        multipart(
            "alternative", HTML_PART, part("text/calendar; method=REQUEST", "BEGIN:VCALENDAR\r\n")
        ),
    ),
    Kind(
        "plain", PLAIN_HEAD.encode() + f"\r\nGrüße {URL}\r\n".encode(), options=EIGHT, tracked=False
    ),
    Kind("plain with an empty body", PLAIN_HEAD.encode() + b"\r\n", tracked=False),
    Kind(
        "plain with blank lines at its end",
        PLAIN_HEAD.encode() + b"\r\nx\r\n\r\n\r\n",
        tracked=False,
    ),
    Kind("a header and no blank line", PLAIN_HEAD.encode(), tracked=False),
    Kind("html without links", html("<p>nothing</p>\r\n"), tracked=False),
    Kind(
        "two recipients", html(cte="base64"), recipients=("a@gmail.com", "b@mail.ru"), tracked=False
    ),
    Kind("no configuration set", html(header=head(set_=""), cte="base64"), tracked=False),
    Kind(
        "an untracked configuration set",
        html(header=head(set_="plain"), cte="base64"),
        tracked=False,
    ),
    Kind("an encoded configuration set", html(header=head(set_="=?utf-8?q?{set}?="), cte="base64")),
    Kind(
        "message tags, twice",
        html(
            header=head(
                "X-SES-MESSAGE-TAGS: campaign=spring,", "X-Other: 1", "x-ses-message-tags: lang=de"
            ),
            cte="base64",
        ),
    ),
    Kind(
        "control headers among folded ones",
        html(
            header=head(
                "X-Folded: a\r\n\tb\r\n   c", "X-SES-MESSAGE-TAGS: a=b,\r\n c=d", "X-Folded:\r\n d"
            ),
            cte="base64",
        ),
    ),
    Kind(
        "headers with odd white space",
        html(
            header=head("X-Tight:x", "X-Wide:     x   ", "X-Empty:", "X-Tab:\tx", "X-Space :x"),
            cte="base64",
        ),
    ),
    Kind(
        "many headers of one name",
        html(header=head(*(f"X-Same: {number}" for number in range(200))), cte="base64"),
    ),
    Kind(
        "a header of 20 KB",
        html(
            header=head(
                "References: " + "\r\n ".join(f"<{number}@example.com>" for number in range(900))
            ),
            cte="base64",
        ),
    ),
    Kind(
        "a signature of somebody's",
        html(
            header=head(
                "DKIM-Signature: v=1; a=rsa-sha256; d=example.net; s=x;\r\n\th=from; bh=x; b=y"
            ),
            cte="base64",
        ),
    ),
    Kind(
        "8bit in headers",
        html(header=head(subject="Grüße"), cte="8bit"),
        options=(*EIGHT, "SMTPUTF8"),
    ),
    Kind(
        "internationalized addresses",
        html(header=head("Reply-To: пётр@example.com")),
        sender="пётр@example.com",
        recipients=("ελένη@gmail.com",),
        options=(*EIGHT, "SMTPUTF8"),
    ),
    Kind(
        "no Message-ID and no Date",
        html(cte="base64")
        .replace(b"Message-ID: <1@example.com>\r\n", b"")
        .replace(b"Date: Mon, 23 Nov 2026 18:00:00 +0000\r\n", b""),
        made=frozenset({"message-id", "date"}),
    ),
    Kind("a bounce", BOUNCE, sender="", tracked=False),
    Kind("a bounce of html", html(header=head(set_="{set}"), cte="base64"), sender=""),
    Kind(
        "plus and quotes in addresses",
        html(cte="base64"),
        sender="news+1@example.com",
        recipients=('"a b"@gmail.com',),
    ),
    Kind(
        "already passed on ten times",
        b"Received: by x; Mon, 23 Nov 2026 18:00:00 +0000\r\n" * 10 + html(cte="base64"),
    ),
    Kind(
        "5 MB of attachment",
        multipart(
            "mixed", HTML_PART, part("application/zip", bytes(range(256)) * 14_500, "base64")
        ),
    ),
    Kind(
        "1 MB of html", html("<html><body>" + f"{LINK}<p>{'text ' * 90}</p>\r\n" * 1900, "base64")
    ),
    Kind(
        "DSN asked for",
        html(cte="base64"),
        options=("RET=HDRS", "ENVID=QQ314159"),
        rcpt=("NOTIFY=SUCCESS,FAILURE", "ORCPT=rfc822;reader+40gmail.com"),
    ),
    Kind("no DSN ever", html(cte="base64"), rcpt=("NOTIFY=NEVER",)),
]
