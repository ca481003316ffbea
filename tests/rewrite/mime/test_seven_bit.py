"""Emails in 7 bits: whoever reads them sees what was there, and no byte is above 127."""

from dataclasses import dataclass, field
from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import Message
from email.utils import collapse_rfc2231_value

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clicktrail.rewrite.mime.seven_bit import MOST_NESTED, NotConvertible, seven_bit

ENCODINGS = ("", "7bit", "8bit", "Binary", "8BIT (as it is)")


@dataclass
class Node:
    """A part to be written by hand, wrong labels and all."""

    kind: str
    encoding: str
    body: bytes = b""
    children: list["Node"] = field(default_factory=list)
    around: bytes = b""

    def raw(self, path: str = "x") -> bytes:
        """Return it with its header."""
        boundary = f"b{path}"
        kind = self.kind + (f'; boundary="{boundary}"' if self.children_in_parts() else "")
        head = f"Content-Type: {kind}\r\n"
        head += f"Content-Transfer-Encoding: {self.encoding}\r\n" if self.encoding else ""
        return head.encode() + b"\r\n" + self.content(path, boundary.encode())

    def children_in_parts(self) -> bool:
        return self.kind.startswith("multipart/")

    def content(self, path: str, boundary: bytes) -> bytes:
        if self.kind == "message/rfc822":
            return b"Subject: inner\r\n" + self.children[0].raw(f"{path}m")
        if not self.children_in_parts():
            return self.body
        parts = [
            b"\r\n--" + boundary + b"\r\n" + child.raw(f"{path}{place}")
            for place, child in enumerate(self.children)
        ]
        return self.around + b"".join(parts) + b"\r\n--" + boundary + b"--\r\n" + self.around


texts = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=60)
bodies = st.lists(texts, max_size=6).map(lambda lines: "\r\n".join(lines).encode()) | st.binary(
    max_size=200
)
leaves = st.builds(
    Node,
    st.sampled_from(("text/plain", "text/html; charset=utf-8", "image/png")),
    st.sampled_from(ENCODINGS),
    bodies,
)
nodes = st.recursive(
    leaves,
    lambda inner: (
        st.builds(
            Node,
            st.sampled_from(("multipart/mixed", "multipart/alternative")),
            st.sampled_from(("", "8bit", "binary")),
            children=st.lists(inner, min_size=1, max_size=3),
            around=st.sampled_from((b"", b"old reader", "für alte".encode())),
        )
        | st.builds(
            Node,
            st.just("message/rfc822"),
            st.sampled_from(("", "8bit")),
            children=inner.map(lambda n: [n]),
        )
    ),
    max_leaves=6,
)


def said(raw: bytes) -> list[tuple[str, bytes | None]]:
    """Return the types and contents of all parts, as another library reads them."""

    def content(part: Message) -> bytes | None:
        found = part.get_payload(decode=True)
        assert found is None or isinstance(found, bytes)
        return found

    return [(part.get_content_type(), content(part)) for part in message_from_bytes(raw).walk()]


def labels(raw: bytes) -> set[str]:
    """Return the transfer encodings that its parts name."""
    named = [part.get("Content-Transfer-Encoding", "") for part in message_from_bytes(raw).walk()]
    return {name.partition(" ")[0].lower() for name in named}


def is_safe(node: Node) -> bool:
    """Whether its bodies say nothing of structure, so that all libraries see the same."""
    return b"--b" not in node.body and all(map(is_safe, node.children))


@given(nodes.filter(is_safe))
def test_any_structure_says_the_same_in_7_bits(node: Node) -> None:
    raw = b"Subject: x\r\n" + node.raw()
    converted = seven_bit(raw)
    assert converted.isascii()
    assert said(converted) == said(raw)
    assert labels(converted).isdisjoint(("8bit", "binary"))
    assert seven_bit(converted) == converted
    if raw.isascii() and labels(raw).isdisjoint(("8bit", "binary")):
        assert converted == raw


def test_an_email_without_mime_becomes_one_with_it() -> None:
    raw = "Subject: x\r\n\r\nGrüße an alle in dieser Stadt\r\n".encode()
    assert seven_bit(raw) == (
        b"Subject: x\r\nContent-Transfer-Encoding: quoted-printable\r\nMIME-Version: 1.0\r\n\r\n"
        b"Gr=C3=BC=C3=9Fe an alle in dieser Stadt\r\n"
    )


def test_what_is_hardly_ascii_becomes_base64() -> None:
    raw = "MIME-Version: 1.0\r\nContent-Transfer-Encoding: 8bit\r\n\r\nПривет\r\n".encode()
    assert b"Content-Transfer-Encoding: base64\r\n\r\n0J" in seven_bit(raw)


def test_a_label_without_need_goes_and_the_rest_stays() -> None:
    raw = b"MIME-Version: 1.0\r\nContent-Transfer-Encoding: 8bit\r\n\r\nplain = text\r\n"
    assert seven_bit(raw) == raw.replace(b"8bit", b"7bit")


@pytest.mark.parametrize(
    ("encoding", "body", "meant"),
    [
        ("quoted-printable", "=C3=BC ü =", "ü ü"),
        ("base64", "R3LDvMOf\u00a0ZQ==", "Grüße"),
    ],
)
def test_encoded_parts_lose_what_should_not_be_in_them(
    encoding: str, body: str, meant: str
) -> None:
    raw = f"MIME-Version: 1.0\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n{body}\r\n".encode()
    converted = seven_bit(raw)
    assert converted.isascii()
    payload = message_from_bytes(converted).get_payload(decode=True)
    assert isinstance(payload, bytes)
    assert payload.decode().rstrip() == meant


def test_the_header_of_the_email_stays() -> None:
    raw = "Subject: ü\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n".encode()
    raw += b"Content-Disposition: attachment; filename=u\r\n\r\nx\r\n--b--\r\n"
    assert seven_bit(raw) == raw


NAMES = st.text(
    st.characters(exclude_categories=("Cs", "Cc"), exclude_characters='"\\()='), min_size=1
).map(lambda name: f"x{name}x")
PARTS = {
    "a part": "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n{}\r\n\r\nx\r\n--b--\r\n",
    "the email": "Subject: x\r\n{}\r\n\r\nx\r\n",
    "an email in it": "Content-Type: message/rfc822\r\n\r\nSubject: x\r\n{}\r\n\r\nx\r\n",
}


@pytest.mark.parametrize("where", PARTS)
@pytest.mark.parametrize("charset", ["utf-8", "iso-8859-1"])
@given(name=NAMES, note=NAMES)
def test_what_headers_say_of_the_content_is_said_in_7_bits(
    where: str, charset: str, name: str, note: str
) -> None:
    if charset == "iso-8859-1":
        name, note = (f"{text.encode('ascii', 'ignore').decode()}ü" for text in (name, note))
    header = (
        f'Content-Type: image/png; x=y; name="{name}"; (note; z=ü) last="a b"\r\n'
        f"Content-Disposition: attachment;\r\n\tfilename={name.replace(';', '')}\r\n"
        f"Content-Description: {note}"
    )
    converted = seven_bit(PARTS[where].format(header).encode(charset))
    assert converted.isascii()
    *_, part = message_from_bytes(converted).walk()
    assert part.get_content_type() == "image/png"
    found = {key: collapse_rfc2231_value(text) for key, text in part.get_params() or ()}
    if name.isascii():
        assert name in found["name"]
    else:
        assert found | {"image/png": ""} == {"image/png": "", "x": "y", "name": name, "last": "a b"}
    assert part.get_filename() == name.replace(";", "")
    assert str(make_header(decode_header(part["Content-Description"]))) == note
    assert seven_bit(converted) == converted


@pytest.mark.parametrize(
    "header",
    [
        'Content-Type: text/plain; name*0="ü"',
        'Content-Type: text/plain; name="x" ü',
        "Content-Type: text/ü",
        "Content-ID: <ü@x>",
        "Content-Transfer-Encoding: ü",
        "Content-Description: =?utf-8?q?x?= ü",
    ],
)
def test_a_header_that_7_bits_cannot_say_is_named(header: str) -> None:
    with pytest.raises(NotConvertible, match=header.partition(":")[0].title()):
        seven_bit(PARTS["a part"].format(header).encode())


def test_a_name_that_stands_there_twice_stays_once() -> None:
    header = "Content-Disposition: attachment; filename=\"ü\"; filename*=utf-8''%C3%BC"
    converted = seven_bit(PARTS["a part"].format(header).encode())
    assert b"Content-Disposition: attachment;\r\n filename*=utf-8''%C3%BC\r\n" in converted


SIGNED = (
    "Content-Type: multipart/signed; boundary=b\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    "--b\r\nContent-Transfer-Encoding: 8bit\r\n\r\n{}\r\n--b\r\n"
    "Content-Type: application/pgp-signature\r\n\r\nx\r\n--b--\r\n"
)


def test_what_is_signed_stays_or_cannot_be_converted() -> None:
    assert seven_bit(SIGNED.format("x").encode()) == SIGNED.format("x").encode()
    with pytest.raises(NotConvertible, match="signed"):
        seven_bit(SIGNED.format("ü").encode())


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        ("Content-Type: message/partial\r\n\r\nü\r\n", "message/partial"),
        ("Content-Type: message/rfc822\r\n\r\nSubject: ü\r\n\r\nx\r\n", "header"),
        ("Content-Type: message/rfc822\r\n\r\n" * (MOST_NESTED + 2) + "ü", "emails in emails"),
        (
            "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
            "Content-Type: text/plain; charset=utf-8\r\n\r\nü",
            "labelled quoted-printable",
        ),
        ("Content-Type: multipart/mixed; boundary=ü\r\n\r\n--ü\r\n\r\nx\r\n--ü--", "boundary"),
        ("Content-Type: multipart/mixed\r\n\r\nü", "boundary"),
        (
            "Content-Transfer-Encoding: 8bit\r\nContent-Transfer-Encoding: base64\r\n\r\nü",
            "two transfer encodings",
        ),
        ("Content-Transfer-Encoding: x-uuencode\r\n\r\nü", "x-uuencode"),
        ("Content-Transfer-Encoding: base64\r\n\r\nGrüße an alle", "labelled base64"),
        ("Content-Transfer-Encoding: base64\r\n\r\nGrüße1", "labelled base64"),
        ("Content-Transfer-Encoding: base64\r\n\r\nR3LDvA==\r\n--\r\nFür", "labelled base64"),
    ],
)
def test_what_cannot_be_converted_says_why(raw: str, why: str) -> None:
    with pytest.raises(NotConvertible, match=why):
        seven_bit(raw.encode())
