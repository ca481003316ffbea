"""Clicks as they come: server-sent events (HTML § 9.2)."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from clicktrail.base.ids import is_id, now_us
from clicktrail.console.clicks.looks import RECENT, WATCHED, Looks, Row, pieces
from clicktrail.console.clicks.seen import Seen, seen_of
from clicktrail.console.entry.cookies import SESSION, cookie
from clicktrail.console.numbers.choices import choices
from clicktrail.console.views import Views, options
from clicktrail.console.zones import zone_of
from clicktrail.doors.connections import waiting_apart
from clicktrail.doors.streamed import Streamed
from clicktrail.errors import TooManyWaiting
from clicktrail.model import LinkTags, Verdict
from clicktrail.store import Store
from clicktrail.store.mail.browse import ClickRow

SHOWN = 50
LOOKED_AT = 2000
"""With filters, so many of the newest clicks are looked at for the first rows."""
READ = 500
"""With a link tag, of so many of them at the most the emails are read."""
GOOD_FOR = 1.0
"""Seconds after which a stream shows nothing more of a look: its session may have ended since."""
STILL_HERE = 40
"""After so many looks in vain a comment is sent: proxies close what is silent."""
LOOKS_AT_MOST = 4 * 3600
"""Then the browser connects anew, and its session lives on."""
_TOO_MANY = "too many live pages are open: try again in a minute\n"


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

    def may_let(self, row: ClickRow) -> bool:
        """Whether a click is shown, as far as it says so by itself."""
        if self.configuration_set and row.configuration_set != self.configuration_set:
            return False
        if self.verdict and row.verdict != self.verdict:
            return False
        return not self.url or self.url.casefold() in row.click.url.casefold()

    def lets(self, seen: Seen) -> bool:
        """Whether a click is shown."""
        return self.tagged(seen.link.tags if seen.link else ()) and self.may_let(seen.row)

    def tagged(self, tags: LinkTags) -> bool:
        """Whether a link with these tags is one of those that are wanted."""
        return not self.tag or any(self.tag in (name, f"{name}={v}") for name, v in tags)


class Live:
    """The page of live clicks, and its events."""

    def __init__(self, store: Store, views: Views) -> None:
        self._store = store
        self._browse = store.browse
        self._views = views
        self._looks = Looks(store)

    def stop(self) -> None:
        """End all streams."""
        self._looks.stop()

    async def show(self, request: Request) -> Response:
        """Show the newest clicks; those to come are put on top."""
        wanted = Filter.of(request)
        newest: ClickRow | None = None
        clicks: list[Seen] = []
        looked_at, before = 0, None
        most = READ if wanted.tag else LOOKED_AT
        while looked_at < most and len(clicks) < SHOWN:
            rows = await self._browse.newest_clicks(RECENT if wanted else SHOWN, before)
            if not rows:
                break
            newest = newest or rows[0]
            looked_at += len(rows)
            before = rows[-1].click.event_id
            clicks += await self._let(wanted, rows, SHOWN - len(clicks))
        self._looks.shown(clicks)
        return self._views.page(
            request,
            "live.html",
            clicks=clicks,
            newest=newest.click.event_id if newest else "",
            last_at=newest.click.clicked_at if newest else 0,
            now=now_us(),
            shown=SHOWN,
            most=WATCHED,
            fresh=False,
            wanted=wanted,
            sets=await choices(self._store, "configuration_set", wanted.configuration_set),
            verdicts=options((each.value for each in Verdict), wanted.verdict),
            stopped=looked_at if wanted and len(clicks) < SHOWN and looked_at >= most else 0,
        )

    async def _let(self, wanted: Filter, rows: Sequence[ClickRow], most: int) -> list[Seen]:
        """Return those of some clicks that are shown, ``most`` of them."""
        found: list[Seen] = []
        left = [row for row in rows if wanted.may_let(row)]
        for start in range(0, len(left), SHOWN):
            some = left[start : start + SHOWN]
            if wanted.tag:
                some = await self._tagged(wanted, some)
            found += await seen_of(self._store, some[: most - len(found)])
            if len(found) >= most:
                break
        return found

    async def _tagged(self, wanted: Filter, rows: Sequence[ClickRow]) -> list[ClickRow]:
        known = await self._store.messages.get_many({row.click.message_id for row in rows})
        tags = {(id_, link.index): link.tags for id_, it in known.items() for link in it.links}
        return [r for r in rows if wanted.tagged(tags.get((r.click.message_id, r.click.link), ()))]

    async def events(self, request: Request) -> Response:
        """Stream rows of the page's table, each with the id of its click.

        A click that got another verdict comes once more, as an event ``judged`` without an id: its
        row, or ``gone`` with the click's id where the filters do not let it any more.
        """
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
        return Streamed(
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
        in_vain = change = 0
        for _ in range(LOOKS_AT_MOST):
            look = await self._looks.ask(after, session)
            if self._looks.stopped or (look is not None and session not in look.signed_in):
                return
            in_vain += 1
            until = now() + GOOD_FOR
            for some in pieces(look.after(after) if look is not None else ()):
                texts = [await self._text(row, zone) for row in some if wanted.lets(row.seen)]
                after = some[-1].id
                if texts:
                    in_vain = 0
                    yield b"".join(texts)
                # What is written at once gives nobody else a turn: neither pages nor clicks.
                await asyncio.sleep(0)
                if now() > until:
                    break
            for number, row in look.changed_after(change) if look is not None else ():
                change, in_vain = number, 0
                is_let = wanted.lets(row.seen)
                yield await self._text(row, zone, "judged") if is_let else _gone(row)
            if in_vain == STILL_HERE:
                in_vain = 0
                yield b": still here\n\n"

    async def _text(self, row: Row, zone: tzinfo, event: str = "") -> bytes:
        """Return an event of a click. It is made once for all streams of a time zone, and others
        get a turn."""
        if (zone, event) not in row.texts:
            html = self._views.part("live_row.html", seen=row.seen, fresh=True, zone=zone)
            lines = "".join(f"data: {line}\n" for line in html.splitlines())
            head = f"event: {event}\n" if event else f"id: {row.id}\n"
            row.texts[zone, event] = f"{head}{lines}\n".encode()
            await asyncio.sleep(0)
        return row.texts[zone, event]


def _gone(row: Row) -> bytes:
    return f"event: gone\ndata: {row.id}\n\n".encode()
