"""The quick way to find tags gives what the exact scanner gives, or nothing."""

import re
from pathlib import Path
from random import Random

import pytest

from clicktrail.rewrite.html import quick, scanner
from clicktrail.rewrite.html.manners import landmarks
from clicktrail.rewrite.html.markup import OPT_OUTS, Tag, tag_at
from clicktrail.rewrite.html.plain import PLAIN_HREF
from links.documents import document

EXAMPLES = [
    path.read_bytes() for path in sorted((Path(__file__).parents[2] / "examples").glob("*.html"))
]
PIECES = (
    *("<", ">", '"', "'", "=", "/", "-", "!", " ", "\n", "\0", "a", "<a", "</a>", "<p>", "<b/>"),
    *(
        "<!--",
        "-->",
        "--!>",
        "<!-->",
        "<!--->",
        "<!---->",
        "--",
        "<!",
        "<?",
        "</",
        "</>",
        "<![CDATA[",
    ),
    *("<!--[if mso]>", "<![endif]-->", "<!--[if !mso]><!-->", "<!--<![endif]-->", "<![endif]"),
    *("<style>", "</style>", "<title>", "</title", "<script>", "</script>", "<textarea>", "<xmp "),
    *("<svg>", "</svg>", '<svg width="1">', "<g>", '<path d="M0"/>', "<text>", "</title>", "</g>"),
    *('<a xlink:href="https://svg.example/">', '<svg ses:tags="a:b">', "<desc>x</desc>", "<STYLE"),
    *("</StYle >", "<plaintext>", "<iframe/>", "</iframe>"),
    *('<a href="https://a.example/">', "<A HREF='b.example'>", "<area href=c.example/x>", "<%x%>"),
    *('<base href="https://base.example/">', '<v:rect href="https://v.example/">', "<v:x>"),
    *('<a title="<%x%>" href="{{y}}">', '<i title="<a href=x>">', '<a href="x"class="y">', "<a >"),
    *(' postbox:tags="k:v"', " ses:no-track", '<p postbox:tags="a:b">', "<p SES:TAGS>", ":tags"),
    *('<p title="x>y" ses:tags="a:b">', "x", "<a x=y>", "<v:x y>"),
    *('<style postbox:tags="a:b">', "<a href=d.example postbox:no-track>", '<p x="y"ses:tags=1>'),
)


def as_told(html: bytes, found: Tag | re.Match[bytes]) -> tuple[object, ...]:
    if not isinstance(found, Tag):  # a link in its usual form
        tag = tag_at(html, found.start(), found.end())
        assert tag is not None
        href = tag.attributes[b"href"]
        group = next(PLAIN_HREF + each for each in range(4) if found[PLAIN_HREF + each] is not None)
        assert (href.value, href.value_start) == (found[group], found.start(group))
        assert tag.attributes.keys().isdisjoint(OPT_OUTS)
        found = tag
    place = found.name, found.start, found.end, found.in_outlook, found.in_svg
    return *place, found.attributes, found.ours


def is_taken(html: bytes) -> bool:
    """Whether the quick way takes a document; fails if it then finds anything else."""
    tags = quick.tags(html)
    if tags is None:
        return False
    exact = list(scanner.tags(html))
    assert [as_told(html, each) for each in tags] == [as_told(html, each) for each in exact], html
    return True


def of_pieces(rng: Random) -> bytes:
    return "".join(rng.choices(PIECES, k=rng.randint(1, 12))).encode()


def damaged(rng: Random) -> bytes:
    html = bytearray(rng.choice(EXAMPLES))
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(html))
        html[at : at + rng.randint(0, 2)] = rng.choice(PIECES).encode()
    return bytes(html)


def judge(first: int, count: int) -> list[float]:
    """Compare ``count`` documents of each kind; return the shares that were taken."""
    shares = []
    for make in (of_pieces, damaged, lambda rng: document(rng).encode("utf-8", "surrogatepass")):
        shares.append(sum(is_taken(make(Random(first + n))) for n in range(count)) / count)
    return shares


def test_quick_way_and_scanner_find_the_same() -> None:
    pieces, damages, documents = judge(0, 1500)
    assert pieces > 0.05
    assert damages > 0.1
    assert documents > 0.02


@pytest.mark.long
def test_quick_way_and_scanner_find_the_same_in_many_documents() -> None:
    judge(10_000, 60_000)


@pytest.mark.parametrize(
    "html",
    [
        b"",
        b"a < b <3 <> <% x %>",
        b"<p><br/><td nowrap class=x id='y' title=\"z > y\">",
        b"<!DOCTYPE html><?xml version='1'?><!-- a -- b --!><!----><![if x]></>",
        b"<style>a > b { } <!-- p --> </stylex> < </style ><title></title>",
        b"<script>if (a < b) {}</script>",
        b"<!--[if mso]><a href='https://x.example'><![endif]--><a href=y>",
        b'<!--[if mso]><A<a href="https://x.example" ses:tags="a:b">x<!----><area href=y>',
        b"<!--[if mso]><template class=x><![endif]--><template><a href=z>",
        b'<a href="<%url%>">x</a>',
        b'<a href="x"class="y">x</a>',
        b'<svg a="b"><title>x</title><g><a xlink:href="y">1 < 2</a></g></SVG ><a href=z>',
        b'<svg ses:tags="a:b"><path d="M0"/><STYLE>g{}</STYLE><a ses:tags="c:d" href="x"/></svg>',
        b'<!--[if mso]><svg ses:tags="a:b"><a href="x"></svg><svg><text></text></svg><![endif]-->',
    ],
)
def test_usual_documents_are_taken(html: bytes) -> None:
    assert is_taken(html)


@pytest.mark.parametrize(
    "html",
    [
        *(
            b"<a",
            b"<a href",
            b'<a href="',
            b"<!--",
            b"<!--x--",
            b"<style>",
            b"<style></style",
            b"</",
        ),
        *(b"<a href='<b'>", b"<p =x>", b"<p a==x>", b"<a href=>", b'<p x"y>', b"<!-->", b"<!--->"),
        *(b"<svg>", b"<svg/>", b"<svg><p></svg>", b"<svg><!----></svg>", b"<svg><svg></svg></svg>"),
        *(b"<svg><style><g></style></svg>", b"<svg></p></svg>", b"<math></math>"),
        *(b"<plaintext>", b"<script><!--</script>", b"<style><!--[</style>"),
        *(b"</p x='>'>", b"<! <p>", b"<<p>"),
    ],
)
def test_others_are_left_to_the_scanner(html: bytes) -> None:
    assert landmarks(html) is None
    assert quick.tags(html) is None


def test_names_that_begin_like_others_are_names_of_their_own() -> None:
    for name in ("styl", "styles", "s", "titl", "scripts", "svgs", "mat", "xmpx", "textare"):
        assert is_taken(f"<{name}><a href='https://x.example'></{name}>".encode())
