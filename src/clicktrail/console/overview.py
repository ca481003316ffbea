"""The first page: emails sent and clicks, by day or hour, beside the range before."""

import csv
import io
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Literal

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from clicktrail.console.guide import Guide
from clicktrail.console.views import NOT_STORED, Views
from clicktrail.model import OTHER_PROVIDER, PROVIDERS, Where
from clicktrail.store import Store
from clicktrail.store.clicks.statistics import Day, Statistics

RANGES = (7, 30, 90)
HOURLY_DAYS = 14
"""A range of so many days can be looked at by the hour."""
LONGEST = 3660
EARLIEST, LATEST = date(2000, 1, 1), date(2999, 12, 31)
ROWS = 50
Dimension = Literal["configuration_set", "identity", "provider"]
_DIMENSIONS: dict[Dimension, str] = {
    "configuration_set": "Configuration set",
    "identity": "Identity",
    "provider": "Provider",
}


@dataclass(frozen=True, slots=True)
class Selection:
    """What of the statistics is looked at: days (both ends belong to it) and filters."""

    since: date
    until: date
    configuration_set: str | None
    identity: str | None
    provider: str | None
    tag: tuple[str, str] | None = None
    """Name and value of a link tag: only clicks of such links."""
    hourly: bool = False

    @classmethod
    def of(cls, request: Request) -> "Selection":
        """Return what a request asks for; what it asks amiss is as if it did not."""
        asked = request.query_params
        today = datetime.now(UTC).date()
        until = _day(asked.get("until")) or today
        since = _day(asked.get("since")) or until - timedelta(days=29)
        since = max(min(since, until), until - timedelta(days=LONGEST))
        names = ("configuration_set", "identity", "provider")
        chosen, identity, provider = (asked.get(name) or None for name in names)
        name, equals, value = asked.get("tag", "").partition("=")
        tag = (name.strip(), value.strip()) if equals and name else None
        short = (until - since).days < HOURLY_DAYS
        hourly = asked.get("per") == "hour" and short and tag is None
        return cls(since, until, chosen, identity, provider, tag, hourly)

    @property
    def days(self) -> int:
        """How many days there are."""
        return (self.until - self.since).days + 1

    def before(self) -> "Selection":
        """Return the range of the same length that ends before this one."""
        since, until = (day - timedelta(days=self.days) for day in (self.since, self.until))
        return replace(self, since=since, until=until)

    @property
    def where(self) -> Where:
        """The same as `Statistics` takes it."""
        range_ = self.since.isoformat(), self.until.isoformat()
        return Where(self.configuration_set, self.identity, self.provider, *range_, self.tag)

    async def series(self, statistics: Statistics) -> list[Day]:
        """Return every day, or every hour, also those in which nothing was counted."""
        found = await (statistics.hourly if self.hourly else statistics.daily)(self.where)
        known = {each.day: each for each in found}
        if self.tag:  # where nothing is sent: what was sent in all
            for all_ in await statistics.daily(replace(self.where, tag=None)):
                known[all_.day] = replace(known.get(all_.day) or _none(all_.day), sent=all_.sent)
        days = [str(self.since + timedelta(days=n)) for n in range(self.days)]
        times = [f"{day}T{hour:02}" for day in days for hour in range(24)] if self.hourly else days
        return [known.get(time) or _none(time) for time in times]


@dataclass(frozen=True, slots=True)
class Total:
    """Sums over days."""

    sent: int
    clicks: int
    unique_clicks: int
    human_clicks: int

    @classmethod
    def of(cls, days: list[Day]) -> "Total":
        """Return the sums."""
        columns = [(d.sent, d.clicks, d.unique_clicks, d.human_clicks) for d in days]
        return cls(*(sum(column) for column in zip(*columns, strict=True)))


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

    def __init__(self, store: Store, views: Views, guide: Guide) -> None:
        self._store = store
        self._views = views
        self._guide = guide

    async def show(self, request: Request) -> Response:
        """Show figures, the picture, the table, and the dimensions; at first, the guide."""
        if not request.url.query and await self._guide.wanted(request):
            return RedirectResponse("/guide", 303)
        selection = Selection.of(request)
        statistics = self._store.statistics
        days = await selection.series(statistics)
        now, before = Total.of(days), Total.of(await selection.before().series(statistics))
        where = selection.where
        groups = [
            (title, name, await statistics.groups(name, where, ROWS))
            for name, title in _DIMENSIONS.items()
        ]
        configuration = await self._store.configuration.current()
        return self._views.page(
            request,
            "overview.html",
            selection=selection,
            figures=_figures(now, before),
            days=days,
            total=now,
            chart=_chart(days),
            groups=groups,
            tags=await statistics.tags(replace(where, tag=None), ROWS),
            links=[] if where.tag else await statistics.links(where, ROWS),
            hourly_days=HOURLY_DAYS,
            ranges=[_range(n) for n in RANGES],
            sets=list(configuration.sets),
            identities=list(configuration.identities),
            providers=[*PROVIDERS, OTHER_PROVIDER],
            query=request.url.query,
        )

    async def download(self, request: Request) -> Response:
        """Return the days as CSV (RFC 4180)."""
        selection = Selection.of(request)
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(
            (
                "hour" if selection.hourly else "day",
                "sent",
                "clicks",
                "unique_clicks",
                "human_clicks",
            )
        )
        for day in await selection.series(self._store.statistics):
            row = (day.day, day.sent, day.clicks, day.unique_clicks, day.human_clicks)
            writer.writerow(row)
        name = f"clicktrail-{selection.since}-{selection.until}.csv"
        headers = NOT_STORED | {"Content-Disposition": f'attachment; filename="{name}"'}
        return Response(text.getvalue(), 200, headers, "text/csv; charset=utf-8; header=present")


def _figures(now: Total, before: Total) -> list[Figure]:
    return [
        Figure("Sent", "Emails sent on, one for each recipient", now.sent, before.sent),
        Figure("Clicks", "Every click, repeated ones too", now.clicks, before.clicks),
        Figure(
            "Unique clicks",
            "Each link of each email counts once",
            now.unique_clicks,
            before.unique_clicks,
        ),
        Figure(
            "Human clicks",
            "Without clicks that a machine made",
            now.human_clicks,
            before.human_clicks,
        ),
        Figure(
            "Click-through rate",
            "Unique clicks for each email sent",
            now.unique_clicks,
            before.unique_clicks,
            now.sent,
            before.sent,
        ),
    ]


def _chart(days: list[Day]) -> str:
    """Return the series of the picture, as JSON: times (seconds since 1970), then each line."""
    texts = (day.day if "T" in day.day else f"{day.day}T00" for day in days)
    times = [int(datetime.fromisoformat(f"{text}:00Z").timestamp()) for text in texts]
    lines = [[getattr(day, name) for day in days] for name in ("sent", "clicks", "human_clicks")]
    return msgspec.json.encode([times, *lines]).decode()


def _none(day: str) -> Day:
    return Day(day, 0, 0, 0, 0)


def _range(days: int) -> tuple[str, str, str]:
    until = datetime.now(UTC).date()
    since = until - timedelta(days=days - 1)
    return f"{days} days", since.isoformat(), until.isoformat()


def _day(text: str | None) -> date | None:
    try:
        day = date.fromisoformat(text) if text else None
    except ValueError:
        return None
    return day if day and EARLIEST <= day <= LATEST else None
