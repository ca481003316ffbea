"""The first page: emails sent and clicks, by day or hour, beside the range before."""

import csv
import io
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from clicktrail.console.guide import Guide
from clicktrail.console.numbers.choices import Dimension, choices
from clicktrail.console.numbers.selection import HOURLY_DAYS, Selection
from clicktrail.console.views import NOT_STORED, Views, options
from clicktrail.console.zones import zone_of
from clicktrail.model import OTHER_PROVIDER, PROVIDERS, Where
from clicktrail.store import Store
from clicktrail.store.clicks.statistics import Counts, Day
from clicktrail.store.clicks.zoned import objection

RANGES = (7, 30, 90)
ROWS = 50
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

_DIMENSIONS: dict[Dimension, str] = {
    "configuration_set": "Configuration set",
    "identity": "Identity",
    "provider": "Provider",
}


@dataclass(frozen=True, slots=True)
class Figure:
    """A number with what it was before."""

    title: str
    help: str
    now: int
    before: int
    whole_now: int = 0
    whole_before: int = 0
    """Where given, the figure is a share of it."""
    known: bool = True
    """Whether it is known of what is looked at."""

    @property
    def change(self) -> str:
        """The change in per cent; empty where there was nothing before."""
        now, before = self.now, self.before
        if self.whole_now or self.whole_before:
            if not (self.whole_now and self.whole_before):
                return ""
            points = 100 * (now / self.whole_now - before / self.whole_before)
            return f"{points:+.1f} points"
        return f"{100 * (now - before) / before:+.0f}\u202f%" if before else ""


class Overview:
    """The overview, and the same numbers as CSV."""

    def __init__(self, store: Store, views: Views, guide: Guide, notices: Notices) -> None:
        self._notices = notices
        self._store = store
        self._views = views
        self._guide = guide

    async def show(self, request: Request) -> Response:
        """Show figures, the picture, the table, and the dimensions; at first, the guide."""
        if not request.url.query and await self._guide.wanted(request):
            return RedirectResponse("/guide", 303)
        statistics = self._store.statistics
        selection = await self._selection(request)
        drawn = await selection.series(statistics)
        now = await statistics.total(selection.exact)
        before = await statistics.total((await self._cut(selection.before())).exact)
        where = selection.where
        groups = [
            (title, name, await statistics.groups(name, selection.exact, ROWS))
            for name, title in _DIMENSIONS.items()
        ]
        period = Where(since=selection.exact.since, until=selection.exact.until)
        return self._views.page(
            request,
            "overview.html",
            notices=await self._notices(),
            selection=selection,
            figures=_figures(now, before, tagged=where.tag is not None),
            days=[day for _, day in drawn],
            total=now,
            chart=_chart(selection, drawn),
            groups=groups,
            tags=await statistics.tags(replace(where, tag=None), ROWS),
            links=[] if where.tag else await self._store.pages.top(where, ROWS),
            hourly_days=HOURLY_DAYS,
            ranges=[(f"{n} days", selection.last(n)) for n in RANGES],
            sets=await choices(
                self._store, "configuration_set", selection.configuration_set, period
            ),
            identities=await choices(self._store, "identity", selection.identity, period),
            providers=options((*PROVIDERS, OTHER_PROVIDER), selection.provider),
        )

    async def _selection(self, request: Request) -> Selection:
        return await self._cut(Selection.of(request, zone_of(request)))

    async def _cut(self, selection: Selection) -> Selection:
        """Return the same by days of UTC, where what is known by the hour does not reach."""
        if not await objection(self._store.statistics, selection.where, selection.zone):
            return selection
        return replace(selection, zone=UTC, now=f"{datetime.now(UTC):%Y-%m-%dT%H}")

    async def download(self, request: Request) -> Response:
        """Return the days as CSV (RFC 4180). By link tag, what was sent is not known: empty."""
        selection = await self._selection(request)
        text = io.StringIO()
        writer = csv.writer(text)
        time = "hour" if selection.hourly else "day"
        writer.writerow((time, *COLUMNS))
        for _, day in await selection.series(self._store.statistics):
            writer.writerow((day.day, *_cells(day, tagged=selection.tag is not None)))
        zone = str(selection.zone).replace("/", "-")
        name = f"clicktrail-{selection.since}-{selection.until}-{zone}.csv"
        headers = NOT_STORED | {"Content-Disposition": f'attachment; filename="{name}"'}
        return Response(text.getvalue(), 200, headers, "text/csv; charset=utf-8; header=present")


def _cells(counts: Counts, *, tagged: bool) -> list[int | str]:
    """Return what `COLUMNS` have of something that is counted."""
    rate = counts.click_through_rate
    return [
        "" if tagged else counts.sent,
        counts.tracked,
        counts.clicked,
        "" if rate is None else f"{rate:.1f}",
        counts.clicks,
        counts.unique_clicks,
        counts.human_clicks,
        counts.machine_clicks,
    ]


def _figures(now: Counts, before: Counts, *, tagged: bool) -> list[Figure]:
    """Return what is told first. By link tag, nothing is known of what was sent."""
    return [
        Figure(
            "Sent",
            "Emails sent on, one for each recipient",
            now.sent,
            before.sent,
            known=not tagged,
        ),
        Figure("Clicks", "Every click, repeated ones too", now.clicks, before.clicks),
        Figure(
            "Unique clicks",
            "Each link of each email counts once",
            now.unique_clicks,
            before.unique_clicks,
        ),
        Figure(
            "Machine clicks",
            "Clicks of machines, and of who is suspect",
            now.machine_clicks,
            before.machine_clicks,
        ),
        Figure(
            "Click-through rate",
            "The share of the tracked emails of these days that a person clicked",
            now.clicked,
            before.clicked,
            now.tracked,
            before.tracked,
        ),
    ]


def _chart(selection: Selection, drawn: list[tuple[int, Day]]) -> str:
    """Return the picture's series, as JSON: times (seconds since 1970), then each line."""
    names = ("clicks", "human_clicks") if selection.tag else ("sent", "clicks", "human_clicks")
    lines = {name: [getattr(day, name) for _, day in drawn] for name in names}
    return msgspec.json.encode({"times": [at for at, _ in drawn], "lines": lines}).decode()
