"""Clicks as they come: server-sent events (HTML § 9.2)."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from clicktrail.console.views import Views
from clicktrail.errors import StoreUnavailable
from clicktrail.model import Link, Verdict
from clicktrail.store import Store
from clicktrail.store.browse import ClickRow

SHOWN = 50
LOOKED_AT = 5000
"""With filters, so many of the newest clicks are looked at for the first rows."""
LOOK_SECONDS = 0.25
STILL_HERE = 40
"""After so many looks in vain a comment is sent: proxies close what is silent."""
LOOKS_AT_MOST = 4 * 3600
"""Then the browser connects anew, and its session is looked at again."""
_RECENT = 500
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
        self._stopping = asyncio.Event()
        self._links: OrderedDict[str, tuple[Link, ...]] = OrderedDict()

    def stop(self) -> None:
        """End all streams."""
        self._stopping.set()

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
        configuration = await self._store.configuration.current()
        return self._views.page(
            request,
            "live.html",
            clicks=clicks[:SHOWN],
            newest=newest,
            shown=SHOWN,
            fresh=False,
            wanted=wanted,
            sets=list(configuration.sets),
            verdicts=[each.value for each in Verdict],
            stopped=looked_at if wanted and len(clicks) < SHOWN and looked_at >= LOOKED_AT else 0,
        )

    async def events(self, request: Request) -> Response:
        """Stream rows of the page's table, each with the id of its click."""
        after = request.headers.get("last-event-id") or request.query_params.get("after")
        if after is None:
            after = await self._browse.newest_click()
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(
            self._stream(request, after), headers=headers, media_type="text/event-stream"
        )

    async def _stream(self, request: Request, after: str) -> AsyncIterator[str]:
        wanted = Filter.of(request)
        yield ": here are clicks as they come\n\n"
        looks = 0
        while looks < LOOKS_AT_MOST and not self._stopping.is_set():
            looks += 1
            try:
                rows = await self._browse.clicks_after(after, _RECENT)
                clicks = await self._seen(rows)
            except StoreUnavailable:
                rows, clicks = [], []
            for seen in clicks:
                after = seen.row.click.event_id
                if wanted.lets(seen):
                    yield self._event(request, seen)
            if not rows and looks % STILL_HERE == 0:
                yield ": still here\n\n"
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._stopping.wait()
            except TimeoutError:
                continue

    async def _seen(self, rows: Sequence[ClickRow]) -> list[Seen]:
        """Look the links of clicks up; those of the last emails are remembered."""
        links = self._links
        missing = {r.click.message_id for r in rows if r.click.message_id not in links}
        found = await self._store.messages.get_many(missing) if missing else {}
        for message_id, message in found.items():
            links[message_id] = message.links
        seen = []
        for row in rows:
            known = links.get(row.click.message_id, ())
            link = next((each for each in known if each.index == row.click.link), None)
            seen.append(Seen(row, link, len(known)))
        while len(links) > _REMEMBERED:
            links.popitem(last=False)
        return seen

    def _event(self, request: Request, seen: Seen) -> str:
        answer = self._views.page(request, "live_row.html", seen=seen, fresh=True)
        lines = "".join(f"data: {line}\n" for line in bytes(answer.body).decode().splitlines())
        return f"id: {seen.row.click.event_id}\n{lines}\n"
