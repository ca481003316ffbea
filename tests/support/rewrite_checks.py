"""What must hold for every input of the rewriter, checked without knowing how it works.

Written from its promises alone: a tracking link stands exactly where the value of an ``href``
stood, and leads where that value led; the attributes meant for Clicktrail are gone; all else is
the same. Used by the fuzzers in ``fuzz/`` and by the test of their seeds.
"""

import binascii
import codecs
import re
from collections.abc import Iterator, Sequence
from email import message_from_string
from email.message import Message
from zlib import crc32

import turbohtml

from clicktrail.errors import InvalidInput
from clicktrail.keys.packing import MAX_URL
from clicktrail.model import Link, Reason
from clicktrail.rewrite import Policy, Rewritten, rewrite_message
from links.casefile import read_quoted
from support.browser_charset import charset_of, only_python_knows, read
from support.pixels import is_shown, without

LINE_LIMIT = 998
OWN_HOST = "fuzz.example"
_OWN = re.compile(rf"https?://{OWN_HOST}/c/[0-9]+-[0-9a-f]{{8}}-[0-9a-f]{{8}}")

# HTML § 13.2.5.32 to 13.2.5.39: an attribute that is removed, with all white space before it.
_REMOVED = re.compile(
    r"""
    (?<![ \t\n\f\r]) [ \t\n\f\r]*+ ((?:postbox|ses):(?:tags|no-track)) (?=[ \t\n\f\r/>=])
    (?: [ \t\n\f\r]*+ = [ \t\n\f\r]*+
        (?: "[^"]*+" | '[^']*+' | (?=>) | [^ \t\n\f\r>"'][^ \t\n\f\r>]*+ )
      | (?! [ \t\n\f\r]*+ = )
    )
    """,
    re.IGNORECASE | re.VERBOSE,
)
_UNQUOTED = re.compile(r"[^ \t\n\f\r>\"'][^ \t\n\f\r>]*")

_CONTROLS = "".join(map(chr, range(0x21)))


class Broken(AssertionError):
    """A promise of the rewriter that does not hold."""


def demand(holds: object, what: str, *details: object) -> None:
    """Raise `Broken` unless it holds."""
    if not holds:
        raise Broken(": ".join((what, *(repr(detail)[:2000] for detail in details))))


def run(raw: bytes, *, report: bool = False, opens: bool = False) -> tuple[Rewritten, str]:
    """Rewrite a message; return the result, and the end of all its tracking links.

    The end is made from the message, so that no input can hold such a link by accident. With
    ``opens``, it gets the image of `pixel_of` that end.
    """
    salt = f"{crc32(raw):08x}"
    policy = Policy(
        link=lambda index, url: tracking_link(index, url, salt),
        is_own=lambda url: _OWN.fullmatch(url) is not None,
        pixel=pixel_of(salt) if opens else None,
    )
    return rewrite_message(raw, policy, report=report), salt


def pixel_of(salt: str) -> str:
    """Return the address of the image that tells of opens."""
    return f"https://{OWN_HOST}/o/{salt}"


def tracking_link(index: int, url: str, salt: str) -> str:
    """Return a link made from all that it is given. Raises `InvalidInput` as the sealer does."""
    data = url.encode("utf-8", "surrogatepass")
    if len(data) > MAX_URL:
        raise InvalidInput("too long to track")
    scheme = "https" if url[:6].lower() == "https:" else "http"
    return f"{scheme}://{OWN_HOST}/c/{index}-{crc32(data):08x}-{salt}"


def check_message(raw: bytes, *, opens: bool = False) -> Rewritten:
    """Check all that holds for any bytes at all; return the result."""
    result, salt = run(raw, opens=opens)
    demand(opens or not result.pixel, "an image that nobody asked for")
    if result.reason is not None:
        demand(not result.links, "not tracked, but there are links", result.reason)
        if not result.pixel:
            demand(result.message == raw, "not tracked, but changed", result.reason)
            return result
    else:
        demand(result.links, "tracked, but without links")
    demand([link.index for link in result.links] == list(range(len(result.links))), "link numbers")
    check_wire(raw, result.message)
    check_again(raw, result.message, opens=opens)
    check_parts(raw, result, salt)
    return result


def check_wire(before: bytes, after: bytes) -> None:
    """Check lines, line ends and bytes of a tracked message (RFC 5322 § 2.1.1, § 2.3)."""
    kept = set(_lines(before))
    for line in _lines(after):
        demand(len(line) <= LINE_LIMIT or line in kept, "a line is too long", len(line), line)
    for what, pattern in {
        "a bare LF": rb"(?<!\r)\n",
        "a bare CR": rb"\r(?!\n)",
        "CR LF": rb"\r\n",
        "a NUL": rb"\0",
        "a byte over 127": rb"[\x80-\xff]",
    }.items():
        was, found = re.search(pattern, before), re.search(pattern, after)
        demand(was or not found, f"{what} that was not there before", found and found.start())


def check_again(raw: bytes, message: bytes, *, opens: bool = False) -> None:
    """Check that our own links are known: rewriting once more changes nothing.

    But for links that asked not to be tracked: that attribute is gone.
    """
    again, _ = run(message, opens=opens)
    asked = again.links and "no-track" in {row.why for row in run(raw, report=True)[0].report}
    demand(asked or not again.links, "rewritten again, it gets more links", again.links[:3])
    demand(asked or again.message == message, "rewritten again, it changes")
    demand(asked or again.reason is Reason.NO_LINKS, "rewritten again, another reason", again)


def check_parts(before: bytes, result: Rewritten, salt: str) -> None:
    """Compare part by part, as the standard library's parser sees them, where it has no doubts."""
    if _unsure(before):
        return
    old, new = (list(_leaves(_parse(raw))) for raw in (before, result.message))
    demand(len(old) == len(new), "the structure changed")
    found: list[int] = []
    images = 0
    for (was, shown), (now, _) in zip(old, new, strict=True):
        demand(was.preamble == now.preamble, "a preamble changed")
        demand(was.epilogue == now.epilogue, "an epilogue changed")
        changed = was.get_payload() != now.get_payload() and not was.is_multipart()
        headers = [h for h in was.items() if not (changed and _is_encoding(h))]
        same = [h for h in now.items() if not (changed and _is_encoding(h))]
        demand(headers == same, "headers changed", headers, same)
        if changed:
            demand(was.get_content_type() == "text/html", "a part that is not HTML changed")
            demand(shown, "a part that is not shown changed")
            inside = check_bodies(was, now, result.links, salt)
            if inside is None:
                return
            found += inside[0]
            images += inside[1]
    demand(images == result.pixel, "images", images)
    demand(sorted(found) == list(range(len(result.links))), "links", found)


def check_bodies(
    was: Message, now: Message, links: Sequence[Link], salt: str
) -> tuple[list[int], int] | None:
    """Compare the text of an HTML part before and after.

    Return the numbers of its links, and how many images of ours it has.

    ``None`` where the standard library cannot decode it for sure.
    """
    old, new = _content(was), _content(now)
    if old is None or new is None:
        return None
    try:
        charset = was.get_content_charset()
    except ValueError:
        return None
    before, after, exact = texts(old, new, charset, salt)
    after, images = without_image(after, salt, exact=exact)
    return check_text(before, after, links, salt, exact=exact), images


def without_image(html: str, salt: str, *, exact: bool) -> tuple[str, int]:
    """Return a document without the image of ours, and whether it has one: 0 or 1.

    Check that a browser shows it, where the text is ``exact`` what one reads.
    """
    image = pixel_of(salt)
    bare, count = without(html, image)
    demand(count <= 1, "images", count)
    demand(not count or not exact or is_shown(html, image), "an image that is not shown", html)
    demand(image not in bare, "the image is not as it should be", html)
    return bare, count


def texts(before: bytes, after: bytes, charset: str | None, salt: str) -> tuple[str, str, bool]:
    """Decode two contents as a browser does; tell whether nothing is lost by that.

    Else the bytes are kept: a charset that knows all bytes can tell.
    """
    # What is first in a document says its charset, and a link never does.
    old, new = (read(each, charset) for each in (before, after))
    if "\ufffd" not in old + new and not only_python_knows(charset):
        for mark in (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            demand(before.startswith(mark) == after.startswith(mark), "BOM")
        return old, new, True
    if charset_of(before, charset).startswith("utf-16"):
        return old, new, False
    return before.decode("latin-1"), after.decode("latin-1"), False


def check_text(
    before: str, after: str, links: Sequence[Link], salt: str, *, exact: bool = True
) -> list[int]:
    """Check that two texts are the same but for links and removed attributes.

    ``links`` are those of the message, ``salt`` ends their tracking links; ``exact`` tells that
    the texts are what a browser would see, so that offsets and URLs can be compared. Returns the
    numbers of the links found. Walks through both texts at once: ``places`` are all the places in
    ``before`` that the walk may have come to.
    """
    removals = _removals(before)
    places = {0}
    at = 0
    found: list[int] = []
    for match in re.finditer(rf"https?://{OWN_HOST}/c/([0-9]+)-[0-9a-f]{{8}}-{salt}", after):
        link = links[int(match[1])]
        places = _walk(before, removals, places, after[at : match.start()])
        places = set(_after_value(before, places, link.url if exact else None))
        demand(places, "a tracking link where no such href was", link.url)
        demand(not exact or before[link.offset : link.offset + 1] == "<", "an offset", link)
        demand(match[0] == tracking_link(link.index, link.url, salt), "a tracking link", match[0])
        found.append(link.index)
        at = match.end()
    places = _skip(removals, _walk(before, removals, places, after[at:]))
    demand(len(before) in places, "the text ends too early")
    return found


def _removals(text: str) -> dict[int, int]:
    """Return where attributes that may be removed begin and end; they may overlap."""
    ends: dict[int, int] = {}
    match = _REMOVED.search(text)
    while match:
        ends[match.start()] = match.end()
        if not re.match(r"[ \t\n\f\r>]", text[match.end() : match.end() + 1]):
            # Without white space, its neighbours would become one.
            ends[match.start(1)] = match.end()
        elif text[: match.start()].endswith("/") and text.startswith(">", match.end()):
            # "/>" closes an element of SVG: white space stays between, or the slash goes too.
            spaced = match.start() < match.start(1)
            ends[match.start(1) if spaced else match.start() - 1] = match.end()
        match = _REMOVED.search(text, match.start() + 1)
    return ends


def check_tree(before: str, after: str, salt: str) -> None:
    """Check that a browser's parser reads the same document but for links and removed attributes.

    So no tracking link got into what people read, and no tag swallowed another. Not asked about
    SVG and MathML: where those end, only a whole tree builder can tell (HTML § 13.2.6.5).
    """
    if re.search("<(?:svg|math)", before, re.IGNORECASE):
        return
    old, new = (_tree(turbohtml.parse(text, positions=False)) for text in (before, after))
    for was, now in zip(old, new, strict=False):
        demand(was[0] == now[0], "another kind of node", was, now)
        if isinstance(was[1], dict) and isinstance(now[1], dict):
            demand(was[1].keys() == now[1].keys(), "other attributes", was, now)
            for name, value in was[1].items():
                tracked = name == "href" and now[1][name].endswith(salt)
                demand(tracked or value == now[1][name], "an attribute changed", was, now)
        elif was[0] == "#comment":
            edited = salt in now[1] or _REMOVED.search(str(was[1]))
            demand(was[1] == now[1] or edited, "a comment changed", was, now)
        else:
            demand(was[1] == now[1], "what people read changed", was, now)
    demand(len(old) == len(new), "nodes came or went")


Node = tuple[str, str | dict[str, str]]


def _tree(root: turbohtml.Node) -> list[Node]:
    nodes: list[Node] = []
    stack = [iter(root.children)]
    while stack:
        child = next(stack[-1], None)
        if child is None:
            stack.pop()
            nodes.append(("/", ""))
        elif isinstance(child, turbohtml.Element):
            nodes.append((child.tag, dict(_attributes(child))))
            stack.append(iter(child.children))
        else:
            kind = "#comment" if isinstance(child, turbohtml.Comment) else type(child).__name__
            nodes.append((kind, str(getattr(child, "data", ""))))
    return nodes


def _attributes(element: turbohtml.Element) -> Iterator[tuple[str, str]]:
    for name, value in element.attrs.items():
        if not re.fullmatch("(?:postbox|ses):(?:tags|no-track)", name):
            yield name, value if isinstance(value, str) else " ".join(value or [])


def _walk(before: str, removals: dict[int, int], places: set[int], piece: str) -> set[int]:
    """Return where in ``before`` one comes to, through ``piece`` and any removed attributes."""
    ends = sorted(removals)
    at = 0
    while at < len(piece):
        places = _skip(removals, places)
        # As long as there is one way only, whole stretches are compared at once.
        stride = 1
        if len(places) == 1:
            place = next(iter(places))
            following = next((start for start in ends if start > place), len(before))
            stride = max(1, min(following - place, len(piece) - at))
        part = piece[at : at + stride]
        places = {place + stride for place in places if before.startswith(part, place)}
        demand(places, "the text differs before", piece[at : at + 80])
        at += stride
    return places


def _skip(removals: dict[int, int], places: set[int]) -> set[int]:
    reached = set(places)
    for place in places:
        end = removals.get(place)
        while end is not None:
            reached.add(end)
            end = removals.get(end)
    return reached


def _after_value(before: str, places: set[int], url: str | None) -> Iterator[int]:
    """Return the places after the value of an href that begins in ``places`` and leads to a URL."""
    based = "<base" in before.lower()
    for place in places:
        quote = before[place - 1 : place]
        if quote and quote in "\"'":
            end = before.find(quote, place)
        else:
            found = _UNQUOTED.match(before, place)
            end = found.end() if found else -1
        if end >= 0 and (url is None or leads_to(before[place:end], url, based=based)):
            yield end


def leads_to(value: str, url: str, *, based: bool) -> bool:
    """Whether the raw value of an href is read as the URL (HTML § 13.2.5.36, URL § 4.4).

    Where there is a ``base``, which nobody looks at here, a relative one may lead anywhere.
    """
    quote = "'" if '"' in value else '"'
    tag = next(iter(turbohtml.tokenize(f"<a href={quote}{value}{quote}>")), None)
    if tag is None or not tag.attrs:
        return False
    href = dict(tag.attrs).get("href")
    if quote in value or href is None:  # both quotes in an unquoted value: not worth a parser
        return True
    # URL § 4.4 drops all C0 controls at both ends; to keep those that are no white space is right
    # too, since the browser that follows the redirect drops them.
    href, url = (re.sub(r"[\t\n\r]", "", each.strip(_CONTROLS)) for each in (href, url))
    if re.match(r"https?:", href, re.IGNORECASE):
        return href == url
    if re.match(r"[/\\]{2}", href):
        return url in ("http:" + href, "https:" + href) if based else url == "http:" + href
    return based or url == "http://" + href


def _parse(raw: bytes) -> Message:
    """Parse a message whose payloads are then the bytes of the wire, as Latin-1."""
    return message_from_string(raw.decode("latin-1"))


def _leaves(message: Message) -> Iterator[tuple[Message, bool]]:
    """Yield all parts, and whether they may be shown."""
    stack: list[tuple[Message, bool]] = [(message, True)]
    while stack:
        part, shown = stack.pop()
        shown = shown and part.get_content_disposition() != "attachment"
        yield part, shown
        payload = part.get_payload()
        if isinstance(payload, list):
            inside = shown and part.get_content_maintype() == "multipart"
            stack += [(child, inside) for child in reversed(payload) if isinstance(child, Message)]


def _content(part: Message) -> bytes | None:
    """Return what a body holds without its transfer encoding; ``None`` where that is malformed."""
    encoding = str(part.get("content-transfer-encoding", "")).strip().lower()
    raw = str(part.get_payload())
    if encoding == "quoted-printable":
        return read_quoted(raw.encode("latin-1"))
    if encoding == "base64":
        digits = re.sub("[^A-Za-z0-9+/]", "", raw)
        return binascii.a2b_base64(digits + "=" * (-len(digits) % 4)) if digits else b""
    return raw.encode("latin-1") if encoding in ("", "7bit", "8bit", "binary") else None


def _is_encoding(header: tuple[str, object]) -> bool:
    return header[0].lower() == "content-transfer-encoding"


def _unsure(raw: bytes) -> bool:
    """Whether the standard library finds the message malformed: parsers may differ about it.

    A lone CR ends a line for that library, and for nobody else; comments it does not know, control
    characters are part of a type for it, and so is what follows white space.
    """
    if re.search(rb"\r(?!\n)|[\0-\x08\x0b\x0c\x0e-\x1f]", raw):
        return True
    try:
        parts = [part for part, _ in _leaves(_parse(raw))]
        return any(
            part.defects or re.search(r"\(|\S\s[^;]*\S", _type_of(part).strip()) for part in parts
        )
    except (TypeError, ValueError):  # it trips over parameters of RFC 2231 that are none
        return True


def _type_of(part: Message) -> str:
    value = str(part.get("content-type", ""))
    return value if "(" in value else value.partition(";")[0]


def _lines(raw: bytes) -> list[bytes]:
    return re.split(rb"\r\n|\n", raw)
