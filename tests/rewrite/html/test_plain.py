"""Links read in one look: what is said of them is what a closer look says."""

from itertools import product

from clicktrail.base import weburl
from clicktrail.rewrite.html import url as urls
from clicktrail.rewrite.html.hostfirst import begins_with_host
from clicktrail.rewrite.html.markup import OPT_OUTS
from clicktrail.rewrite.html.plain import PLAIN_HREF, PLAIN_LINK
from clicktrail.rewrite.html.references import decode_attribute

PIECES = (
    *(
        "http://",
        "HTTPS://",
        "http:/",
        "//",
        "/",
        "\\",
        "www.",
        "a_b.example",
        "-a.example",
        "a._b.example",
    ),
    *("shop.example", "xn--a.example", "a.xn--b", "a--b.com", "1.2.3.4", "localhost", ".", ".."),
    *(":80", ":65536", ":", "?", "#", "##", "###U###", "%20", "%zz", "%%u%%", "%u%", "story.html"),
    *(
        "&",
        "&amp;",
        "&amp",
        "&copy=",
        "&copy",
        "&copy;",
        "&a=",
        "&a_b=",
        "&#38;",
        "a",
        "~",
        "@",
        "é",
    ),
    *(
        "{{u}}",
        "{u}",
        "${u}",
        "*|U|*",
        "[u]",
        "$",
        "*",
        "|",
        "'",
        "`",
        "^",
        "<",
        ">",
        " ",
        "\t",
        "\0",
    ),
)
BEGINNINGS = ("", "http://shop.example/", "https://a.b-c.example:8080/?x=", "shop.example/")
VALUES = [
    *map("".join, product(BEGINNINGS, PIECES, PIECES)),
    *map("".join, product(("http://", "//"), PIECES, ("", "/", "?", "#", "b.com"))),
]


def is_as_it_stands(value: str) -> bool:
    """Whether no rule removes or refuses anything of a URL, and no placeholder is in it."""
    plain = value == weburl.stripped(value) and weburl.serialized(value) is not None
    return plain and urls._UNFILLED.search(value) is None


def test_a_url_that_is_taken_at_a_look_is_one_as_it_stands() -> None:
    count = 0
    for value in VALUES:
        link = PLAIN_LINK.match(f'<a href="{value}">'.encode())
        if link is not None and (taken := link[PLAIN_HREF]) is not None:
            url = taken.decode().replace("&amp;", "&")
            assert url == decode_attribute(value)
            assert is_as_it_stands(url), value
            assert urls.classify(value, "https://base.example/") == (url, "http")
            count += 1
    assert count > len(VALUES) // 10


def test_a_usual_value_is_classified_as_any_other() -> None:
    for value in VALUES:
        written = decode_attribute(value)
        usual = urls._USUAL.match(written)
        if usual is None:
            continue
        url, why = urls.classify(value, None)
        is_bare = not usual[1] and not usual[2]
        assert (why == "no-scheme") == (is_bare and begins_with_host(written)), value
        assert url is None or is_as_it_stands(url)


def test_no_link_that_is_not_to_be_tracked_is_taken_at_a_look() -> None:
    for name in OPT_OUTS:
        for written in (name, name.upper(), name.title()):
            for given_ in (b"", b"=off", b'="off"', b"='0'", b' = "true"'):
                attribute = b" " + written + given_
                assert not PLAIN_LINK.match(b'<a%b href="https://a.example/">' % attribute)
                assert not PLAIN_LINK.match(b'<a href="https://a.example/"%b>' % attribute)
