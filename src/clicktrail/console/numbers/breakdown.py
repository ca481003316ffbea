"""What the numbers are made of: a table for each question, ten rows, and all of them as CSV."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from clicktrail.base.text.cells import harmless
from clicktrail.console.numbers.selection import Selection
from clicktrail.console.views import number, share
from clicktrail.store import Store
from clicktrail.store.clicks.pages import LinkClicks
from clicktrail.store.clicks.statistics import Counts
from clicktrail.store.clicks.zoned import begin_of

ROWS = 10
MOST = 1000
"""So many rows are sorted, and are in the CSV: those with the most clicks."""
LOOKED_AT = 100
"""So many links are looked at where ten are shown: there may be one for each email."""
MAILINGS = 200
"""So many mailings are looked at, those with the newest email."""

TABS = {
    "mailings": "Mailings",
    "links": "Links",
    "tags": "Link tags",
    "configuration_set": "Configuration sets",
    "identity": "Identities",
    "provider": "Providers",
    "devices": "Devices and programs",
}
_COLUMNS: dict[str, tuple[str, Callable[[Counts], float]]] = {
    "sent": ("Sent", lambda counts: counts.sent),
    "tracked": ("Tracked", lambda counts: counts.tracked),
    "clicked": ("Clicked by people", lambda counts: counts.clicked),
    "rate": ("Rate", lambda counts: counts.click_through_rate or 0.0),
    "clicks": ("Clicks", lambda counts: counts.clicks),
    "unique": ("Unique clicks", lambda counts: counts.unique_clicks),
    "machine": ("Machine clicks", lambda counts: counts.machine_clicks),
}
_CLICKS = ("clicks", "unique", "machine")
_EMAILS = ("tracked", "clicked", "rate", "clicks", "unique", "machine")
_OF_TAB = {
    "links": _CLICKS,
    "mailings": _EMAILS,
    "tags": _EMAILS,
    "devices": _CLICKS,
}
"""The columns of a table; other tables have all."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row. ``href`` leads to the page with its filter, or to its own page."""

    name: str
    counts: Counts
    href: str = ""
    hint: str = ""
    number: int = 1
    """How many URLs it stands for, of which ``urls`` are some."""
    urls: tuple[LinkClicks, ...] = ()

    def cells(self, columns: Iterable[str]) -> list[tuple[str, str]]:
        """Return the names and values of columns, as they are shown."""
        return [(_COLUMNS[name][0], self._cell(name)) for name in columns]

    def _cell(self, name: str) -> str:
        if name == "rate":
            return share(self.counts.clicked, self.counts.tracked)
        return number(int(_COLUMNS[name][1](self.counts)))

    def plain(self, columns: Iterable[str]) -> list[Any]:
        """Return the values of columns as CSV has them; the rate is in per cent."""
        found: list[Any] = []
        for name in columns:
            value = _COLUMNS[name][1](self.counts)
            rate = self.counts.click_through_rate
            found.append(value if name != "rate" else "" if rate is None else f"{rate:.1f}")
        return found


@dataclass(frozen=True, slots=True)
class Breakdown:
    """One table, sorted."""

    by: str
    sort: str
    columns: tuple[str, ...]
    rows: list[Row] = field(default_factory=list)
    hint: str = ""
    """Why there is none."""

    @property
    def heads(self) -> list[tuple[str, str]]:
        """The columns with their titles."""
        return [(name, _COLUMNS[name][0]) for name in self.columns]


def chosen_tab(selection: Selection) -> str:
    """Return the table that is asked for, or the first that knows of the filters."""
    if selection.by in TABS:
        return selection.by
    if selection.tag:
        return "tags"
    if selection.program:
        return "devices"
    return "links" if selection.identity or selection.provider else "mailings"


async def breakdown(store: Store, selection: Selection, most: int = LOOKED_AT) -> Breakdown:
    """Return the table that a selection asks for, ``most`` of its links."""
    by = chosen_tab(selection)
    columns = _OF_TAB.get(by, tuple(_COLUMNS))
    if by not in _OF_TAB and not selection.sends:
        columns = _EMAILS if selection.tag else _CLICKS
    sort = selection.sort if selection.sort in (*columns, "name") else "clicks"
    if by == "links":
        rows, hint = await _links(store, selection, most, sort)
    else:
        rows, hint = await _READ.get(by, _groups)(store, selection)
    if sort == "name":
        rows = sorted(rows, key=lambda row: row.name.casefold())
    else:
        value = _COLUMNS[sort][1]
        rows = sorted(rows, key=lambda row: (-value(row.counts), -row.counts.clicks, row.name))
    return Breakdown(by, sort, columns, rows, hint or "Nothing was counted in these days.")


async def _mailings(store: Store, selection: Selection) -> tuple[list[Row], str]:
    if not selection.sends or selection.identity or selection.provider:
        return [], "Mailings are not counted by identity, provider, link tag or program."
    since, until = _times(selection)
    chosen = selection.configuration_set
    found = [
        each
        for each in await store.mailings.newest("subject", MAILINGS)
        if each.last_at >= since and each.first_at < until
        if chosen in (None, each.configuration_set)
    ]
    counts = await store.mailings.counts([each.digest for each in found])
    rows = [
        Row(
            each.name,
            replace(counts.get(each.digest, Counts()), tracked=each.sent),
            f"/mailings/{each.digest.hex()}",
            each.configuration_set if chosen is None else "",
        )
        for each in found
    ]
    return rows, "No tracked email with a subject was sent in these days."


async def _devices(store: Store, selection: Selection) -> tuple[list[Row], str]:
    if selection.tag:
        return [], "Devices and programs are not counted by link tag."
    found = await store.statistics.groups("program", selection.all_clicks, MOST)
    rows = [
        Row(each.name, each, "/?" + selection.query(program=each.name, hourly=False))
        for each in found
    ]
    return rows, "Nothing was clicked in these days."


def _times(selection: Selection) -> tuple[int, int]:
    """Return when its days begin and end, in microseconds since 1970 UTC."""
    ends = selection.since, selection.until + timedelta(days=1)
    since, until = (begin_of(day, selection.zone).timestamp() for day in ends)
    return int(since) * 1_000_000, int(until) * 1_000_000


async def _links(store: Store, selection: Selection, most: int, sort: str) -> tuple[list[Row], str]:
    if not selection.sends:
        return [], "Links are not counted by link tag or program."
    found = await store.pages.top(selection.where, most, sort)
    rows = [
        Row(
            each.url,
            Counts(0, each.clicks, each.unique_clicks, each.human_clicks),
            number=each.number,
            urls=each.urls,
        )
        for each in found
    ]
    return rows, "No link was clicked in these days."


async def _tags(store: Store, selection: Selection) -> tuple[list[Row], str]:
    if selection.program:
        return [], "Link tags are not counted by program."
    found = await store.statistics.tags(selection.all_clicks, MOST)
    rows = [
        Row(
            f"{each.tag}: {each.value}",
            each,
            "/?" + selection.query(tag=(each.tag, each.value), hourly=False),
        )
        for each in found
    ]
    return rows, "No email with link tags (postbox:tags) was sent or clicked in these days."


async def _groups(store: Store, selection: Selection) -> tuple[list[Row], str]:
    by: Any = chosen_tab(selection)
    found = await store.statistics.groups(by, selection.exact, MOST)
    rows = [
        Row(
            each.name or "none",
            each,
            "/?" + selection.query(**{by: each.name}) if each.name else "",
        )
        for each in found
    ]
    return rows, ""


_READ: dict[str, Callable[[Store, Selection], Any]] = {
    "mailings": _mailings,
    "tags": _tags,
    "devices": _devices,
}


def table_rows(found: Breakdown) -> Sequence[Sequence[Any]]:
    """Return it as CSV has it: a heading, and all rows."""
    head = ["name", *(_NAMES.get(name, name) for name in found.columns)]
    return [head, *([harmless(row.name), *row.plain(found.columns)] for row in found.rows)]


_NAMES = {
    "clicked": "clicked_by_people",
    "rate": "click_through_rate",
    "unique": "unique_clicks",
    "machine": "machine_clicks",
}
