"""Clicks by what links lead to: URLs that differ for each recipient, or by campaign, are one."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, select

from clicktrail.model import Where
from clicktrail.store.clicks.statistics import EVERYTHING, chosen, total
from clicktrail.store.clicks.tables import link_counters
from clicktrail.store.database.core import Database
from clicktrail.store.mail.pages import page_of, without_campaign

SHOWN = 20
"""So many of the URLs that are one are told, the most clicked."""


@dataclass(frozen=True, slots=True)
class LinkClicks:
    """The clicks of one original URL."""

    url: str
    clicks: int
    unique_clicks: int
    human_clicks: int


@dataclass(frozen=True, slots=True)
class PageClicks(LinkClicks):
    """The clicks of a URL, or of several that lead to the same: ``url`` has what they share."""

    number: int = 1
    """How many URLs there are."""
    urls: tuple[LinkClicks, ...] = ()
    """Some of them, where there are several."""


ORDERS: dict[str, Callable[[PageClicks], tuple[Any, ...]]] = {
    "clicks": lambda each: (-each.clicks, each.url),
    "unique": lambda each: (-each.unique_clicks, each.url),
    "machine": lambda each: (each.human_clicks - each.clicks, each.url),
    "name": lambda each: (each.url,),
}


class Pages:
    """Reads them. Every method may raise `StoreUnavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def links(self, where: Where = EVERYTHING, limit: int = 1000) -> list[LinkClicks]:
        """Return clicks by original URL, the most clicked first."""
        at = link_counters.c
        clicks, *others = _sums()
        statement = (
            select(func.min(at.url), clicks, *others)
            .where(*chosen(link_counters, where))
            .group_by(at.digest)
            .order_by(clicks.desc(), func.min(at.url))
            .limit(limit)
        )
        rows = await self._database.read(lambda connection: connection.execute(statement).all())
        return [LinkClicks(*row) for row in rows]

    async def top(
        self, where: Where = EVERYTHING, limit: int = 1000, by: str = "clicks"
    ) -> list[PageClicks]:
        """Return what was clicked most, first; or the most of one of `ORDERS`.

        Where most values of the parameters came with one email alone they are its own, and all of
        these URLs are one; else only those are that differ in nothing but ``utm_…``.
        """
        at = link_counters.c
        mine = chosen(link_counters, where)
        clicks, unique, human = _sums()
        columns = {"clicks": clicks, "unique": unique, "machine": clicks - human}
        pages = (
            select(at.page, func.count(at.digest.distinct()), func.min(at.url), *_sums())
            .where(*mine)
            .group_by(at.page)
            .order_by(*([columns[by].desc()] if by in columns else []), func.min(at.url))
            .limit(limit)
        )

        def work(connection: Connection) -> list[PageClicks]:
            rows = connection.execute(pages).all()
            several = _urls(connection, mine, [row[0] for row in rows if row[1] > 1])
            found: list[PageClicks] = []
            for page, number, url, *counts in rows:
                urls = several.get(page, [])
                if not urls:
                    found.append(PageClicks(url, *counts))
                elif number > SHOWN or number * 2 > counts[1]:
                    sums = LinkClicks(page_of(url), *counts)
                    found.append(_folded(sums, number, urls))
                else:
                    found += _campaigns(urls)
            return sorted(found, key=ORDERS[by])[:limit]

        return await self._database.read(work)


def _urls(
    connection: Connection, mine: Iterable[ColumnElement[bool]], pages: list[bytes]
) -> dict[bytes, list[LinkClicks]]:
    """Return the most clicked URLs of pages."""
    if not pages:
        return {}
    at = link_counters.c
    clicks, *others = _sums()
    url = func.min(at.url)
    place = func.row_number().over(partition_by=at.page, order_by=(clicks.desc(), url))
    ranked = (
        select(at.page, url.label("url"), clicks, *others, place.label("place"))
        .where(*mine, at.page.in_(pages))
        .group_by(at.page, at.digest)
        .subquery()
    )
    query = select(ranked).where(ranked.c.place <= SHOWN).order_by(ranked.c.page, ranked.c.place)
    found: defaultdict[bytes, list[LinkClicks]] = defaultdict(list)
    for page, *numbers, _ in connection.execute(query):
        found[page].append(LinkClicks(*numbers))
    return found


def _folded(sums: LinkClicks, number: int, urls: list[LinkClicks]) -> PageClicks:
    return PageClicks(
        sums.url, sums.clicks, sums.unique_clicks, sums.human_clicks, number, tuple(urls)
    )


def _campaigns(urls: list[LinkClicks]) -> list[PageClicks]:
    groups: defaultdict[str, list[LinkClicks]] = defaultdict(list)
    for each in urls:
        groups[without_campaign(each.url)].append(each)
    return [
        PageClicks(
            shared if len(some) > 1 else some[0].url,
            sum(each.clicks for each in some),
            sum(each.unique_clicks for each in some),
            sum(each.human_clicks for each in some),
            len(some),
            tuple(some) if len(some) > 1 else (),
        )
        for shared, some in groups.items()
    ]


def _sums() -> tuple[ColumnElement[int], ...]:
    at = link_counters.c
    return (
        total(at.clicks).label("clicks"),
        total(at.unique_clicks).label("unique_clicks"),
        total(at.human_clicks).label("human_clicks"),
    )
