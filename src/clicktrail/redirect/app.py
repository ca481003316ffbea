"""The way of a click: open the token, log the click, redirect. No look-up, no store."""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Protocol
from urllib.parse import unquote

from clicktrail.base.ids import new_id, now_us
from clicktrail.base.logs import get_logger
from clicktrail.base.metrics import Metrics
from clicktrail.doors.forwarded import Visitors
from clicktrail.errors import InvalidToken, JournalUnavailable
from clicktrail.journal import Journal
from clicktrail.keys.token import OPEN_PATH, PATH, UNSUBSCRIBE_PATH, Opened
from clicktrail.model import OPEN_LINK, UNSUBSCRIBE_LINK, Click, Request, Subscription
from clicktrail.redirect.altered import candidates
from clicktrail.redirect.changes import Changes
from clicktrail.redirect.exchange import Exchange
from clicktrail.redirect.forms import FORM_LIMIT, chosen_topics, is_one_click
from clicktrail.redirect.location import location, passed_on
from clicktrail.redirect.pages import (
    FAVICON,
    FORM_METHODS,
    METHODS,
    NOT_THE_FORM,
    PIXEL,
    PREFETCH,
    ROBOTS,
    Answer,
    redirect_to,
)
from clicktrail.redirect.pages.public import PublicPages
from clicktrail.redirect.visitor import look, seen_before
from clicktrail.settings.kinds import Network

log = get_logger(__name__)

TELL_SECONDS = 1.0
"""How often the log tells of clicks that cannot be logged."""

_PATH, _OPEN_PATH, _UNSUBSCRIBE_PATH = PATH.encode(), OPEN_PATH.encode(), UNSUBSCRIBE_PATH.encode()
_SPECIAL = OPEN_LINK
"""From this number on, links are none that lead anywhere."""
_HEAD = Request.HEAD


class Pages(Protocol):
    """What else there is beside tracking links."""

    def handle(self, exchange: Exchange, path: bytes) -> bool:
        """Answer a ``GET`` or ``HEAD``, now or later; ``False`` where it is for somebody else."""


class RedirectApp:
    """Answers the requests of people who click tracking links (behaviour § 6), of the programs
    that show them emails with the image that tells of opens, and of who unsubscribes.

    ``open_token`` raises `InvalidToken` for a token that is not ours. ``clicks``, ``opens`` and
    ``unsubscribes`` say how many were logged, ``unlogged`` how many were answered and could not be,
    ``not_found`` counts bad tokens. ``pages`` answers other paths, ``public`` makes the pages that
    people see.
    """

    def __init__(
        self,
        open_token: Callable[[str], Opened],
        journal: Journal,
        trusted_proxies: Sequence[Network] = (),
        metrics: Metrics | None = None,
        pages: Pages | None = None,
        public: PublicPages | None = None,
    ) -> None:
        self._open = open_token
        self._journal = journal
        self._visitors = Visitors(trusted_proxies)
        # Behind a proxy no two visitors send the same: it adds their addresses.
        self._look = look if trusted_proxies else seen_before
        self._pages = pages
        self._public = public or PublicPages()
        self._changes = Changes()
        self._metrics = metrics or Metrics()
        self._sent_on = self._metrics.redirects.labels("302")
        self._gone = self._metrics.redirects.labels("410")
        self._shown = self._metrics.redirects.labels("200")
        self._waiting: list[tuple[Click, Exchange, bytes, bytes]] = []
        self._logging: set[asyncio.Task[None]] = set()
        self.clicks = self.opens = self.unsubscribes = 0
        self.unlogged = 0
        self.not_found = 0
        self._untold = 0
        """Clicks that could not be logged, and of which the log does not tell yet."""
        self._why: Exception | None = None
        self._telling: asyncio.TimerHandle | None = None

    def follow(self, changes: Changes) -> None:
        """Lead links where they lead from now on. May be called from any thread."""
        self._changes = changes

    def handle(self, exchange: Exchange) -> None:
        """Answer a request; a click is answered when it is durable."""
        method = exchange.method
        target = exchange.target
        if not target.startswith(b"/"):
            target = _path_of(target)
        path, _, query = target.partition(b"?")
        if method == b"GET" and path.startswith(_PATH):  # nearly all are
            self._click(path[len(_PATH) :], query, exchange)
        elif method not in (b"GET", b"HEAD"):
            if path.startswith(_UNSUBSCRIBE_PATH):
                self._unsubscribe(path[len(_UNSUBSCRIBE_PATH) :], exchange)
            else:
                exchange.answer(*METHODS)
        elif path.startswith(_PATH):
            self._click(path[len(_PATH) :], query, exchange)
        elif path.startswith(_OPEN_PATH):
            self._click(path[len(_OPEN_PATH) :], query, exchange, image=True)
        elif path.startswith(_UNSUBSCRIBE_PATH):
            self._unsubscribe(path[len(_UNSUBSCRIBE_PATH) :], exchange)
        elif self._pages is None or not self._pages.handle(exchange, path):
            found = {b"/robots.txt": ROBOTS, b"/favicon.ico": FAVICON}.get(path)
            if path == b"/":
                found = self._public.home
            head, body = found or self._not_found(exchange)
            exchange.answer(head, body if method == b"GET" else b"")

    async def drain(self) -> None:
        """Return when the clicks of all requests so far are logged, or it is told that not."""
        while self._waiting or self._logging:
            await asyncio.sleep(0)
            if self._logging:
                await asyncio.wait(self._logging)
        self._tell()

    def _click(
        self, token: bytes, query: bytes, exchange: Exchange, *, image: bool = False
    ) -> None:
        get = exchange.method == b"GET"
        opened, altered = self._opened(token)
        if opened is None or (opened.link != OPEN_LINK if image else opened.link >= _SPECIAL):
            self._deny(exchange)
            return
        visitor = self._look(exchange.fields)
        if visitor.is_prefetch:
            self._metrics.redirects.labels("503").inc()
            exchange.answer(*PREFETCH)
            return
        changes = self._changes
        change = changes.of(opened) if opened.url in changes.urls else None
        destination = "" if change is None else change.destination
        if image:
            head, body = PIXEL
        elif change is not None and destination is None:
            accepted = exchange.header(b"accept-language")
            head, body = self._public.blocked(accepted, change.because)
        else:
            url = destination or opened.url
            if query and opened.passes:
                url = passed_on(query, url)
            head, body = redirect_to(location(url))
        if changes.spared and changes.spares(opened.digest):
            self._metrics.redirects.labels(head[9:12].decode()).inc()
            exchange.answer(head, body if get else b"")
            return
        at = now_us()
        # Of an anonymous set, address and User-Agent are never kept: not even here.
        nameless = not opened.digest
        click = Click(
            new_id(at),
            opened.message_id,
            opened.link,
            opened.url,
            at,
            "" if nameless else self._visitors.address(exchange),
            "" if nameless else visitor.user_agent,
            # A HEAD is no click, and says something of the clicks around it.
            visitor.request | altered | (0 if get else _HEAD),
            destination,
        )
        self._enqueue(click, exchange, head, body if get else b"")

    def _enqueue(
        self,
        click: Click,
        exchange: Exchange,
        head: bytes,
        body: bytes,
        more: Sequence[Click] = (),
    ) -> None:
        """Log a click, and ``more`` that the same request asks for; then answer it."""
        if not self._waiting:
            # Not at once: the clicks that this turn of the loop brings are logged together.
            asyncio.get_running_loop().call_soon(self._start_logging)
        self._waiting.append((click, exchange, head, body))
        for each in more:
            self._waiting.append((each, _NOBODY, b"", b""))

    def _unsubscribe(self, token: bytes, exchange: Exchange) -> None:
        """Show the page with the button; where its form comes, log it.

        Looking unsubscribes nobody: scanners follow links (RFC 8058 § 1).
        """
        opened, _ = self._opened(token)
        if opened is None or opened.link != UNSUBSCRIBE_LINK:
            self._deny(exchange)
        elif exchange.method == b"POST":
            exchange.receive(FORM_LIMIT, partial(self._take_form, opened, exchange))
        elif exchange.method in (b"GET", b"HEAD"):
            head, body = self._form_of(opened, exchange)
            exchange.answer(head, body if exchange.method == b"GET" else b"")
        else:
            exchange.answer(*FORM_METHODS)

    def _take_form(self, opened: Opened, exchange: Exchange, form: bytes) -> None:
        kind = exchange.header(b"content-type") or b""
        if is_one_click(kind, form):
            wishes = [opened.url]
        elif (chosen := self._chosen(opened, chosen_topics(kind, form))) is None:
            exchange.answer(*NOT_THE_FORM)
            return
        else:
            wishes = chosen
        if not wishes:  # nothing is ticked, or what is not there any more
            exchange.answer(*self._form_of(opened, exchange))
            return
        at = now_us()
        # Where from, nobody needs to know: mostly a mail provider sends it.
        first, *more = (
            Click(new_id(at), opened.message_id, UNSUBSCRIBE_LINK, wish, at, "", "")
            for wish in wishes
        )
        self._enqueue(first, exchange, *self._public.unsubscribed(_language(exchange)), more)

    def _form_of(self, opened: Opened, exchange: Exchange) -> Answer:
        """Return the page that unsubscribes: with the topics of a list that has several.

        Not where the email's own is gone since: the button leaves that, and nothing else is ticked.
        """
        if mine := _subscription(opened):
            topics = self._changes.topics(mine.contact_list)
            if topics and mine.topic in {"", *(name for name, _ in topics)}:
                return self._public.preferences(_language(exchange), topics, mine.topic)
        return self._public.unsubscribe(_language(exchange))

    def _chosen(self, opened: Opened, topics: list[str] | None) -> list[str] | None:
        """Return the wishes to leave topics as links hold them; ``None`` for another form.

        None where one is not on the list: it was when the page was made, or another node knows it
        first. People choose again from what is there now.
        """
        mine = _subscription(opened)
        if mine is None or topics is None:
            return None
        known = {"", mine.topic, *(name for name, _ in self._changes.topics(mine.contact_list))}
        if not known.issuperset(topics):
            return []
        return [Subscription(mine.contact_list, t, mine.address).packed() for t in topics]

    def _opened(self, token: bytes) -> tuple[Opened | None, int]:
        """Return what a token holds, and whether it was altered on its way (`Request.ALTERED`)."""
        try:
            text = token.decode("ascii")
            # RFC 3986 § 6.2.2.2: an escaped letter is the same letter.
            return self._open(unquote(text) if "%" in text else text), 0
        except (InvalidToken, UnicodeDecodeError):
            return self._mended(token), Request.ALTERED

    def _deny(self, exchange: Exchange) -> None:
        """Answer a request for a link that is none."""
        self.not_found += 1
        self._metrics.redirects.labels("404").inc()
        head, body = self._not_found(exchange)
        exchange.answer(head, b"" if exchange.method == b"HEAD" else body)

    def _not_found(self, exchange: Exchange) -> Answer:
        return self._public.not_found(_language(exchange))

    def _mended(self, path: bytes) -> Opened | None:
        """Return what an altered link holds."""
        for token in candidates(path):
            with suppress(InvalidToken):
                return self._open(token)
        return None

    def _start_logging(self) -> None:
        batch, self._waiting = self._waiting, []
        task = asyncio.create_task(self._log(batch))
        self._logging.add(task)
        task.add_done_callback(self._logging.discard)

    async def _log(self, batch: list[tuple[Click, Exchange, bytes, bytes]]) -> None:
        started = time.perf_counter()
        clicks = [each[0] for each in batch]
        others = [
            click
            for click in clicks
            if click.link >= _SPECIAL or click.destination is None or click.request & _HEAD
        ]
        special = [click for click in others if click.link >= _SPECIAL]
        unsubscribes = sum(click.link == UNSUBSCRIBE_LINK for click in special)
        failed = False
        try:
            await self._journal.append(*clicks)
        except Exception as error:
            # People are sent on all the same: a click is worth less than a link that works.
            self._unlogged(len(batch), error)
            failed = True
        else:
            count = len(batch) - sum(bool(click.request & _HEAD) for click in others)
            if special:
                told = sum(not each.request & _HEAD for each in special)
                count -= told
                self.opens += told - unsubscribes
                self._metrics.opens.inc(told - unsubscribes)
                self.unsubscribes += unsubscribes
                self._metrics.unsubscribes.inc(unsubscribes)
            self.clicks += count
            self._metrics.clicks.inc(count)
            self._metrics.commit.observe(time.perf_counter() - started)
        blocked = sum(click.destination is None for click in others)
        if blocked:
            self._gone.inc(blocked)
        self._sent_on.inc(len(batch) - len(special) - blocked)
        beside = sum(e is _NOBODY for _, e, _, _ in batch) if unsubscribes else 0
        self._shown.inc(len(special) - (unsubscribes if failed else beside))
        for click, exchange, head, body in batch:
            if failed and click.link == UNSUBSCRIBE_LINK:  # who asked may ask again
                self._metrics.redirects.labels("503").inc(exchange is not _NOBODY)
                exchange.answer(*self._public.not_unsubscribed(_language(exchange)))
            else:
                exchange.answer(head, body)

    def _unlogged(self, count: int, error: Exception) -> None:
        self.unlogged += count
        self._metrics.clicks_unlogged.inc(count)
        self._untold, self._why = self._untold + count, error
        # Not a line for each: people click on, and the log may be on the same full disk.
        if self._telling is None:
            self._tell()
            self._telling = asyncio.get_running_loop().call_later(TELL_SECONDS, self._tell_more)

    def _tell(self) -> None:
        error, self._why = self._why, None
        count, self._untold = self._untold, 0
        if isinstance(error, JournalUnavailable):
            log.error("clicks not logged", count=count, reason=error)
        elif error is not None:
            log.error("clicks not logged", count=count, exc_info=error)

    def _tell_more(self) -> None:
        self._telling = None
        if self._untold:
            self._tell()
            self._telling = asyncio.get_running_loop().call_later(TELL_SECONDS, self._tell_more)


class _Nobody:
    """Who waits for a click beside the first of a request: it is answered once."""

    method = target = fields = b""
    peer = ""

    def header(self, name: bytes) -> bytes | None:
        return None

    def headers(self, name: bytes) -> list[bytes]:
        return []

    def receive(self, limit: int, then: Callable[[bytes], None]) -> None:
        """Receive nothing."""

    def answer(self, head: bytes, body: bytes = b"") -> None:
        """Tell nobody."""


_NOBODY = _Nobody()


def _subscription(opened: Opened) -> Subscription | None:
    try:
        return Subscription.unpacked(opened.url)
    except ValueError:
        return None


def _language(exchange: Exchange) -> bytes | None:
    return exchange.header(b"accept-language")


def _path_of(target: bytes) -> bytes:
    """Return the path of a request target in absolute form (RFC 9112 § 3.2.2)."""
    scheme, separator, rest = target.partition(b"://")
    if not separator or scheme.lower() not in (b"http", b"https"):
        return b""
    return b"/" + rest.partition(b"/")[2]
