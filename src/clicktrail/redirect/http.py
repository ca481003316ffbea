"""HTTP/1.1 on one connection: request heads in, answers out, one at a time.

The syntax is judged by llhttp (httptools), which Node.js uses. What is read here from a head is
read after that judgement. It is remembered of the simplest requests: browsers have most header
lines in common. Bodies are read where they are asked for (`Connection.receive`) alone: a request
that has one ends its connection, so that nobody can smuggle a request in it (RFC 9112 § 11.2).
"""

import asyncio
import string
from collections.abc import Callable
from typing import cast

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from clicktrail.base.logs import get_logger
from clicktrail.doors.connections import Stage
from clicktrail.doors.forwarded import peer_address
from clicktrail.redirect.exchange import Office

HEADERS_LIMIT = 8192
"""Most bytes of all header lines together; more is answered 431 (RFC 6585 § 5)."""

LINE_LIMIT = 16384
"""Most bytes of the request line; more is answered 414. The longest token has some 11,000."""

_END = b"\r\n\r\n"

_REMEMBERED, _REMEMBERED_LIMIT = 1024, 1024
"""So many judgements are remembered, each of at most so many bytes."""

_VERSION = b" HTTP/1.1\r\n"
_LETTERS = (string.ascii_letters + string.digits + "/-_").encode()
_PLAIN = bytes(byte if byte in _LETTERS else 255 - byte for byte in range(256))
"""Leaves a target as it is that is a path (RFC 9112 § 3.2.1) of letters as tokens have."""

log = get_logger(__name__)

_BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n"
_INTERNAL_ERROR = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n"
_URI_TOO_LONG = b"HTTP/1.1 414 URI Too Long\r\nContent-Length: 0\r\n"
_CONTENT_TOO_LARGE = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n"
_HEADERS_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Length: 0\r\n"


class Connection(asyncio.Protocol):
    """One client. It is an `Exchange` for its current request."""

    __slots__ = (
        "_begun",
        "_body",
        "_buffer",
        "_busy",
        "_complete",
        "_ending",
        "_eof",
        "_keep",
        "_limit",
        "_lower",
        "_office",
        "_parser",
        "_paused",
        "_reading",
        "_served",
        "_serving",
        "_then",
        "_transport",
        "active_at",
        "fields",
        "method",
        "peer",
        "target",
    )

    def __init__(self, office: Office) -> None:
        self._office = office
        self._parser = HttpRequestParser(self)
        self._buffer = b""
        self._busy = False
        """Whether an answer is awaited."""
        self._ending = False
        """Whether the last answer is given, and the client is yet to hang up."""
        self._eof = False
        """Whether the client has said all."""
        self._paused = False
        """Whether the client does not read what we write."""
        self._reading = True
        self._serving = False
        self._keep = self._complete = False
        self._body, self._limit = b"", 0
        self._then: Callable[[bytes], None] | None = None
        """Who waits for a body."""
        self.fields = self._lower = b""
        self._transport = cast(asyncio.Transport, None)
        self.method = self.target = b""
        self.peer = ""
        self._served = False
        """Whether a request has been answered."""
        self._begun = False
        """Whether the beginning of the next one is here."""
        self.active_at = 0.0
        """When the client was last answered, or began a request: `Office.now`."""

    # Exchange

    def header(self, name: bytes) -> bytes | None:
        """See `Exchange.header`."""
        return next(iter(self.headers(name)), None)

    def headers(self, name: bytes) -> list[bytes]:
        """See `Exchange.headers`."""
        found = []
        start = 0
        fields = self.fields
        lower = self._lower = self._lower or fields.lower()
        while (start := lower.find(b"\r\n" + name + b":", start)) >= 0:
            start += len(name) + 3
            found.append(fields[start : fields.find(b"\r\n", start)].strip(b" \t"))
        return found

    def receive(self, limit: int, then: Callable[[bytes], None]) -> None:
        """See `Exchange.receive`."""
        self._limit, self._then = limit, then
        # RFC 9110 § 10.1.1: the client may wait for this.
        if not self._complete and (self.header(b"expect") or b"").lower() == b"100-continue":
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._take_body()

    def answer(self, head: bytes, body: bytes = b"") -> None:
        """See `Exchange.answer`."""
        office = self._office
        self._busy = False
        if self._ending:  # the client has gone
            return
        self._served = True
        self._begun = bool(self._buffer)
        if self._keep and not office.closing:
            self._transport.write(b"".join((head, office.date, b"\r\n", body)))
            self.active_at = office.now
            if self._buffer or self._eof:
                self._serve()
        else:
            self._transport.write(b"%b%bConnection: close\r\n\r\n%b" % (head, office.date, body))
            self._end()

    # Of the server

    @property
    def busy(self) -> bool:
        """Whether an answer is on its way: not while the client is still asking."""
        return self._busy and self._then is None

    @property
    def stage(self) -> Stage:
        """See `Client.stage`."""
        return Stage.AT_WORK if self.busy else Stage.SILENT

    @property
    def ending(self) -> bool:
        """Whether the last answer is given, and the client is yet to hang up."""
        return self._ending

    @property
    def begun(self) -> bool:
        """Whether a request is due: its beginning is here, or it is the first."""
        return self._begun or not self._served

    def close(self) -> None:
        """Hang up, after what has been written is sent."""
        self._transport.close()

    def abort(self) -> None:
        """Hang up at once."""
        self._transport.abort()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take note of a client."""
        self._transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        self.peer = peer_address(peer[0]) if peer else ""
        self.active_at = self._office.now
        self._office.enter(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget a client."""
        self._office.leave(self)
        self._ending = True
        self._buffer = b""
        self._then = None
        self._parser = cast(HttpRequestParser, None)  # it refers to us: not left for the collector

    def data_received(self, data: bytes) -> None:
        """Take what the client says."""
        if self._ending:
            return
        if not self._begun:
            self._begun = True
            self.active_at = self._office.now  # not with every byte: a slow client is cut off
            if not (self._busy or self._paused or self._serving) and self._is_simple(data):
                return
        self._buffer = self._buffer + data if self._buffer else data
        self._serve()
        if self._reading and len(self._buffer) > LINE_LIMIT + HEADERS_LIMIT:
            self._reading = False
            self._transport.pause_reading()  # it asks faster than it is answered

    def eof_received(self) -> bool:
        """Answer what was asked before a client went silent for good (``shutdown(SHUT_WR)``)."""
        self._eof = True
        return self.busy or self._paused or self._serving

    def pause_writing(self) -> None:
        """Take no more requests from a client that does not read the answers."""
        self._paused = True

    def resume_writing(self) -> None:
        """Go on."""
        self._paused = False
        self._serve()

    # httptools

    def on_url(self, url: bytes) -> None:
        """Keep the request target."""
        self.target += url

    def on_headers_complete(self) -> None:
        """Keep what the parser knows only now."""
        self.method = self._parser.get_method()
        self._keep = self._parser.should_keep_alive()

    def on_body(self, body: bytes) -> None:
        """Keep the body, as far as it may go. What comes behind it is not looked at."""
        if not self._complete and len(self._body) <= self._limit:
            self._body += body

    def on_message_complete(self) -> None:
        """Note that the request has no body (or that all of it is here)."""
        self._complete = True

    def _is_simple(self, data: bytes) -> bool:
        """Handle a request that has all but its target in common with one that llhttp has judged.

        That was a ``GET`` without a body, on a connection that goes on.
        """
        if data[:5] != b"GET /":
            return False
        line = data.find(_VERSION, 4)
        fields = self._office.judged.get(data[line:])
        if fields is None:
            return False
        target = data[4:line]
        if target.translate(_PLAIN) != target or line > LINE_LIMIT - len(_VERSION):
            return False
        self.method, self.target, self.fields, self._lower = b"GET", target, fields, b""
        self._complete = self._keep = self._busy = True
        try:
            self._office.handler(self)
        except Exception:
            self._fail()
        return True

    def _serve(self) -> None:
        """Handle the requests that are here, up to one that cannot be answered at once.

        After each it is the turn of others: uvloop lets in one client in each round of the loop.
        """
        if self._serving:
            return
        self._serving = True
        if self._may_serve() and self._next() and self._buffer and self._may_serve():
            asyncio.get_running_loop().call_soon(self._go_on)
            return
        self._serving = False
        if self._then is not None:
            self._take_body()
        if self._eof and not (self._busy or self._paused or self._ending):
            self._transport.close()
        if not self._reading and len(self._buffer) <= LINE_LIMIT + HEADERS_LIMIT:
            self._reading = True
            self._transport.resume_reading()

    def _may_serve(self) -> bool:
        return bool(self._buffer) and not (self._busy or self._paused or self._ending)

    def _go_on(self) -> None:
        self._serving = False
        self._serve()

    def _next(self) -> bool:
        """Handle one request; ``False`` when its head is not all here."""
        data = self._buffer
        if data[0] in b"\r\n":
            data = data.lstrip(b"\r\n")  # RFC 9112 § 2.2: empty lines before a request
            self._buffer = data
        if not data:
            return False
        end = data.find(_END)
        line = data.find(b"\r\n")
        if (line if line >= 0 else len(data)) > LINE_LIMIT:
            self._refuse(_URI_TOO_LONG)
            return False
        if line >= 0 and (end if end >= 0 else len(data)) - line > HEADERS_LIMIT:
            self._refuse(_HEADERS_TOO_LARGE)
            return False
        if end < 0:
            return False
        end += len(_END)
        if end == len(data):
            head, self._buffer = data, b""
        else:
            head, self._buffer = data[:end], data[end:]
        self._handle(head, line)
        return True

    def _handle(self, head: bytes, line: int) -> None:
        self._complete = False
        self.target = b""
        try:
            self._parser.feed_data(head)
        except HttpParserUpgrade:  # RFC 9110 § 7.8: it may be ignored
            self._keep = False
        except HttpParserError:
            self._refuse(_BAD_REQUEST)
            return
        version = line - len(_VERSION) + 2
        if not self._complete or head[version : line + 2] != _VERSION:
            self._keep = False  # a body follows, or the client is of another age
        if not self.target:
            self._refuse(_BAD_REQUEST)
            return
        self.fields, self._lower = head[line:-2], b""
        if self._keep and self.method == b"GET" and len(self.fields) <= _REMEMBERED_LIMIT:
            judged = self._office.judged
            if len(judged) >= _REMEMBERED:
                judged.clear()
            judged[head[version:]] = self.fields
        self._busy = True
        try:
            self._office.handler(self)
        except Exception:
            self._fail()

    def _take_body(self) -> None:
        """Read what is here of the body that somebody waits for."""
        method, target = self.method, self.target
        data, self._buffer = self._buffer, b""
        try:
            if data and not self._complete:
                self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            if not self._complete:
                self._then = None
                self._refuse(_BAD_REQUEST)
                return
        # Not those of what comes behind the body: the connection ends.
        self.method, self.target, self._keep = method, target, False
        if len(self._body) > self._limit:
            self._then = None
            self._refuse(_CONTENT_TOO_LARGE)
        elif self._complete and self._then is not None:
            then, self._then = self._then, None
            try:
                then(self._body)
            except Exception:
                self._fail()

    def _fail(self) -> None:
        log.exception("a request could not be answered")
        if self._busy:
            self._refuse(_INTERNAL_ERROR)

    def _refuse(self, head: bytes) -> None:
        self._keep = False
        self.answer(head)

    def _end(self) -> None:
        """Close so that the answer arrives: not while the client is still sending.

        RFC 9112 § 9.6: first the half of the connection that we write.
        """
        self._ending = True
        self._buffer = b""
        self.active_at = self._office.now
        if self._eof or not self._transport.can_write_eof():
            self._transport.close()
        else:
            self._transport.write_eof()
            if not self._reading:
                self._reading = True
                self._transport.resume_reading()
