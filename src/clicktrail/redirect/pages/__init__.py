"""The answers: head and body, as bytes. Nothing of a request is in them but the known link.

No ``Referrer-Policy``: the site that is redirected to sees the ``Referer`` that it would have seen
without tracking (of the page with the email, under that page's policy), never the tracking link.
"""

Answer = tuple[bytes, bytes]
"""Status line and headers, each with its CRLF; and the body."""

_COMMON = b"X-Robots-Tag: noindex\r\nX-Content-Type-Options: nosniff\r\n"
_HTML = b"Content-Type: text/html; charset=utf-8\r\n" + _COMMON
_TEXT = b"Content-Type: text/plain; charset=utf-8\r\n" + _COMMON
_NOT_STORED = b"Cache-Control: no-store\r\n"


def _answer(status: bytes, headers: bytes, body: bytes = b"") -> Answer:
    return b"HTTP/1.1 %b\r\n%bContent-Length: %d\r\n" % (status, headers, len(body)), body


# RFC 9110 § 15.4.3: "a short hypertext note with a hyperlink to the different URI".
_NOTE_BEGIN, _NOTE_END = b'<!doctype html><title>Redirect</title><a href="', b'">Continue</a>\n'
_TO = b"HTTP/1.1 302 Found\r\nLocation: "
_REDIRECT = b"\r\n" + _NOT_STORED + _HTML + b"Content-Length: "
_LENGTHS = tuple(b"%d\r\n" % length for length in range(1000))


_JSON = b"Content-Type: application/json\r\n" + _COMMON


def json_object(body: bytes) -> Answer:
    """Return an answer for a program."""
    return _answer(b"200 OK", _NOT_STORED + _JSON, body)


def octets(body: bytes) -> Answer:
    """Return an answer that is no text: RFC 8555 § 8.3 names this type."""
    return _answer(
        b"200 OK", _NOT_STORED + b"Content-Type: application/octet-stream\r\n" + _COMMON, body
    )


def json_file(body: bytes) -> Answer:
    """Return a file that is served as it is."""
    return _answer(b"200 OK", b"Cache-Control: max-age=300\r\n" + _JSON, body)


def redirect_to(url: bytes) -> Answer:
    """Return the redirect to a URL as `location` makes it: without white space, ``"<>``."""
    # HTML § 13.1.2.3: of what is left, only "&" has a meaning in a quoted attribute value.
    body = b"".join((_NOTE_BEGIN, url.replace(b"&", b"&amp;"), _NOTE_END))
    length = len(body)
    end = _LENGTHS[length] if length < len(_LENGTHS) else b"%d\r\n" % length
    return b"".join((_TO, url, _REDIRECT, end)), body


def page(status: bytes, body: bytes) -> Answer:
    """Return a page for people."""
    return _answer(status, _NOT_STORED + _HTML + _POLICY, body)


_POLICY = (
    b"Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline';"
    b" img-src https: data:; form-action 'self'; frame-ancestors 'none'\r\n"
)

NOT_THE_FORM = _answer(
    b"400 Bad Request",
    _NOT_STORED + _TEXT,
    b"To unsubscribe, POST List-Unsubscribe=One-Click (RFC 8058).\n",
)

PIXEL = _answer(
    b"200 OK",
    _NOT_STORED + b"Content-Type: image/gif\r\n" + _COMMON,
    # GIF89a, one transparent pixel: 43 bytes, the smallest that all programs show.
    bytes.fromhex(
        "474946383961 01000100800000 000000000000 21f9040100000000 2c00000000010001000002024401003b"
    ),
)
"""The image that tells of opens."""

PREFETCH = _answer(b"503 Service Unavailable", _NOT_STORED + _TEXT)
"""For a program that fetches ahead: it will ask again when the person clicks."""

FORM_METHODS = _answer(
    b"405 Method Not Allowed", b"Allow: GET, HEAD, POST\r\n" + _NOT_STORED + _TEXT
)
METHODS = _answer(b"405 Method Not Allowed", b"Allow: GET, HEAD\r\n" + _NOT_STORED + _TEXT)
ROBOTS = _answer(
    b"200 OK", b"Cache-Control: max-age=86400\r\n" + _TEXT, b"User-agent: *\nDisallow: /\n"
)
NO_FILE = _answer(b"404 Not Found", _NOT_STORED + _TEXT)
FAVICON = _answer(b"404 Not Found", b"Cache-Control: max-age=86400\r\n" + _TEXT)
DOMAIN_IS_OURS = _answer(b"200 OK", _NOT_STORED + _TEXT, b"yes\n")
DOMAIN_NOT_OURS = _answer(b"404 Not Found", _NOT_STORED + _TEXT, b"no\n")
DOMAIN_IS_UNKNOWN = _answer(
    b"503 Service Unavailable", _NOT_STORED + _TEXT, b"unknown: the configuration cannot be read\n"
)
