"""Who clicked, over HTTP: as CSV, or as an object of JSON a line, as long as it may be."""

from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from clicktrail.store.finding.clicker_rows import CSV, JSON_LINES, csv_of, json_lines_of, since_of
from clicktrail.store.finding.clickers import Clicker, Clickers, Wanted

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
        return StreamingResponse(csv_of(pages()), 200, _HEADERS, CSV)
    return StreamingResponse(json_lines_of(pages()), 200, _HEADERS, JSON_LINES)
