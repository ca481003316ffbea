"""Address lists of headers (RFC 5322 § 3.4), taken apart without changing a character of them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from clicktrail.base.text.normal import normalized
from clicktrail.headers.words import decoded_words

# Everything but comments, which nest. What has matched is never matched in another way, so that
# no value takes long. White space is that of ASCII: to most readers other kinds are letters.
_TOKEN = re.compile(
    r'(?P<space>\s++)|(?P<quoted>"(?>(?:[^"\\]++|\\.)*)")|(?P<literal>\[[^\[\]\\\s]*+\])'
    r'|(?P<sign>[<>,;:])|(?P<text>[^\s"\[\]<>,;:()\\]++)|(?P<bracket>[\[\]])',
    re.DOTALL | re.ASCII,
)
_COMMENT_PIECE = re.compile(r"[^()\\]++|\\.|[()]", re.DOTALL)
_ADDRESS = re.compile(
    r'(?:"(?>(?:[^"\\]++|\\.)*)"|[^\s@"<>,;:\\\[\]]++)@(?:\[[^\[\]\s]*+\]|[^\s@"<>,;:\\\[\]]++)',
    re.DOTALL | re.ASCII,
)
_QUOTED_LOCAL = re.compile(r'"[\w!#$%&\'*+/=?^`{|}~. -]+"')
_DELIMITER = re.compile(r"""[()<>\[\],;:"\\]+""")
_SPACE = " \t\r\n\v\f"
_INNER_SPACE = re.compile(r"\s", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


class UnreadableAddress(ValueError):
    """It is no address list, or one that others may read in another way; says why."""


@dataclass(frozen=True, slots=True)
class Mailbox:
    """One mailbox of a list."""

    text: str
    """As it is written, with its name."""
    address: str


def mailboxes(value: str) -> list[Mailbox]:
    """Return the mailboxes of a ``From`` or ``To`` field. Raises `UnreadableAddress`.

    Commas in quoted strings, comments and angle brackets do not separate; groups give their
    members; members may be empty (RFC 5322 § 4.4).
    """
    found: list[Mailbox] = []
    item = _Item(0)
    group = False
    for kind, start, end in _tokens(value):
        sign = value[start:end] if kind == "sign" and not item.open else ""
        if sign == ":" and not group:
            group = True  # the item was the group's name
        elif sign == "," or (sign == ";" and group):
            found += item.mailbox(value, start)
            group = group and sign != ";"
        elif sign in (":", ";"):
            raise UnreadableAddress(f"{sign!r} stands where no group is")
        else:
            item.add(kind, value[start:end])
            continue
        item = _Item(end)
    if group:
        raise UnreadableAddress("a group has no end")
    return found + item.mailbox(value, len(value))


def senders_in(value: str) -> list[str]:
    """Return every address that somebody may read in a ``From`` field.

    That is more than `mailboxes`: what looks like an address in a comment or a name without quotes
    counts, and so does what encoded words hold, since some decode them first. Raises
    `UnreadableAddress` where there is none, or others may read what cannot be foreseen.
    """
    if _CONTROL.search(value):
        raise UnreadableAddress("it holds control characters")
    boxes = mailboxes(value)
    if not boxes:
        raise UnreadableAddress("it holds no address")
    found = [box.address for box in boxes]
    for address in found:
        local = address.rpartition("@")[0]
        plain = address.isascii() or normalized("NFKC", address).count("@") == 1
        if "=?" in address or not plain or (local[0] == '"' and not _QUOTED_LOCAL.fullmatch(local)):
            raise UnreadableAddress(f"{address!a} can be read in several ways")
    for reading in _readings(value):
        for piece in _DELIMITER.split(reading):
            if "@" in piece:
                found.append(_address_in(piece.strip(_SPACE)))
    return list(dict.fromkeys(found))


def _readings(value: str) -> Iterator[str]:
    """Yield a list as others may see it. Raises `UnreadableAddress`."""
    tokens = [(kind, value[start:end]) for kind, start, end in _tokens(value)]
    # Nobody takes a quoted string for an address by itself; but what stands behind it ends the name
    # for some who read a bracket there (RFC 5322 § 3.2.3), so that the string is all of an item.
    quoted = any(kind in ("bracket", "literal") for kind, _ in tokens)
    seen = [(kind, text if quoted or kind != "quoted" else "x") for kind, text in tokens]
    yield "".join(text for _, text in seen)
    if any(kind == "comment" for kind, _ in seen):  # some join what is on both sides of one
        yield "".join("" if kind == "comment" else text for kind, text in seen)
    if "=?" in value:
        decoded = decoded_words(value)
        if "=?" in decoded or _CONTROL.search(decoded):
            raise UnreadableAddress("its encoded words cannot be read")
        yield decoded


def _address_in(piece: str) -> str:
    """Return the address that stands between two delimiters. Raises `UnreadableAddress`.

    Some readers join what is on both sides of white space.
    """
    local, _, domain = piece.strip("'").partition("@")
    if not local or not domain or "@" in domain or _INNER_SPACE.search(piece):
        raise UnreadableAddress(f"{piece[:320]!a} can be read as another address, or as none")
    return f"{local}@{domain}"


class _Item:
    """What stands between two commas."""

    def __init__(self, start: int) -> None:
        self.start = start
        self.open = False
        """Within angle brackets."""
        self._inner: list[str] | None = None  # what is within them
        self._outer: list[str] = []

    def add(self, kind: str, text: str) -> None:
        if kind == "comment":
            if self.open or (self._outer and self._inner is None):
                # RFC 5322 § 4.4: an address may have them; then it has them in the middle.
                (self._outer if self._inner is None else self._inner).append(" ")
        elif self.open:
            assert self._inner is not None
            if text == ">":
                self.open = False
            elif text == "<":
                raise UnreadableAddress("'<' stands within '<'")
            else:
                self._inner.append(text)
        elif text == "<" and self._inner is None:
            self.open, self._inner = True, []
        elif text in ("<", ">") or (self._inner is not None and kind != "space"):
            raise UnreadableAddress(f"{text!a} stands behind an address")
        elif self._inner is None:
            self._outer.append(text)

    def mailbox(self, value: str, end: int) -> list[Mailbox]:
        """Return what it is: one mailbox, or none where it is empty."""
        if self.open:
            raise UnreadableAddress("'<' has no '>'")
        address = "".join(self._outer if self._inner is None else self._inner).strip(_SPACE)
        text = value[self.start : end].strip(_SPACE)
        if not address and not text:
            return []
        if not _ADDRESS.fullmatch(address):
            shown = address if len(address) <= 320 else address[:320] + "…"
            raise UnreadableAddress(f"{shown!a} is no address")
        return [Mailbox(text, address)]


def _tokens(value: str) -> Iterator[tuple[str, int, int]]:
    """Yield kind, start and end of each token. Raises `UnreadableAddress`."""
    at = 0
    while at < len(value):
        if value[at] == "(":
            kind, end = "comment", _comment_end(value, at)
        else:
            found = _TOKEN.match(value, at)
            if found is None or found.lastgroup is None:
                sign = value[at]
                why = "a quote has no end" if sign == '"' else f"{sign!a} stands where it may not"
                raise UnreadableAddress(why)
            kind, end = found.lastgroup, found.end()
        yield kind, at, end
        at = end


def _comment_end(value: str, at: int) -> int:
    """Return where a comment ends, however deep others are in it (RFC 5322 § 3.2.2)."""
    depth = 0
    while at < len(value):
        found = _COMMENT_PIECE.match(value, at)
        if found is None:
            break
        at = found.end()
        depth += {"(": 1, ")": -1}.get(found[0], 0)
        if not depth:
            return at
    raise UnreadableAddress("a comment has no end")
