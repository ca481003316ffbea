"""Clicks as they come: server-sent events (HTML § 9.2)."""

import asyncio
from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from clicktrail.console.views import Views
from clicktrail.errors import StoreUnavailable
from clicktrail.store import Store
from clicktrail.store.browse import ClickRow

SHOWN = 50
LOOK_SECONDS = 0.25
STILL_HERE = 40
"""After so many looks in vain a comment is sent: proxies close what is silent."""
LOOKS_AT_MOST = 4 * 3600
"""Then the browser connects anew, and its session is looked at again."""
_RECENT = 500


class Live:
    """The page of live clicks, and its events."""

    def __init__(self, store: Store, views: Views) -> None:
        self._browse = store.browse
        self._views = views
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """End all streams."""
        self._stopping.set()

    async def show(self, request: Request) -> Response:
        """Show the newest clicks; those to come are put on top."""
        clicks = await self._browse.newest_clicks(SHOWN)
        newest = clicks[0].click.event_id if clicks else ""
        return self._views.page(
            request, "live.html", clicks=clicks, newest=newest, shown=SHOWN, fresh=False
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
        yield ": here are clicks as they come\n\n"
        looks = 0
        while looks < LOOKS_AT_MOST and not self._stopping.is_set():
            looks += 1
            try:
                clicks = await self._browse.clicks_after(after, _RECENT)
            except StoreUnavailable:
                clicks = []
            for row in clicks:
                after = row.click.event_id
                yield self._event(request, row)
            if not clicks and looks % STILL_HERE == 0:
                yield ": still here\n\n"
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._stopping.wait()
            except TimeoutError:
                continue

    def _event(self, request: Request, row: ClickRow) -> str:
        html = bytes(self._views.page(request, "live_row.html", row=row, fresh=True).body).decode()
        lines = "".join(f"data: {line}\n" for line in html.splitlines())
        return f"id: {row.click.event_id}\n{lines}\n"
