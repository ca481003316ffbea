"""Reads the case files of `tests/links/cases`. Their format is described in `README.md` beside.

Nothing here imports the code under test, but for the values that it is handed (`Policy`).
"""

import base64
import binascii
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

CASES = Path(__file__).parent / "cases"
OWN_HOST = "own.example"
"""The tracking host of the installation in all cases."""

_SECTION = re.compile(r"^== (\w+)(?:: ?(.*))?$")
_ESCAPE = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|u\{([0-9A-Fa-f]{1,6})\}|([rnt\\]))")
_SIMPLE = {"r": "\r", "n": "\n", "t": "\t", "\\": "\\"}
_TRACKED = re.compile(r"\{(\d+)\}")
_KNOWN = {"about", "input", "links", "output", "reason", "warnings", "newline"}

Span = tuple[str, str]
"""Part of a message: ``"wire"`` and its bytes as latin-1, or ``"charset encoding"`` and text."""


def tracking_link(index: int, url: str) -> str:
    """Return the link that the cases' policy gives; both arguments are in it."""
    scheme = "https" if url[:6].lower() == "https:" else "http"
    digest = zlib.crc32(url.encode("utf-8", "surrogatepass"))
    return f"{scheme}://{OWN_HOST}/c/{index}_{digest:08x}-abcdefghijklmnopqrstuvwxyz"


def is_own(url: str) -> bool:
    """Tell whether the URL is one of `tracking_link`, or might be."""
    return re.match(rf"https?://{re.escape(OWN_HOST)}/c/", url, re.IGNORECASE) is not None


def unescape(text: str) -> str:
    r"""Turn ``\xHH``, ``\u{H…}``, ``\r``, ``\n``, ``\t`` and ``\\`` into what they stand for."""

    def one(match: re.Match[str]) -> str:
        byte, point, simple = match.groups()
        return _SIMPLE[simple] if simple else chr(int(byte or point, 16))

    return _ESCAPE.sub(one, text)


@dataclass(frozen=True)
class ExpectedLink:
    """One line of the section ``links``."""

    url: str
    tags: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Case:
    """One case file."""

    name: str
    sections: dict[str, str] = field(repr=False)

    @property
    def is_mime(self) -> bool:
        """Whether input and output are whole messages, not just the HTML part."""
        return self.name.endswith(".mime.txt")

    @property
    def newline(self) -> str:
        """What ends the lines of a message: CRLF unless the case says ``lf``."""
        return {"lf": "\n", "crlf": "\r\n"}[self.sections.get("newline", "crlf").strip()]

    @property
    def reasons(self) -> tuple[str | None, ...]:
        """The reasons that are right; ``(None,)`` for a tracked email."""
        named = self.sections.get("reason", "")
        return tuple(word.strip() for word in named.split(" or ")) if named.strip() else (None,)

    @property
    def warnings(self) -> int | None:
        """How many warnings there are, where the case says it."""
        return int(self.sections["warnings"]) if "warnings" in self.sections else None

    @cached_property
    def links(self) -> tuple[ExpectedLink, ...]:
        """The tracked links, in order."""
        return tuple(_link(line) for line in self.sections["links"].splitlines() if line.strip())

    @property
    def html_input(self) -> str:
        """The HTML text of an html case."""
        return unescape(self.sections["input"])

    @property
    def html_output(self) -> str:
        """The HTML text expected of an html case."""
        return unescape(self._with_links(self.sections["output"]))

    @property
    def raw_input(self) -> bytes:
        """The message of a mime case."""
        return b"".join(self._encoded(span) for span in self._spans(self.sections["input"]))

    @property
    def output_is_input(self) -> bool:
        """Whether the message must come out byte for byte as it went in."""
        return self.sections["output"].strip() == "same"

    def check_raw_output(self, actual: bytes) -> None:
        """Compare a message with the section ``output``.

        Bytes on the wire must be equal; of an encoded block the decoded text must be, since the
        line breaks of an encoding are the encoder's choice. Raises `AssertionError`.
        """
        if self.output_is_input:
            assert actual == self.raw_input, f"{self.name}: the message was changed"
            return
        spans = self._spans(self._with_links(self.sections["output"]))
        rest = actual
        for number, (kind, text) in enumerate(spans):
            if kind == "wire":
                expected = text.encode("latin-1")
                last = number == len(spans) - 1
                found = rest if last else rest[: len(expected)]
                assert found == expected, f"{self.name}: {found!r} != {expected!r}"
                rest = rest[len(expected) :]
                continue
            following = spans[number + 1][1].encode("latin-1")
            last = number + 2 == len(spans)
            end = len(rest) - len(following) if last else rest.find(following)
            assert end >= 0, f"{self.name}: {following!r} does not follow in {rest!r}"
            charset, encoding = kind.split()[:2]
            if last and encoding == "base64" and not following.strip():
                end, following = len(rest), b""  # no newline after base64 is part of the text
                spans[number + 1] = ("wire", "")
            decoded = decode(rest[:end], encoding).decode(charset)
            assert decoded == text, f"{self.name}: {decoded!r} != {text!r}"
            rest = rest[end:]

    def _with_links(self, text: str) -> str:
        def one(match: re.Match[str]) -> str:
            index = int(match[1])
            return tracking_link(index, self.links[index].url)

        return _TRACKED.sub(one, text)

    def _spans(self, text: str) -> list[Span]:
        """Split a section at its ``%% encode`` … ``%% end`` blocks."""
        spans: list[Span] = []
        wire: list[str] = []
        block: list[str] = []
        encoding = ""
        for line in text.split("\n"):
            if line.startswith("%% encode "):
                spans.append(("wire", "".join(f"{item}{self.newline}" for item in wire)))
                wire, block, encoding = [], [], line.removeprefix("%% encode ").strip()
            elif line == "%% end":
                spans.append((encoding, unescape(self.newline.join(block))))
                wire, encoding = [""], ""
            elif encoding:
                block.append(line)
            else:
                wire.append(_wire(line))
        assert not encoding, f"{self.name}: %% encode without %% end"
        final = "" if wire[-1] == "%% no newline" else self.newline
        wire = [line for line in wire if line != "%% no newline"]
        spans.append(("wire", self.newline.join(wire) + final))
        return spans

    def _encoded(self, span: Span) -> bytes:
        kind, text = span
        if kind == "wire":
            return text.encode("latin-1")
        charset, encoding, *options = kind.split()
        width = int(options[0]) if options else 76
        return encode(text.encode(charset), encoding, self.newline.encode(), width)


def _wire(line: str) -> str:
    r"""Return a line's bytes as latin-1: UTF-8, but ``\xHH`` is that byte."""
    out: list[str] = []
    end = 0
    for match in _ESCAPE.finditer(line):
        out.append(line[end : match.start()].encode().decode("latin-1"))
        plain = unescape(match[0])
        out.append(plain if match[1] else plain.encode().decode("latin-1"))
        end = match.end()
    out.append(line[end:].encode().decode("latin-1"))
    return "".join(out)


def _link(line: str) -> ExpectedLink:
    url, *pairs = (unescape(piece) for piece in line.split(" | "))
    tags = [pair.partition(":") for pair in pairs]
    return ExpectedLink(url, tuple((key, value) for key, _, value in tags))


def encode(data: bytes, encoding: str, newline: bytes = b"\r\n", width: int = 76) -> bytes:
    """Encode a body (RFC 2045 § 6) in lines of ``width`` characters."""
    match encoding:
        case "7bit" | "8bit" | "binary":
            return data
        case "base64":
            text = base64.b64encode(data)
            return newline.join(text[i : i + width] for i in range(0, len(text), width))
        case "quoted-printable":
            return newline.join(_quoted(line, newline, width) for line in data.split(newline))
    raise AssertionError(f"unknown encoding {encoding}")


def _quoted(line: bytes, newline: bytes, width: int) -> bytes:
    """Encode one line (RFC 2045 § 6.7), with soft breaks so that none is over ``width`` long."""
    out: list[bytes] = []
    length = 0
    for position, byte in enumerate(line):
        plain = 33 <= byte <= 126 and byte != ord("=")
        blank = byte in b" \t" and position < len(line) - 1
        piece = bytes([byte]) if plain or blank else b"=%02X" % byte
        if length + len(piece) > width - 1:
            out.append(b"=" + newline)
            length = 0
        out.append(piece)
        length += len(piece)
    return b"".join(out)


def decode(data: bytes, encoding: str) -> bytes:
    """Undo `encode`; strict where the standard library is not. Raises `AssertionError`."""
    lines = re.split(rb"\r?\n", data)
    if encoding in ("base64", "quoted-printable"):
        assert max(map(len, lines)) <= 76, f"a line of {encoding} is over 76 characters long"
    match encoding:
        case "7bit" | "8bit" | "binary":
            return data
        case "base64":
            try:
                return base64.b64decode(b"".join(lines), validate=True)
            except binascii.Error as error:
                raise AssertionError(f"not base64: {data!r}") from error
        case "quoted-printable":
            assert re.fullmatch(rb"[\t\r\n -~]*", data), f"not quoted-printable: {data!r}"
            return read_quoted(data)
    raise AssertionError(f"unknown encoding {encoding}")


def read_quoted(body: bytes) -> bytes:
    """Read quoted-printable, malformed too, as RFC 2045 § 6.7 with its note on robustness says."""
    out = bytearray()
    for line in re.split(rb"(?<=\n)", body):
        newline = line[len(line.removesuffix(b"\n").removesuffix(b"\r")) :]
        newline = newline if newline != b"\r" else b""
        text = line.removesuffix(newline).rstrip(b" \t")  # § 6.7 (3): added on the way
        at = 0
        while at < len(text):
            if text[at] != ord("="):
                out.append(text[at])
                at += 1
            elif at + 1 == len(text):
                newline = b""  # a soft line break
                break
            elif re.fullmatch(rb"[0-9A-Fa-f]{2}", text[at + 1 : at + 3]):
                out.append(int(text[at + 1 : at + 3], 16))
                at += 3
            else:
                out += text[at : at + 2]
                at += 2
        out += newline
    return bytes(out)


def load(path: Path) -> Case:
    """Read one case file. Raises `AssertionError` where it does not keep to the format."""
    name = path.relative_to(CASES).as_posix()
    sections: dict[str, list[str]] = {}
    current: list[str] | None = None
    for line in path.read_text(encoding="utf-8").removesuffix("\n").split("\n"):
        if match := _SECTION.match(line):
            section, value = match.groups()
            assert section in _KNOWN, f"{name}: unknown section {section}"
            assert section not in sections, f"{name}: section {section} is given twice"
            current = sections[section] = [value] if value else []
        else:
            assert current is not None, f"{name}: text before the first section"
            current.append(line)
    missing = {"about", "input", "links", "output"} - set(sections)
    assert not missing, f"{name}: no section {missing}"
    return Case(name, {section: "\n".join(lines) for section, lines in sections.items()})


def load_all(keep: Callable[[Path], bool] = lambda _: True) -> list[Case]:
    """Read all case files, in order of their names."""
    return [load(path) for path in sorted(CASES.rglob("*.txt")) if keep(path)]
