"""The first page: how it is going, and whether anything is wrong."""

import csv
import io
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from clicktrail.console.guide import Guide
from clicktrail.console.numbers.breakdown import (
    LOOKED_AT,
    MOST,
    ROWS,
    TABS,
    breakdown,
    table_rows,
)
from clicktrail.console.numbers.choices import choices
from clicktrail.console.numbers.health import troubles
from clicktrail.console.numbers.selection import HOURLY_DAYS, Selection
from clicktrail.console.views import NOT_STORED, Views, number, options, share
from clicktrail.console.zones import zone_of
from clicktrail.model import OTHER_PROVIDER, PROVIDERS, Where
from clicktrail.store import Store
from clicktrail.store.clicks.statistics import Counts, Day
from clicktrail.store.clicks.zoned import objection

RANGES = (7, 30, 90)
SUGGESTED = 50
"""Link tags that the filter offers."""
NOTHING = "nothing to compare with"
COLUMNS = (
    "sent",
    "tracked",
    "clicked_by_people",
    "click_through_rate",
    "clicks",
    "unique_clicks",
    "human_clicks",
    "machine_clicks",
)
"""What CSV has of all that is counted; the rate is in per cent, and empty of no tracked email."""
Notices = Callable[[], Awaitable[Sequence[str]]]
"""Returns what is wrong with the installation, a sentence each."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A number with what it was before."""

    title: str
    help: str
    value: str
    change: str


class Overview:
    """The overview, and the same numbers as CSV: days, and each table."""

    def __init__(self, store: Store, views: Views, guide: Guide, notices: Notices) -> None:
        self._notices = notices
        self._store = store
        self._views = views
        self._guide = guide

    async def show(self, request: Request) -> Response:
        """Show what is wrong, figures, the picture, and a table; at first, the guide."""
        if not request.url.query and await self._guide.wanted(request):
            return RedirectResponse("/guide", 303)
        statistics = self._store.statistics
        selection = await self._selection(request)
        drawn = await selection.series(statistics)
        earlier = await self._cut(selection.before())
        now = await statistics.total(selection.exact)
        before = await statistics.total(earlier.exact)
        period = Where(since=selection.exact.since, until=selection.exact.until)
        return self._views.page(
            request,
            "overview.html",
            selection=selection,
            troubles=await troubles(self._store, await self._notices()),
            figures=_figures(now, before, selection),
            opens=await self._opens(selection),
            unsubscribes=await self._unsubscribes(selection),
            days=[day for _, day in drawn],
            total=now,
            chart=_chart(selection, drawn, await earlier.series(statistics)),
            tabs=TABS,
            table=await breakdown(self._store, selection),
            rows=ROWS,
            looked_at=LOOKED_AT,
            tags=await statistics.tags(selection.all_clicks, SUGGESTED),
            hourly_days=HOURLY_DAYS,
            ranges=[(f"{n} days", selection.last(n)) for n in RANGES],
            sets=await choices(
                self._store, "configuration_set", selection.configuration_set, period
            ),
            identities=await choices(self._store, "identity", selection.identity, period),
            providers=options((*PROVIDERS, OTHER_PROVIDER), selection.provider),
        )

    async def _opens(self, selection: Selection) -> tuple[int, int] | None:
        """Return opens in these days (of UTC), and those of people; none where there are none."""
        if not selection.sends:
            return None
        days = await self._store.opens.daily(selection.exact)
        opens = sum(day.opens for day in days)
        return (opens, sum(day.human_opens for day in days)) if opens else None

    async def _unsubscribes(self, selection: Selection) -> int:
        """Return how often somebody has unsubscribed in these days (of UTC)."""
        if not selection.sends:
            return 0
        days = await self._store.unsubscribes.daily(selection.exact)
        return sum(day.unsubscribes for day in days)

    async def _selection(self, request: Request) -> Selection:
        return await self._cut(Selection.of(request, zone_of(request)))

    async def _cut(self, selection: Selection) -> Selection:
        """Return the same by days of UTC, where what is known by the hour does not reach."""
        if not await objection(self._store.statistics, selection.where, selection.zone):
            return selection
        return replace(selection, zone=UTC, now=f"{datetime.now(UTC):%Y-%m-%dT%H}")

    async def download(self, request: Request) -> Response:
        """Return the days, or all rows of a table, as CSV (RFC 4180).

        What is not known by link tag or by program is empty.
        """
        selection = await self._selection(request)
        if selection.by in TABS:
            rows = table_rows(await breakdown(self._store, selection, MOST))
        else:
            time = "hour" if selection.hourly else "day"
            days = await selection.series(self._store.statistics)
            rows = [(time, *COLUMNS), *((d.day, *_cells(d, selection)) for _, d in days)]
        text = io.StringIO()
        csv.writer(text).writerows(rows)
        zone = str(selection.zone).replace("/", "-")
        kind = f"{selection.by}-" if selection.by in TABS else ""
        name = f"clicktrail-{kind}{selection.since}-{selection.until}-{zone}.csv"
        headers = NOT_STORED | {"Content-Disposition": f'attachment; filename="{name}"'}
        return Response(text.getvalue(), 200, headers, "text/csv; charset=utf-8; header=present")


def _cells(counts: Counts, selection: Selection) -> list[int | str]:
    """Return what `COLUMNS` have of something that is counted."""
    rate = counts.click_through_rate
    emails: list[int | str] = [counts.tracked, counts.clicked]
    return [
        counts.sent if selection.sends else "",
        *(emails if selection.program is None else ("", "")),
        "" if rate is None else f"{rate:.1f}",
        counts.clicks,
        counts.unique_clicks,
        counts.human_clicks,
        counts.machine_clicks,
    ]


def _figures(now: Counts, before: Counts, selection: Selection) -> list[Figure]:
    """Return what is told first."""
    rate, former = now.click_through_rate, before.click_through_rate
    if rate is None or former is None:
        points = ""
    else:
        points = f"{rate - former:+.1f} points to the {selection.days} days before"
    sent = "" if selection.tag else f"of {number(now.sent)} sent; "
    machines = share(now.machine_clicks, now.clicks)
    emails = [
        Figure(
            "Emails tracked",
            "Emails with tracking links that were sent on in these days",
            number(now.tracked),
            sent + _change(now.tracked, before.tracked, selection),
        ),
        Figure(
            "Clicked by people",
            "How many of these emails a person clicked, and their share: the click-through rate",
            f"{number(now.clicked)} \u00b7 {share(now.clicked, now.tracked)}",
            points or NOTHING,
        ),
    ]
    if selection.program:  # an email may be clicked by several
        emails = [replace(e, value="–", change="not known by program") for e in emails]
    return [
        *emails,
        Figure(
            "Clicks",
            "Every click in these days, repeated ones too; unique: each link of each email once",
            number(now.clicks),
            f"{number(now.unique_clicks)} unique; " + _change(now.clicks, before.clicks, selection),
        ),
        Figure(
            "By machines",
            "Clicks of machines, and of who is suspect",
            number(now.machine_clicks),
            f"{machines} of the clicks" if now.clicks else "no clicks",
        ),
    ]


def _change(now: int, before: int, selection: Selection) -> str:
    if not before:
        return NOTHING
    return f"{100 * (now - before) / before:+.0f}\u202f% to the {selection.days} days before"


def _chart(
    selection: Selection, drawn: list[tuple[int, Day]], earlier: list[tuple[int, Day]]
) -> str:
    """Return the picture's series, as JSON: times (seconds since 1970), then each line.

    The range before is drawn at the times of this one: its first day at the first.
    """
    before = [day.human_clicks for _, day in earlier[: len(drawn)]]
    lines = {
        "human_clicks": [day.human_clicks for _, day in drawn],
        "before": before + [None] * (len(drawn) - len(before)),
    }
    sent = [] if not selection.sends else [day.sent for _, day in drawn]
    times = [at for at, _ in drawn]
    return msgspec.json.encode({"times": times, "lines": lines, "sent": sent}).decode()
