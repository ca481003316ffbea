"""An email in 7 bits, for servers that do not offer 8BITMIME (RFC 6152 § 3).

Whoever hands an email to such a server must convert it. That breaks a DKIM signature, so it is
done before one is made (RFC 6376 § 5.3). The header of the email stays, but for what it says of the
content: 8BITMIME is about bodies. Those of parts stand in one. No byte of the content is lost: what
cannot be said in 7 bits is refused.
"""

import re

import pybase64

from clicktrail.headers.fields import FIELD, unfolded
from clicktrail.headers.parameters import in_ascii
from clicktrail.headers.words import encoded_words
from clicktrail.rewrite.mime import quoted
from clicktrail.rewrite.mime.body import is_long
from clicktrail.rewrite.mime.quoted import Edit, apply
from clicktrail.rewrite.mime.structure import Part, Unparsable, entities_of

MOST_NESTED = 20
"""Emails within emails that are looked into."""

_NEWLINE = b"\r\n"  # RFC 5321 § 2.3.8
_EIGHT = re.compile(rb"[\x80-\xff]+")
_BARE = re.compile(rb"(?<!\r)\n|\r(?!\n)")
_VERSION = re.compile(rb"^mime-version[ \t]*:", re.IGNORECASE | re.MULTILINE)
_LABELS = frozenset(("8bit", "binary"))
_IDENTITY = _LABELS | {"7bit"}
_BASE64 = re.compile(rb"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}(?:==|[A-Za-z0-9+/]=))?")
_NO_TEXTS = frozenset(
    f"content-{name}" for name in ("id", "language", "location", "md5", "transfer-encoding")
)
_SPACES = re.compile(rb"(?>(?:[ \t\r\n]++|\xc2\xa0|\xa0|\xef\xbb\xbf)+)")
"""What says nothing between digits: in UTF-8 and Latin-1, and the mark at the start of a file."""


class NotConvertible(ValueError):
    """The email cannot be sent in 7 bits; says why."""


def seven_bit(raw: bytes, depth: int = 0) -> bytes:
    """Return an email whose bodies are 7 bits, and mean the same. Raises `NotConvertible`.

    Parts that are labelled 8bit or binary without need lose the label: servers go by that.
    """
    if depth > MOST_NESTED:
        raise NotConvertible("it holds emails in emails in emails")
    try:
        entities = entities_of(raw)
    except Unparsable as error:
        if raw.isascii():
            return raw
        raise NotConvertible(str(error)) from None
    edits = [] if raw.isascii() else _between(raw, entities)
    for part in entities:
        edits += _of_header(raw, part, is_email=part is entities[0]) + _of_part(raw, part, depth)
    edits.sort(key=lambda edit: edit[:2])
    return apply(raw, edits)


def _between(raw: bytes, entities: list[Part]) -> list[Edit]:
    """Return what changes outside of parts: before the first of a multipart and behind its last.

    Nobody is shown what stands there (RFC 2046 § 5.1.1).
    """
    edits: list[Edit] = []
    at = entities[0].start
    for start, end in (*((part.start, _end(part)) for part in entities), (len(raw), 0)):
        between = raw[at:start]
        if not between.isascii():
            cleared = _EIGHT.sub(lambda found: b"?" * len(found[0]), between)
            edits.append((at, start, cleared))
        at = end
    if edits and any(part.signed for part in entities):
        raise NotConvertible("it is signed or encrypted (S/MIME, PGP)")
    if edits and not all(part.parameters.get("boundary", "").isascii() for part in entities):
        raise NotConvertible("a boundary of its parts is not ASCII")  # delimiters stand there too
    return edits


def _end(part: Part) -> int:
    return part.body if part.content_type.startswith("multipart/") else part.end


def _of_part(raw: bytes, part: Part, depth: int) -> list[Edit]:
    """Return what changes of a part."""
    kind, encoding = part.content_type, part.encoding
    if kind.startswith("multipart/"):
        needless = encoding in _LABELS and not part.signed
        return _labelled(raw, part, "7bit") if needless else []
    body = raw[part.body : part.end]
    is_ascii = body.isascii()
    if is_ascii and encoding not in _LABELS and kind != "message/rfc822":
        return []
    if part.signed:
        if is_ascii:
            return []
        raise NotConvertible("it is signed or encrypted (S/MIME, PGP)")
    body, encoding = _converted(body, kind, encoding, depth)
    return [*_labelled(raw, part, encoding), (part.body, part.end, body)]


def _of_header(raw: bytes, part: Part, *, is_email: bool) -> list[Edit]:
    """Return what changes in the header of a part; in that of an email, of ``Content-`` fields."""
    at, end = part.start, part.start + part.header.end
    if raw[at:end].isascii():
        return []
    edits: list[Edit] = []
    while at < end and (found := FIELD.match(raw, at)):
        at = found.end()
        name = found[1].decode("ascii").lower()
        if found[2].isascii() or (is_email and not name.startswith("content-")):
            continue
        if part.signed and not is_email:
            raise NotConvertible("it is signed or encrypted (S/MIME, PGP)")
        edits.append((*found.span(2), _ascii_value(name, found[2])))
    return edits


def _ascii_value(name: str, value: bytes) -> bytes:
    """Return the value of a field of a part in ASCII."""
    text, charset = unfolded(value), "utf-8"
    try:
        value.decode("utf-8")
    except UnicodeDecodeError:
        charset = "iso-8859-1"
    try:
        if name in ("content-type", "content-disposition"):
            return b" " + in_ascii(text.strip(), charset).encode("ascii")
        if name in _NO_TEXTS or "=?" in text:
            raise NotConvertible(f"the {name.title()} of a part is not ASCII")
        # Content-Description is text (RFC 2045 § 8); what is no Content- field means nothing in a
        # part (RFC 2046 § 5.1).
        return b" " + encoded_words(text.strip(" \t"), charset, len(name) + 1).encode("ascii")
    except ValueError as error:
        raise NotConvertible(f"the {name.title()} of a part is not ASCII: {error}") from None


def _converted(body: bytes, kind: str, encoding: str, depth: int) -> tuple[bytes, str]:
    """Return a body in 7 bits, and its transfer encoding."""
    if encoding not in _IDENTITY and body.isascii():
        return body, encoding
    if encoding == "base64":
        if not _BASE64.fullmatch(_SPACES.sub(b"", body)):
            # RFC 2045 § 6.8 ignores what is outside of the alphabet, or takes it for an error.
            raise NotConvertible("a part that is labelled base64 is none")
        return _EIGHT.sub(b"", body), encoding
    if encoding == "quoted-printable":
        if kind == "message/rfc822":  # RFC 2045 § 6.4: not encoded, whatever its label says
            raise NotConvertible("an email that it holds is labelled quoted-printable")
        data = quoted.decode(body, clear=quoted.is_clear(body))
        return quoted.encode(data, _NEWLINE), encoding
    if ", " in encoding:
        raise NotConvertible("a part names two transfer encodings")
    if encoding not in _IDENTITY:  # it would be encoded twice, which nobody could say
        raise NotConvertible(f"the transfer encoding {encoding[:100]!a} of a part is not known")
    # RFC 2045 § 6.4: parts that are emails, or of them, have no encoding but that of their parts.
    if kind == "message/rfc822":
        inner = seven_bit(body, depth + 1)
        if inner.isascii():
            return inner, "7bit"
        raise NotConvertible("an email that it holds has a header that is not ASCII")
    if body.isascii() and not is_long(body, _NEWLINE) and not _BARE.search(body):
        return body, "7bit"
    if kind.startswith("message/") and kind != "message/global":  # RFC 6532 § 3.7
        raise NotConvertible(f"a part of type {kind[:100]} must not be encoded")
    others = len(body) - len(_EIGHT.sub(b"", body))
    if kind.startswith("text/") and 6 * others <= len(body):  # else base64 is shorter
        return quoted.encode(body, _NEWLINE), "quoted-printable"
    return pybase64.encodebytes(body).rstrip(b"\n").replace(b"\n", _NEWLINE), "base64"


def _labelled(raw: bytes, part: Part, encoding: str) -> list[Edit]:
    """Return what names another transfer encoding in the header of a part."""
    if encoding == part.encoding:
        return []
    header = part.header
    new = b" " + encoding.encode()
    spans = [(part.start + start, part.start + end) for start, end in header.encoding_values]
    edits: list[Edit] = [(start, end, new) for start, end in spans]
    added = b""
    if not spans:
        added = b"Content-Transfer-Encoding:" + new + _NEWLINE
    end = part.start + header.end
    # Of the whole email alone; parts have no version (RFC 2045 § 4).
    if part.start == 0 and not _VERSION.search(raw, 0, end):
        added += b"MIME-Version: 1.0" + _NEWLINE
    if added:
        edits.append((end, end, added + (_NEWLINE if header.end == header.size else b"")))
    return edits
