"""The list of mailings: searched, filtered and sorted; and two of them side by side."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from clicktrail.console.numbers.choices import choices
from clicktrail.console.numbers.selection import day_of
from clicktrail.console.views import Views, number, share
from clicktrail.console.zones import zone_of
from clicktrail.store import Store
from clicktrail.store.clicks.statistics import Counts
from clicktrail.store.clicks.zoned import begin_of
from clicktrail.store.mail.mailings import LOOKED_AT, Mailing, Sought
from clicktrail.store.mail.pages import page_of

SHOWN = 50
SORTED = 1000
"""So many mailings are sorted by what is counted, those with the newest email."""
MOST_LINKS = 50
LONGEST = 200
"""Characters that are looked for."""
KINDS = {"subject": "By subject", "tag": "By email tag"}

Row = tuple[Mailing, Counts]
_NEWEST = "newest"
_COLUMNS: dict[str, tuple[str, Callable[[Row], Any]]] = {
    "name": ("", lambda row: row[0].name.casefold()),
    _NEWEST: ("Newest email", lambda row: -row[0].last_at),
    "sent": ("Emails", lambda row: -row[0].sent),
    "clicked": ("Clicked", lambda row: -row[1].clicked),
    "rate": ("Rate", lambda row: -row[1].clicked / max(row[0].sent, 1)),
    "clicks": ("Clicks", lambda row: -row[1].clicks),
    "unique": ("Unique clicks", lambda row: -row[1].unique_clicks),
    "machine": ("Machine clicks", lambda row: -row[1].machine_clicks),
}
"""Titles, and by what is sorted: the least first."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What of the mailings is looked at, as the address of the page has it."""

    kind: str
    q: str
    configuration_set: str
    since: date | None
    until: date | None
    sort: str

    @classmethod
    def of(cls, request: Request) -> "Asked":
        """Return what a request asks for; what it asks amiss is as if it did not."""
        asked = request.query_params
        return cls(
            "tag" if asked.get("kind") == "tag" else "subject",
            asked.get("q", "").strip()[:LONGEST],
            asked.get("configuration_set", ""),
            day_of(asked.get("since")),
            day_of(asked.get("until")),
            sort if (sort := asked.get("sort", "")) in _COLUMNS else _NEWEST,
        )

    def query(self, **changes: Any) -> str:
        """Return it as a query string, with what is changed and added; what is as usual is left
        out."""
        given = {name: getattr(self, name) for name in self.__slots__} | changes
        usual = {"kind": "subject", "sort": _NEWEST}
        return urlencode({n: v for n, v in given.items() if v and usual.get(n) != v})

    def sought(self, zone: tzinfo) -> Sought:
        """Return it as the store takes it."""
        after = self.until and self.until + timedelta(days=1)
        return Sought(
            self.kind, self.q, self.configuration_set, _micros(self.since, zone),
            _micros(after, zone),
        )  # fmt: skip


def _micros(day: date | None, zone: tzinfo) -> int | None:
    """Return when a day begins, in microseconds since 1970."""
    if day is None:
        return None
    return (begin_of(day, zone) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Link:
    """What a link of two mailings leads to, and its clicks in each."""

    url: str
    clicks: tuple[int, int]
    human_clicks: tuple[int, int]


class MailingList:
    """The list of mailings, and their comparison."""

    def __init__(self, store: Store, views: Views) -> None:
        self._store = store
        self._views = views

    async def list(self, request: Request) -> Response:
        """Show mailings: those with the newest email first, or by what is counted."""
        asked = Asked.of(request)
        sought = asked.sought(zone_of(request))
        before = _number(request.query_params.get("before"))
        start = min(_number(request.query_params.get("start")) or 0, SORTED)
        by_time = asked.sort == _NEWEST
        most = SHOWN if by_time else SORTED
        found, older = await self._store.mailings.find(sought, most, before if by_time else None)
        rows = await self._counted(found)
        if not by_time:
            rows = sorted(rows, key=lambda row: (_COLUMNS[asked.sort][1](row), -row[0].last_at))
            rows = rows[start : start + SHOWN]
        pages = [asked.query()] if before is not None or start else []
        further = start + SHOWN
        if older and (by_time or not found):
            pages.append(asked.query(before=older, sort=_NEWEST))
        elif not by_time and further < len(found):
            pages.append(asked.query(start=further))
        heads = [(name, title) for name, (title, _) in _COLUMNS.items()]
        return self._views.page(
            request,
            "mailings.html",
            kinds=KINDS,
            asked=asked,
            mailings=rows,
            heads=[("name", "Subject" if asked.kind == "subject" else "Tag"), *heads[1:]],
            sets=await choices(self._store, "configuration_set", asked.configuration_set),
            first=not (before or start),
            pages=pages,
            sorted_only=SORTED if not by_time and older else 0,
            looked_at=LOOKED_AT,
            older=older,
        )

    async def compare(self, request: Request) -> Response:
        """Show two mailings side by side: what is counted, and where their links lead."""
        wanted = [each for each in request.query_params.getlist("mailing") if _is_digest(each)]
        known = [await self._store.mailings.get(bytes.fromhex(each)) for each in wanted[:3]]
        found = [each for each in known if each is not None]
        if len(found) != 2:
            return self._views.page(request, "comparison.html", found=(), figures=(), links=())
        rows = await self._counted(found)
        return self._views.page(
            request,
            "comparison.html",
            found=found,
            figures=[(title, *map(text, rows)) for title, text in _FIGURES],
            links=await self._links(found[0], found[1]),
        )

    async def _counted(self, found: Sequence[Mailing]) -> Sequence[Row]:
        counts = await self._store.mailings.counts([each.digest for each in found])
        return [(each, counts.get(each.digest, Counts())) for each in found]

    async def _links(self, one: Mailing, other: Mailing) -> Sequence[Link]:
        """Return what their links lead to, whatever version and place; the most clicked first."""
        numbers: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
        for place, mailing in enumerate((one, other)):
            for each in await self._store.mailings.other_links(mailing.digest, (), SORTED):
                counted = numbers[page_of(each.url)]
                counted[place] += each.clicks
                counted[2 + place] += each.human_clicks
        links = [Link(url, (a, b), (c, d)) for url, (a, b, c, d) in numbers.items()]
        return sorted(links, key=lambda link: (-sum(link.clicks), link.url))[:MOST_LINKS]


_FIGURES: tuple[tuple[str, Callable[[Row], str]], ...] = (
    ("Emails", lambda row: number(row[0].sent)),
    ("Clicked by people", lambda row: number(row[1].clicked)),
    ("Click-through rate", lambda row: share(row[1].clicked, row[0].sent)),
    ("Clicks", lambda row: number(row[1].clicks)),
    ("Unique clicks", lambda row: number(row[1].unique_clicks)),
    ("Machine clicks", lambda row: number(row[1].machine_clicks)),
)


def _is_digest(text: str) -> bool:
    return len(text) <= 64 and len(text) % 2 == 0 and not set(text) - set("0123456789abcdef")


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdecimal() and len(text) < 18 else None
