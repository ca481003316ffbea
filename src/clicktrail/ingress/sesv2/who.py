"""Who clicked, and who is not to be tracked, over HTTP."""

from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import Response

from clicktrail.base.ids import rfc3339
from clicktrail.doors.streamed import Streamed
from clicktrail.store.finding.clicker_rows import CSV, JSON_LINES, csv_of, json_lines_of, since_of
from clicktrail.store.finding.clickers import Clicker, Clickers, Wanted
from clicktrail.store.people.do_not_track import DoNotTrack

PAGE = 1000
"""Entries of one answer."""
_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


async def who_clicked(request: Request, clickers: Clickers) -> Response:
    """Answer ``GET /v1/clicks?mailing=&link=&since=&search=``; all of the four may be left out.

    ``Accept: text/csv`` asks for CSV. Raises `ClicktrailError` for what cannot be looked for.
    """
    asked = request.query_params
    since = since_of(asked["since"]) if asked.get("since") else 0
    name = asked.get("mailing")
    digests = await clickers.mailings(name) if name else [None]
    wanted = [Wanted(asked.get("search", ""), d, asked.get("link", ""), since) for d in digests]
    for each in wanted:
        each.query()  # what is wrong with it is told before the answer begins

    async def pages() -> AsyncIterator[list[Clicker]]:
        for each in wanted:
            async for some in clickers.all(each):
                yield some

    if "text/csv" in request.headers.get("accept", ""):
        return Streamed(csv_of(pages()), 200, _HEADERS, CSV)
    return Streamed(json_lines_of(pages()), 200, _HEADERS, JSON_LINES)


async def who_is_not_tracked(request: Request, who: DoNotTrack) -> dict[str, object]:
    """Answer ``GET /v1/do-not-track?after=``, and ``PUT`` and ``DELETE`` of one below it.

    The list comes in pieces, ``{"entries": [{"entry": "anna@example.com", "made": …, "madeBy": …}],
    "next": "anna@example.com"}``: ask again with ``after`` = ``next``, until it is ``null``. Raises
    `ClicktrailError`.
    """
    entry = request.path_params.get("entry")
    if entry is None:
        found = await who.page(request.query_params.get("after", ""), PAGE)
        shown = [{"entry": e.name, "made": rfc3339(e.made_at), "madeBy": e.made_by} for e in found]
        return {"entries": shown, "next": found[-1].name if len(found) == PAGE else None}
    if request.method == "PUT":
        [entry] = await who.add([entry], "API")
    else:
        await who.remove(entry)
    return {"entry": entry}
