"""Makes nasty documents at random: fragments of every kind that has fooled a scanner, and noise.

One function of a `random.Random`, so that hypothesis can shrink what it makes and a driver can run
through millions of seeds without it.
"""

from collections.abc import Callable, Sequence
from random import Random
from typing import TypeVar

Maker = Callable[[Random], str]
T = TypeVar("T")


def _list(words: str) -> tuple[str, ...]:
    return tuple(words.split())


_WORDS = (
    "x",
    "text",
    "é",
    "книга",
    "質",
    "\U0001f4da",
    "&amp;",
    "&nbsp",
    "1 < 2",
    "a > b",
    "'",
    '"',
)
_SPACES = (" ", "  ", "\n", "\t", "\r\n", "\f", "\r", "/", " / ", "", "\x0b", "\0")
_HREFS = (
    "http://example.com/",
    "https://example.com/a?b=c&amp;d=e#f",
    "HTTP://EXAMPLE.COM",
    "https://example.com/?a&copy=1&copy;&notit;&not",
    "https://example.com/&#128;&#x41;&#0;&#xD800;&#38z",
    "http://example.com/a b",
    "\n http://example.com/x\ty \r\n",
    "ht\ntp://example.com/",
    "http&colon;//example.com/",
    "http://пример.рф/путь",
    "http://[::1]:80/",
    "http:",
    "http://",
    "www.example.com",
    "example.com:8080/x?y",
    "localhost:3000",
    "//example.com/x",
    "#top",
    "",
    "/path",
    "?q=1",
    "page",
    "mailto:a@example.com",
    "tel:112",
    "java\nscript:alert(1)",
    "{{url}}",
    "*|URL|*",
    "%%url%%",
    "[url]",
    "https://own.example/c/AAAA",
    "http://example.com/>",
    "http://example.com/<a href='http://in.example/'>",
    "http://example.com/-->",
    "http://example.com/\0x",
    "http://example.com/='`",
)
_URL_PIECES = (
    *("http:", "https:", "HTTP://", "https:/", "//", "/", "\\", "\\\\", "/.//", "../", "./"),
    *("%2e%2e/", "%2E", "?", "#", "?x=1", "#f", "&", "&amp;", ":", ":80", ":8443", ":99999", "@"),
    *("me:pw@", "www.", "example.com", "shop.example", "host.test", "a.zip", "a.mov", "localhost"),
    *("192.0.2.1", "1.2.3", "[::1]", "story.html", "image.png", "page", "a b", "%", "%zz", "é"),
    *("{{u}}", "{u}", "|u|", "[u]", "%%u%%", "*|U|*", "###U###", "mailto:", "\n", "\t"),
)
_BASES = (
    *("http://base.example", "https://base.example/dir/", "ftp://base.example/", "", "x"),
    *("https://base.example//dir/", "https:/base.example/d/", "https:\\\\base.example\\d\\"),
    *("http://me:pw@base.example:8080/d/f?q#f", "https://base.example/a/%2e%2e/b/", "http://[bad/"),
    *("HTTPS://BASE.example:443/x", "https://base.example/d?q", "//base.example/", "base.example"),
)
_ATTRIBUTES = (
    'class="b"',
    "id=c",
    "download",
    "title='a > b'",
    'title="<a href=http://in.example/>"',
    "x=",
    "=y",
    '"',
    "'",
    "<",
    "<b",
    "`",
    "href",
    "data-href=http://in.example/",
    "xlink:href=http://in.example/",
    "style=color:red",
    "title=<!--",
    'alt="-->"',
    'alt="]]>"',
    "onclick=\"location='http://in.example/'\"",
    "HREF=http://second.example/",
    "src=http://i.example/a",
    "a=b/",
    "a",
    "=",
    "é=é",
    "\0",
)
_TAGS = (
    'postbox:tags="a:b;c:d"',
    "ses:tags=a:b",
    "postbox:tags",
    "POSTBOX:TAGS = 'товар:книга;;x'",
    "ses:no-track",
    'postbox:no-track=""',
    "clicktracking=off",
    'clicktracking="on"',
    "data-pm-no-track",
    "data-msys-clicktrack=0",
    'disable-tracking="true"',
    "mautic:disable-tracking",
    "data-mautic-disable-tracking=false",
    "data-ph-no-track='OFF'",
    "no_jumpurl=1",
    "cm_dontconvertlink",
    'HsTracking="false"',
    'class="x untracked"',
    'class="untracked-not"',
)
_NAMES = _list("a a a a a a A area p td img b abbr a-b v:rect V:Oval link base")
_RAW = _list("script style textarea title xmp noembed noframes iframe SCRIPT plaintext")
_PLAIN = _list(
    "table tr td p b i div template noscript body head html form"
    " button h1 br pre center nobr ul li font caption"
)
_FOREIGN = _list(
    "svg math foreignObject desc mi annotation-xml mtext circle mglyph font g a style title script"
)
_COMMENTS = (
    *("<!---->", "<!-->", "<!--->", "<!----!>", "<!---!>", "<!-->-->", "--!>", "-->", "--", "<!--"),
    *("<!-- x -- >", "<!-- <!-- -->", "<!-- <!--> ", "<!-- <!--->", "<!-- --!x", "<!-- -\0->"),
    *("<!>", "<!x>", "<!- ->", "<! -->", "<?xml version='1.0'?>", "<?x <a>?>", "</>", "</ x>"),
    *("</3 >", "<!doctype html>", '<!DOCTYPE x PUBLIC "a>b">', "<!ENTITY a 'b>"),
    *("]]>", "]] >", "]]]>", "<![if mso]>", "<![endif]>", "<!--<![endif]-->", "<!--[if x]>-->"),
)
_CONDITIONS = ("[if mso]>", "[if gte mso 9]>", "[if !mso]>", "[if (gte mso 9)|(IE)]>")
_NOISE = (
    *_list("< > / </ = \" ' ` ! - -- ? [ ] ]] & ; # &# &#x a A href href= area script style title"),
    *_list("svg math if mso endif CDATA http://e.example é ſ K postbox:tags ses:tags= x 1 : <a"),
    *(" ", "\n", "\r", "\t", "\f", "\0", "\x0b", "\x1f"),
)
_ESCAPES = (
    *("<!--", "-->", "<script", "</script", ">", " ", "/", "<script>", "</script>", "--", "<!-->"),
    *("\0", "</style>"),
)


def document(rng: Random) -> str:
    """Return a document of up to a dozen pieces, sometimes damaged."""
    text = "".join(_pick(rng, _PIECES)(rng) for _ in range(rng.randint(1, 10)))
    return _damaged(rng, text) if rng.randint(0, 3) == 3 else text


def simple_document(rng: Random) -> str:
    """Return a document whose links are all of one plain form: what the identity test needs."""
    makers = (_plain_link, _plain_link, _plain_link, _words, _element, _odd_comment, _plain_raw)
    return _several(rng, makers, 8)


def _pick(rng: Random, items: Sequence[T]) -> T:
    return items[rng.randint(0, len(items) - 1)]


def _words(rng: Random) -> str:
    return "".join(_pick(rng, _WORDS) for _ in range(rng.randint(0, 3)))


def _plain_link(rng: Random) -> str:
    quote = _pick(rng, ('"', "'"))
    attributes = "".join(f" {_pick(rng, _ATTRIBUTES[:5])}" for _ in range(rng.randint(0, 2)))
    url = f"https://example.com/{rng.randint(0, 999)}"
    return f"<a{attributes} href={quote}{url}{quote}>{_words(rng)}</a>"


def _plain_raw(rng: Random) -> str:
    name = _pick(rng, _RAW[:-1])
    return f"<{name}>{_plain_link(rng)}</{name}>"


def _odd_comment(rng: Random) -> str:
    return _pick(rng, _COMMENTS)


def _href(rng: Random) -> str:
    """Return a value: a common one, or one made of the pieces that URLs are made of."""
    if rng.randint(0, 1) == 0:
        return _pick(rng, _HREFS)
    return "".join(_pick(rng, _URL_PIECES) for _ in range(rng.randint(1, 4)))


def _value(rng: Random) -> str:
    value = _href(rng)
    if rng.randint(0, 9) == 9:
        value += _noise(rng)
    return _pick(rng, (f'"{value}"', f'"{value}"', f"'{value}'", value, value.replace(" ", "")))


def _attribute(rng: Random) -> str:
    kind = rng.randint(0, 5)
    if kind <= 2:
        name = _pick(rng, ("href", "href", "href", "HREF", "hr\0ef", "href "))
        equals = _pick(rng, ("=", "=", "=", " = ", "=\n", "=="))
        return f"{name}{equals}{_value(rng)}"
    return _pick(rng, _TAGS) if kind == 3 else _pick(rng, _ATTRIBUTES)


def _tag(rng: Random) -> str:
    if rng.randint(0, 2) == 0:
        return _sane_tag(rng)
    parts = [f"<{_pick(rng, _NAMES)}"]
    for _ in range(rng.randint(0, 4)):
        parts += [_pick(rng, _SPACES) if rng.randint(0, 2) == 2 else " ", _attribute(rng)]
    parts.append(_pick(rng, (">", ">", ">", ">", ">", "/>", " >", " />", "\n>", "", "<")))
    return "".join(parts)


def _sane_tag(rng: Random) -> str:
    """Return a link as people write it, but for its URL and its tags."""
    parts = [f'href="{_href(rng)}"'.replace("\0", "")]
    if rng.randint(0, 2) == 0:
        parts.append(_pick(rng, _TAGS))
    if rng.randint(0, 1) == 0:
        parts.append(_pick(rng, _ATTRIBUTES[:5]))
    rng.shuffle(parts)
    name = _pick(rng, ("a", "a", "A", "area", "v:rect"))
    return f"<{name} {_pick(rng, (' ', chr(10))).join(parts)}>"


def _anchor(rng: Random) -> str:
    return f"{_tag(rng)}{_words(rng)}{_pick(rng, ('</a>', '</a>', '</A >', '', '</a href=x>'))}"


def _element(rng: Random) -> str:
    name = _pick(rng, _PLAIN)
    return _pick(rng, (f"<{name}>", f"</{name}>", f"<{name} class='x'>", f"<{name}/>"))


def _base(rng: Random) -> str:
    base = _pick(rng, _BASES)
    return f"<base href='{base}'>" if rng.randint(0, 3) == 3 else "<base target=_blank>"


def _several(rng: Random, makers: Sequence[Maker], most: int) -> str:
    return "".join(_pick(rng, makers)(rng) for _ in range(rng.randint(0, most)))


def _raw(rng: Random) -> str:
    name = _pick(rng, _RAW)
    if name == "plaintext" and rng.randint(0, 4):
        name = "p"
    inside = _several(rng, (_anchor, _words, _comment, _escapes), 3)
    starts = (f"<{name}>", f"<{name} x='>'>", f"<{name}/>", f"<{name} {_pick(rng, _TAGS)}>")
    ends = (f"</{name}>", f"</{name}>", f"</{name.upper()} >", f"</{name}/>", f"</{name}\n>")
    broken = (f"</{name}\n", f"</{name}x>", "", f"</ {name}>")
    return f"{_pick(rng, starts)}{inside}{_pick(rng, ends if rng.randint(0, 3) else broken)}"


def _escapes(rng: Random) -> str:
    return "".join(_pick(rng, _ESCAPES) for _ in range(rng.randint(1, 6)))


def _comment(rng: Random) -> str:
    if rng.randint(0, 1):
        return _odd_comment(rng)
    return f"<!--{_words(rng)}{_anchor(rng)}{_pick(rng, ('-->', '-->', '--!>', '', '->'))}"


def _conditional(rng: Random) -> str:
    inside = "".join(
        _pick(rng, (_anchor, _anchor, _words, _raw, _comment, _element))(rng)
        for _ in range(rng.randint(0, 3))
    )
    end = _pick(rng, ("<![endif]-->",) * 6 + ("-->", "<![endif]>", ""))
    return f"<!--{_pick(rng, _CONDITIONS)}{inside}{end}"


def _foreign(rng: Random) -> str:
    pieces: tuple[Maker, ...] = (_anchor, _foreign_tag, _foreign_tag, _comment, _element, _words)
    inside = _several(rng, pieces, 4)
    name = _pick(rng, ("svg", "math", "svg"))
    return f"<{name}>{inside}{_pick(rng, (f'</{name}>', f'</{name}>', ''))}"


def _foreign_tag(rng: Random) -> str:
    name = _pick(rng, _FOREIGN)
    attribute = _pick(rng, ("", "", " encoding=text/html", " color=red"))
    return _pick(rng, (f"<{name}{attribute}>", f"<{name}/>", f"</{name}>"))


def _cdata(rng: Random) -> str:
    """Return a CDATA section that certainly is in svg or certainly is not.

    In broken markup it depends on what end tags like </a> close around svg; nobody writes that.
    """
    inside = f"{_words(rng)}{_pick(rng, (' > ', '', ']] > '))}{_anchor(rng)}"
    section = f"<![CDATA[{inside.replace(']]>', '')}{_pick(rng, (']]>', ']]]>'))}"
    name = _pick(rng, ("svg", "math", "p", "div"))
    return f"<{name}>{section}</{name}>{_words(rng)}"


def _noise(rng: Random) -> str:
    return "".join(_pick(rng, _NOISE) for _ in range(rng.randint(1, 8)))


def _damaged(rng: Random, text: str) -> str:
    """Delete, double or insert something in a few places."""
    for _ in range(rng.randint(1, 3)):
        place = rng.randint(0, len(text))
        length = rng.randint(0, 3)
        insert = _noise(rng) if rng.randint(0, 1) else ""
        text = text[:place] + insert + text[place + length :]
    return text


_PIECES: tuple[Maker, ...] = (
    *(_anchor, _anchor, _anchor, _anchor, _anchor, _anchor, _tag, _words, _comment),
    *(_conditional, _conditional, _raw, _foreign, _cdata, _element, _element, _noise, _base),
)
