"""What API and console read of requests takes as long as it is, and no longer."""

from collections.abc import Callable

import pytest
from starlette.requests import Request

from clicktrail.console.clicks.live import Filter
from clicktrail.console.entry.cookies import cookie
from clicktrail.console.numbers.selection import Selection
from clicktrail.doors.budget import Budget
from clicktrail.doors.forwarded import Visitors
from clicktrail.errors import ClicktrailError
from clicktrail.ingress.rewriting import _without_tokens
from clicktrail.ingress.sesv2.api import SesV2
from clicktrail.ingress.sesv2.missing import NOT_HERE
from clicktrail.ingress.sesv2.operations import ApiRequest, Operation, Router, body_of, query_of
from clicktrail.ingress.sesv2.send_shapes import SendEmailRequest
from clicktrail.ingress.sesv2.set_shapes import CreateSet
from clicktrail.ingress.sesv2.sigv4 import MOST_HEADERS, SigV4Authenticator, _signature
from clicktrail.model import Message, Rules
from clicktrail.publish.destinations.aws import _reason, record_errors
from clicktrail.redirect.altered import candidates
from clicktrail.redirect.location import location, passed_on
from clicktrail.rewrite.html.tags import parse_tags
from clicktrail.rules.links import staying
from clicktrail.rules.matching import readers_first
from clicktrail.store.finding.texts import Query, text_of
from clicktrail.store.mail.html import link_texts
from clicktrail.store.people.person import Person
from limits.growth import MIB, Row, check_growth
from support.limits import message_with

HEADERS = 256 * 1024
"""More than the server takes of one request's head."""
URL = 64 * 1024
BODY = MIB
FIRST = '{"ConfigurationSetName":"a","DeliveryOptions":'
TO = '{"Content":{},"Destination":{"ToAddresses":['
PLACE = "<b href=#clicktrail-1>"
RECORD = '{"ErrorCode":"a"},'


def alter(path: str) -> None:
    list(candidates(path.encode()))


def text(piece: str, before: str = "", after: str = "") -> Callable[[int], str]:
    return lambda size: before + piece * (size // len(piece)) + after


def raw(piece: str, before: str = "", after: str = "") -> Callable[[int], bytes]:
    make = text(piece, before, after)
    return lambda size: make(size).encode()


def refusing(parse: Callable[..., object]) -> Callable[..., object]:
    def parsing(given: object) -> object:
        try:
            return parse(given)
        except ClicktrailError:
            return None

    return parsing


def reading(shape: type) -> Callable[..., object]:
    operation = Operation("x", "POST", "/x", "send", None, shape)  # type: ignore[arg-type]
    return refusing(lambda given: body_of(operation, given))


def request(name: str, value: str = "", query: str = "") -> Request:
    headers = [(name.encode(), value.encode("latin-1"))]
    scope = {"type": "http", "headers": headers, "query_string": query.encode(), "path": "/"}
    return Request(scope)


def signed(size: int) -> tuple[ApiRequest, list[str]]:
    names = [f"x-{n}" for n in range(min(size // 8, MOST_HEADERS))]
    headers = dict.fromkeys(names, " a  b" * (size // (5 * len(names)) + 1))
    return ApiRequest("POST", "/v2/email/x", "", headers, b""), names


def asked(piece: str) -> Callable[[int], tuple[ApiRequest, list[str]]]:
    def make(size: int) -> tuple[ApiRequest, list[str]]:
        query = piece * (size // len(piece))
        return ApiRequest("GET", "/v2/email/x", query, {"host": "x"}, b""), ["host"]

    return make


def sign(given: tuple[ApiRequest, list[str]]) -> object:
    return _signature(given[0], given[1], "20260101T000000Z", "r", "ses", "secret")


def authorization(given: str) -> object:
    authenticator = SigV4Authenticator(None)  # type: ignore[arg-type]
    asking = authenticator.authenticate(ApiRequest("GET", "/", "", {"authorization": given}, b""))
    try:
        return asking.send(None)
    except (ClicktrailError, StopIteration):
        return None


def page(size: int) -> tuple[str, dict[int, str]]:
    made = {n: f"http://t.example/c/{n:040}" for n in range(size // 80)}
    return "".join(f'<a href="{url}">x</a>\n' for url in made.values()), made


def headers(names: int) -> Callable[[int], Request]:
    """Return a maker of a request with very many headers of so many names."""

    def make(size: int) -> Request:
        lines = [(f"x{n % names}".encode(), b"") for n in range(size // 4)]
        scope = {"type": "http", "method": "POST", "raw_path": b"/", "query_string": b""}
        return Request({**scope, "headers": lines})

    return make


def head(given: Request) -> object:
    keys = SigV4Authenticator(None)  # type: ignore[arg-type]
    return SesV2(keys, (), MIB, Budget(MIB, MIB), Visitors(()))._head(given)


def cookies(given: str) -> object:
    return cookie(request("cookie", given), "c")


def selection(given: str) -> object:
    return Selection.of(request("a", query=given))


def live_filter(given: str) -> object:
    return Filter.of(request("a", query=given))


def words(size: int) -> Message:
    return message_with(subject="ab " * (size // 3))


def addresses(size: int) -> Message:
    return message_with(to="a@b.c, " * (size // 7))


def email_tags(size: int) -> Message:
    return message_with(tags={"a": ["b"] * (size // 4)})


def passed(given: bytes) -> object:
    return passed_on(given, "https://a.example/?a=1")


def passed_to_itself(given: bytes) -> object:
    return passed_on(b"b", f"https://a.example/?{given.decode()}")


def unsubscribe(given: str) -> object:
    return staying(Rules(track_unsubscribe=False), [given])


def recipients(size: int) -> tuple[str, ...]:
    return tuple(f"{number}@{name}.example" for name in "ab" for number in range(size // 24))


def archived(given: tuple[str, ...]) -> object:
    return readers_first(given, ["@a.example"])


records = refusing(lambda given: record_errors(given, 1))
escapes = raw("\\u0041", '{"ConfigurationSetName":"', '"}')
CREDENTIAL = "AWS4-HMAC-SHA256 Credential=A/20260101/r/ses/aws4_request"
signed_names = text("a;", f"{CREDENTIAL}, SignedHeaders=")
ROWS = [
    Row("headers of one name", headers(1), head, HEADERS),
    Row("headers of many names", headers(HEADERS), head, HEADERS),
    Row("cookies", text("a=b; "), cookies, HEADERS),
    Row("a quoted cookie", text("\\", 'c="', '"'), cookies, HEADERS),
    Row("escapes in a cookie", text('\\"', 'c="', '"'), cookies, HEADERS),
    Row("signed headers", signed, sign, HEADERS),
    Row("a signed query", asked("a=b&"), sign, HEADERS),
    Row("a signed query of escapes", asked("%2F%"), sign, HEADERS),
    Row(
        "names of signed headers",
        text("a;", f"{CREDENTIAL}, SignedHeaders="),
        authorization,
        HEADERS,
    ),
    Row("spaces in Authorization", text(" ", CREDENTIAL), authorization, HEADERS),
    Row("commas in Authorization", text(" , ", CREDENTIAL), authorization, HEADERS),
    Row("a query", text("a=b&"), refusing(query_of), HEADERS),
    Row("a path", text("/a"), refusing(lambda it: Router((), NOT_HERE).find("GET", it)), HEADERS),
    Row("a body of lists", raw("["), reading(CreateSet), BODY),
    Row("a body of objects", raw('{"a":'), reading(CreateSet), BODY),
    Row("nested options", raw('{"a":', FIRST), reading(CreateSet), BODY),
    Row("a body of members", raw('"a":[1],', "{", '"b":1}'), reading(CreateSet), BODY),
    Row("many recipients", raw('"a@b.c",', TO, '"a@b.c"]}}'), reading(SendEmailRequest), BODY),
    Row("a long number", raw("9", '{"Content":'), reading(SendEmailRequest), BODY),
    Row("escapes in a body", escapes, reading(CreateSet), BODY),
    Row("a search", text("a "), refusing(Query.parse), HEADERS),
    Row("a search of brackets", text("<"), refusing(Query.parse), HEADERS),
    Row("a search of tags", text("a=b="), refusing(Query.parse), HEADERS),
    Row("a search of addresses", text("@,"), refusing(Query.parse), HEADERS),
    Row("parameters handed on", raw("a%=b&"), passed, HEADERS),
    Row("parameters that are there", raw("a;%;"), passed_to_itself, HEADERS),
    Row("links to unsubscribe", text("<a>, <"), unsubscribe, HEADERS),
    Row("an open link to unsubscribe", text(" a", "<"), unsubscribe, HEADERS),
    Row("recipients and archives", recipients, archived, BODY),
    Row("filters of statistics", text("tag=a=b&"), selection, HEADERS),
    Row("days of statistics", text("2", "since="), selection, HEADERS),
    Row("filters of live clicks", text("url=a&"), live_filter, HEADERS),
    Row("tags of a link", text("a:b;"), parse_tags, BODY),
    Row("tags of a link, all white", text(" \t"), parse_tags, BODY),
    Row("tags of a link, all colons", text(":"), parse_tags, BODY),
    *(
        Row(f"texts of links: {piece!r}", text(piece), lambda it: link_texts([it]), BODY)
        for piece in (PLACE, *(PLACE + each * 200 for each in ("<", "<!--", ' alt="', "&amp")))
    ),
    Row("tracking links in kept HTML", page, lambda it: _without_tokens(*it), BODY),
    *(
        Row(f"an altered link of {piece!r}", text(piece, "A" * 50), alter, URL)
        for piece in ("A", "=", "=3D", "%20", "A%0A", "%E2%80%8B", ".")
    ),
    Row("a URL of letters", text("\u00e9", "http://"), location, URL),
    Row("a URL of labels", text("\u00e9.", "http://"), location, URL),
    Row("a URL of marks", text("\u0301\u0316", "http://a"), location, URL),
    Row("a URL of escapes", text("%\u00e9 ", "http://a/"), location, URL),
    Row("an answer of a destination", raw("["), lambda it: _reason(400, it), BODY),
    Row("records of an answer", raw(RECORD, '{"Records":[', "{}]}"), records, BODY),
    Row("words to be found by", words, text_of, BODY),
    Row("addresses to be found by", addresses, text_of, BODY),
    Row("an address without end", lambda size: message_with(to="a" * size), text_of, BODY),
    Row("tags to be found by", email_tags, text_of, BODY),
    Row("a person in a text", text("a@b.c.", "", "x"), Person("a@b.c").is_in, BODY),
    Row("a person in escapes", text("%25"), Person("a@b.c").is_in, BODY),
]


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_time_grows_with_the_request_and_no_faster(row: Row) -> None:
    check_growth(row.shorter())


@pytest.mark.long
@pytest.mark.parametrize("row", ROWS, ids=str)
def test_time_grows_with_the_request_and_no_faster_up_to_the_limit(row: Row) -> None:
    check_growth(row)
