"""Clicks as they come: server-sent events (HTML § 9.2)."""

import asyncio
import contextlib
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence, Set
from dataclasses import dataclass, field
from datetime import tzinfo
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from clicktrail.base.ids import is_id
from clicktrail.console.entry.cookies import SESSION, cookie
from clicktrail.console.numbers.choices import choices
from clicktrail.console.views import Views, options
from clicktrail.console.zones import zone_of
from clicktrail.doors.connections import waiting_apart
from clicktrail.errors import StoreUnavailable, TooManyWaiting
from clicktrail.model import Link, Verdict
from clicktrail.store import Store
from clicktrail.store.mail.browse import ClickRow

SHOWN = 50
LOOKED_AT = 5000
"""With filters, so many of the newest clicks are looked at for the first rows."""
LOOK_SECONDS = 0.25
GOOD_FOR = 1.0
"""Seconds after which a stream shows nothing more of a look: its session may have ended since."""
STILL_HERE = 40
"""After so many looks in vain a comment is sent: proxies close what is silent."""
LOOKS_AT_MOST = 4 * 3600
"""Then the browser connects anew, and its session lives on."""
_RECENT = 500
"""Clicks of one look, the newest: who is further behind goes on with them."""
_AT_ONCE = 20
"""Clicks that a stream writes before others get a turn."""
_TOO_MANY = "too many live pages are open: try again in a minute\n"
_REMEMBERED = 1000


@dataclass(frozen=True, slots=True)
class Seen:
    """A click with its place in the email: the link, and how many there are."""

    row: ClickRow
    link: Link | None
    """``None`` where the email's contents are not known any more."""
    of: int


@dataclass(frozen=True, slots=True)
class Filter:
    """Which clicks are shown: those that fit all that is given."""

    configuration_set: str
    verdict: str
    tag: str
    """``name`` or ``name=value``."""
    url: str
    """What is somewhere in the URL, in any letter case."""

    @classmethod
    def of(cls, request: Request) -> "Filter":
        """Return what a request asks for."""
        names = ("configuration_set", "verdict", "tag", "url")
        return cls(*(request.query_params.get(name, "").strip() for name in names))

    def __bool__(self) -> bool:
        return bool(self.configuration_set or self.verdict or self.tag or self.url)

    def query(self) -> str:
        """Return it as a query string."""
        return urlencode({name: v for name in self.__slots__ if (v := getattr(self, name))})

    def lets(self, seen: Seen) -> bool:
        """Whether a click is shown."""
        row = seen.row
        if self.configuration_set and row.configuration_set != self.configuration_set:
            return False
        if self.verdict and row.verdict != self.verdict:
            return False
        if self.url and self.url.casefold() not in row.click.url.casefold():
            return False
        tags = seen.link.tags if seen.link else ()
        return not self.tag or any(self.tag in (name, f"{name}={v}") for name, v in tags)


class Live:
    """The page of live clicks, and its events."""

    def __init__(self, store: Store, views: Views) -> None:
        self._store = store
        self._browse = store.browse
        self._views = views
        self._links: OrderedDict[str, dict[int, Link]] = OrderedDict()
        self._looks = _Looks(store, self._seen)

    def stop(self) -> None:
        """End all streams."""
        self._looks.stop()

    async def show(self, request: Request) -> Response:
        """Show the newest clicks; those to come are put on top."""
        wanted = Filter.of(request)
        newest = ""
        clicks: list[Seen] = []
        looked_at, before = 0, None
        while looked_at < LOOKED_AT and len(clicks) < SHOWN:
            rows = await self._browse.newest_clicks(_RECENT if wanted else SHOWN, before)
            if not rows:
                break
            newest = newest or rows[0].click.event_id
            looked_at += len(rows)
            before = rows[-1].click.event_id
            clicks += [seen for seen in await self._seen(rows) if wanted.lets(seen)]
        return self._views.page(
            request,
            "live.html",
            clicks=clicks[:SHOWN],
            newest=newest,
            shown=SHOWN,
            fresh=False,
            wanted=wanted,
            sets=await choices(self._store, "configuration_set", wanted.configuration_set),
            verdicts=options((each.value for each in Verdict), wanted.verdict),
            stopped=looked_at if wanted and len(clicks) < SHOWN and looked_at >= LOOKED_AT else 0,
        )

    async def events(self, request: Request) -> Response:
        """Stream rows of the page's table, each with the id of its click."""
        after = request.headers.get("last-event-id") or request.query_params.get("after")
        if after is None:
            after = await self._browse.newest_click()
        elif not is_id(after):  # before all ids, in this place as in the store
            after = ""
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        apart = contextlib.ExitStack()
        try:
            apart.enter_context(waiting_apart(request.scope))
        except TooManyWaiting:
            return Response(_TOO_MANY, 503, {"Retry-After": "60"}, "text/plain")
        return StreamingResponse(
            self._stream(request, after, apart), headers=headers, media_type="text/event-stream"
        )

    async def _stream(
        self, request: Request, after: str, apart: contextlib.ExitStack
    ) -> AsyncIterator[bytes]:
        with apart:
            async for text in self._texts(request, after):
                yield text

    async def _texts(self, request: Request, after: str) -> AsyncIterator[bytes]:
        wanted, session = Filter.of(request), cookie(request, SESSION)
        zone = zone_of(request)
        now = asyncio.get_running_loop().time
        yield b": here are clicks as they come\n\n"
        in_vain = 0
        for _ in range(LOOKS_AT_MOST):
            look = await self._looks.ask(after, session)
            if self._looks.stopped or (look is not None and session not in look.signed_in):
                return
            in_vain += 1
            until = now() + GOOD_FOR
            for some in _pieces(look.after(after) if look is not None else ()):
                texts = [await self._text(row, zone) for row in some if wanted.lets(row.seen)]
                after = some[-1].id
                if texts:
                    in_vain = 0
                    yield b"".join(texts)
                # What is written at once gives nobody else a turn: neither pages nor clicks.
                await asyncio.sleep(0)
                if now() > until:
                    break
            if in_vain == STILL_HERE:
                in_vain = 0
                yield b": still here\n\n"

    async def _text(self, row: "_Row", zone: tzinfo) -> bytes:
        """Return the event of a click. It is made once for all streams of a time zone, and others
        get a turn."""
        if zone not in row.texts:
            html = self._views.part("live_row.html", seen=row.seen, fresh=True, zone=zone)
            lines = "".join(f"data: {line}\n" for line in html.splitlines())
            row.texts[zone] = f"id: {row.id}\n{lines}\n".encode()
            await asyncio.sleep(0)
        return row.texts[zone]

    async def _seen(self, rows: Sequence[ClickRow]) -> list[Seen]:
        """Look the links of clicks up; those of the last emails are remembered."""
        links = self._links
        missing = {r.click.message_id for r in rows if r.click.message_id not in links}
        found = await self._store.messages.get_many(missing) if missing else {}
        for message_id, message in found.items():
            links[message_id] = {link.index: link for link in message.links}
        seen = []
        for row in rows:
            known = links.get(row.click.message_id, {})
            seen.append(Seen(row, known.get(row.click.link), len(known)))
        while len(links) > _REMEMBERED:
            links.popitem(last=False)
        return seen


@dataclass(slots=True)
class _Row:
    """A click, and its event for the streams once one of them has asked for it."""

    seen: Seen
    texts: dict[tzinfo, bytes] = field(default_factory=dict)

    @property
    def id(self) -> str:
        return self.seen.row.click.event_id


@dataclass(frozen=True, slots=True)
class _Look:
    """What a look at the store has found: clicks, the oldest first, and who is still signed in."""

    rows: Sequence[_Row]
    signed_in: Set[str]

    def after(self, event_id: str) -> Sequence[_Row]:
        return self.rows[bisect_right(self.rows, event_id, key=lambda row: row.id) :]


@dataclass(frozen=True, slots=True)
class _Question:
    after: str
    session: str
    answer: "asyncio.Future[_Look | None]"


class _Looks:
    """Looks at the store for all streams at once, every `LOOK_SECONDS` while one of them asks."""

    def __init__(self, store: Store, seen: Callable[[Sequence[ClickRow]], Awaitable[list[Seen]]]):
        self._store = store
        self._seen = seen
        self._asked: list[_Question] = []
        self._looking: asyncio.Task[None] | None = None
        self._rows: dict[str, _Row] = {}
        self.stopped = False

    def ask(self, after: str, session: str) -> "asyncio.Future[_Look | None]":
        """Return the next look: at clicks after an id, and at a session, by its token.

        ``None`` where the store cannot be read, or after `stop`.
        """
        answer: asyncio.Future[_Look | None] = asyncio.get_running_loop().create_future()
        if self.stopped:
            answer.set_result(None)
            return answer
        self._asked.append(_Question(after, session, answer))
        if self._looking is None:
            self._looking = asyncio.create_task(self._run())
        return answer

    def stop(self) -> None:
        """Answer all who wait, and look no more."""
        self.stopped = True
        if self._looking is not None:
            self._looking.cancel()

    async def _run(self) -> None:
        asked: list[_Question] = []
        try:
            while self._asked:
                await asyncio.sleep(LOOK_SECONDS)
                asked, self._asked = self._asked, []
                try:
                    look = await self._look(asked)
                except StoreUnavailable:
                    look = None
                except Exception as error:  # raised to each who asked
                    for each in asked:
                        if not each.answer.done():
                            each.answer.set_exception(error)
                    continue
                _answer(asked, look)
        finally:
            self._looking = None
            _answer([*asked, *self._asked], None)

    async def _look(self, asked: Sequence[_Question]) -> _Look:
        first = min(each.after for each in asked)
        clicks = await self._store.browse.clicks_after(first, _RECENT)
        known, rows = self._rows, []
        for seen in await self._seen(clicks):
            row = known.get(seen.row.click.event_id)
            # What was erased meanwhile is made anew.
            if row is None or row.seen != seen:
                row = known[seen.row.click.event_id] = _Row(seen)
            rows.append(row)
        while len(known) > _RECENT:
            del known[next(iter(known))]
        # After the clicks: they are for those who are signed in when they are shown.
        sessions = {each.session for each in asked}
        return _Look(rows, await self._store.accounts.signed_in(sessions))


def _answer(asked: Sequence[_Question], look: _Look | None) -> None:
    for each in asked:
        if not each.answer.done():
            each.answer.set_result(look)


def _pieces(rows: Sequence[_Row]) -> Iterator[Sequence[_Row]]:
    return (rows[start : start + _AT_ONCE] for start in range(0, len(rows), _AT_ONCE))
