"""HTML of emails takes as long as it is, in whatever order its pieces stand."""

from collections.abc import Callable

import pytest

from clicktrail.rewrite import rewrite_message
from clicktrail.rewrite.html.visible import seen
from limits.growth import Row, check_growth
from links.trial import OPENS, TRACKING

HEAD = b"Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
AREA = '<area href="http://x.example/">'
PIECES = [
    AREA,
    f"{AREA}<p>",
    f"{AREA}\n x.example",
    f"<svg>{AREA}</svg>",
    '<a href="http://x.example/">',
    '<a href="http://x.example/"><b>',
    '<a href="http://x.example/">x.example',
    '<svg><a xlink:href="http://x.example/">',
    '<!--[if mso]><v:rect href="http://x.example/"><![endif]-->',
    '<v:rect href="http://x.example/">',
    '<base href="//b.example/"><template>',
    '<p postbox:tags="a:b">',
]


def email(before: str, piece: str) -> Callable[[int], bytes]:
    return lambda size: HEAD + (before + piece * (size // len(piece))).encode()


def text(piece: str) -> Callable[[int], str]:
    return lambda size: piece * (size // len(piece))


ROWS = [
    Row(f"{before}{piece}", email(before, piece), lambda raw: rewrite_message(raw, TRACKING))
    for before in ("", "<!--[if mso]>", "<p <")
    for piece in PIECES
]
DOUBTFUL = "<svg><title>" + "{{ses:openTracker}}" * 8


def numbered(piece: str) -> Callable[[int], bytes]:
    """Return a maker of an email whose image has no place for sure: a parser is asked for it."""
    length = len(f"{piece} a1000000=b>")
    return lambda size: (
        HEAD
        + "".join(f"{piece} a{number}=b>" for number in range(size // length)).encode()
        + f"{DOUBTFUL}{'</body></html>' * 3}".encode()
    )


ROWS += [
    Row(f"the image behind {piece}", numbered(piece), lambda raw: rewrite_message(raw, OPENS))
    for piece in ("<body", "<html", "<i><p")
]
ROWS += [
    Row(f"what is seen of {piece}", text(piece), seen)
    for piece in ("<!--", "<!-- -- ", "<", "<b", "<b>", "</", "&", "&am", "a.", " ")
]


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_time_grows_with_the_document_and_no_faster(row: Row) -> None:
    check_growth(row.shorter())


@pytest.mark.long
@pytest.mark.parametrize("row", ROWS, ids=str)
def test_time_grows_with_the_document_and_no_faster_up_to_the_limit(row: Row) -> None:
    check_growth(row)
