"""Emails that real Postfix sends with Clicktrail and without, compared part by part."""

import email
import html
import re
import smtplib
from dataclasses import dataclass
from email.message import Message

from clicktrail.keys.ringfile import KeyFile
from postfix.kinds_of_email import KINDS, Kind
from support.postfix import Arrived, Postfix, Sink
from support.service import Service

LINK = re.compile(r"https?://[^/\"]+/c/([A-Za-z0-9_-]+)")
CONTROL = ("x-ses-configuration-set", "x-ses-message-tags", "x-mark")
Part = tuple[str, list[tuple[str, str]], str | None, str | None, str | None]


@dataclass(frozen=True)
class House:
    """A Postfix around a milter, and what is behind it."""

    service: Service
    postfix: Postfix
    sink: Sink
    tracking: str
    """A configuration set that tracks."""

    def hand_in(self, kind: Kind, mark: str, port: int) -> None:
        """Send an email to Postfix by SMTP."""
        raw = f"X-Mark: {mark}\r\n".encode() + kind.raw.replace(b"{set}", self.tracking.encode())
        with self.postfix.client(port) as client:
            client.command_encoding = "utf-8"
            said = client.mail(kind.sender, [*kind.options])
            assert said[0] == 250, said
            for recipient in kind.recipients:
                said = client.docmd("RCPT", " ".join([f"TO:<{recipient}>", *kind.rcpt]))
                assert said[0] == 250, said
            code, text = client.data(raw)
            if code != 250:
                raise smtplib.SMTPDataError(code, text)

    def passed(self, kind: Kind, mark: str, port: int) -> Arrived:
        """Send an email; return it as it arrived."""
        self.hand_in(kind, mark, port)
        return self.sink.arrived(f"X-Mark: {mark}\r\n".encode())

    def check(
        self, kind: Kind, port: int, *, relayed: bool = False, before_us: bool = False
    ) -> None:
        """Send an email with Clicktrail and without: it arrives once, with other links alone.

        With ``relayed`` it has more trace headers than without Clicktrail. With ``before_us``
        Postfix has sent it before Clicktrail sees it, and broken its long lines.
        """
        mark = f"{KINDS.index(kind)}-"
        alone = self.passed(kind, mark + "alone", self.postfix.alone)
        got = self.passed(kind, mark + "tracked", port)
        assert (got.sender, got.recipients) == (alone.sender, alone.recipients)
        assert [o for o in got.options if not o.startswith("SIZE")] == [
            o for o in alone.options if not o.startswith("SIZE")
        ]
        keys = KeyFile(self.service.data / "keys.json")
        before, _ = parts_of(kind.raw if kind.broken and not before_us else alone.content, keys)
        after, links = parts_of(got.content, keys)
        assert after == before
        assert bool(links) == kind.tracked
        headers, given = header_of(got.content), header_of(alone.content)
        if relayed:
            headers, given = without(headers, {"received"}), without(given, {"received"})
        if kind.made:
            assert names(headers) == names(given)
            headers, given = without(headers, kind.made), without(given, kind.made)
        if kind.tracked:
            changes = {"content-transfer-encoding", "dkim-signature"}
            headers, given = without(headers, changes), without(given, changes)
            assert b"dkim-signature" not in got.content.lower()
        else:
            assert got.content.partition(b"\r\n\r\n")[2] == alone.content.partition(b"\r\n\r\n")[2]
        assert headers == given
        assert len(self.sink.marked(f"X-Mark: {mark}tracked\r\n".encode())) == 1


def header_of(raw: bytes) -> list[bytes]:
    """Return the headers, without Postfix's own and those that are for us."""
    header = raw.partition(b"\r\n\r\n")[0] if b"\r\n\r\n" in raw else raw
    fields = re.findall(rb"[^\r\n]*(?:\r\n[ \t][^\r\n]*)*(?:\r\n|\Z)", header + b"\r\n")
    found = [each for each in fields if each.strip()]
    assert found[0].startswith(b"Received: from ")
    return [f for f in found[1:] if f.partition(b":")[0].strip().decode().lower() not in CONTROL]


def parts_of(raw: bytes, keys: KeyFile) -> tuple[list[Part], int]:
    """Return the parts of an email, with the links as they were, and how many were replaced."""
    found: list[Part] = []
    number = 0

    def original(link: re.Match[str]) -> str:
        nonlocal number
        number += 1
        return keys.open(link[1]).url

    for each in email.message_from_bytes(raw).walk():
        headers = [(name, str(value)) for name, value in each.items()]
        payload = None if each.is_multipart() else str(each.get_payload())
        if each.get_content_type() == "text/html":
            payload = LINK.sub(original, html.unescape(text_of(each)))
            headers = [h for h in headers if h[0].lower() != "content-transfer-encoding"]
        found.append((each.get_content_type(), headers, payload, each.preamble, each.epilogue))
    top = found[0]
    found[0] = (top[0], [], *top[2:])  # they are looked at byte by byte
    return found, number


def text_of(each: Message) -> str:
    payload = each.get_payload(decode=True)
    assert isinstance(payload, bytes)
    text = payload.decode(each.get_content_charset("utf-8"))
    # What is sent in 8bit with long lines may come with others in quoted-printable.
    return text.replace("\r\n", "\n").rstrip("\n")


def names(headers: list[bytes]) -> list[str]:
    return [each.partition(b":")[0].strip().decode().lower() for each in headers]


def without(headers: list[bytes], some: set[str] | frozenset[str]) -> list[bytes]:
    return [each for each, name in zip(headers, names(headers), strict=True) if name not in some]
