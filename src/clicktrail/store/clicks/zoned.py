"""Days of a time zone: put together from what is counted by the hour of UTC."""

import re
from collections import defaultdict
from dataclasses import replace
from datetime import MAXYEAR, MINYEAR, UTC, date, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from clicktrail.errors import InvalidInput
from clicktrail.model import Where
from clicktrail.store.clicks.statistics import Counts, Day, Statistics

_FIRST = date(1970, 1, 1).toordinal()
_YEAR = 366
"""Days: what is counted by the hour is kept for less."""
_NAME = re.compile(r"[A-Za-z0-9_+-]{1,32}(?:/[A-Za-z0-9_+-]{1,32}){0,2}")


def time_zone(name: str) -> tzinfo:
    """Return a time zone by its name in the tz database. Raises `InvalidInput`."""
    if name == "UTC":
        return UTC
    try:
        if _NAME.fullmatch(name):
            return ZoneInfo(name)
    except (ZoneInfoNotFoundError, OSError, ValueError):
        pass
    raise InvalidInput(f"there is no time zone {name[:100]!r}: give one such as Europe/Berlin")


def begin_of(day: date, zone: tzinfo) -> datetime:
    """Return when a day begins, in UTC; of one at the end of time, when it does there."""
    if day.year in (MINYEAR, MAXYEAR):
        return datetime.combine(day, time(), UTC)
    return datetime.combine(day, time(), zone).astimezone(UTC)


def days_of(where: Where) -> Where:
    """Return the same without hours, tag and program: of what is known by the day (UTC) alone."""
    since, until = where.since and where.since[:10], where.until and where.until[:10]
    return replace(where, since=since, until=until, tag=None, program=None)


def hours_of(where: Where, zone: tzinfo) -> Where:
    """Return the same from the first hour (UTC) of its first day in a zone to its last day's last.

    Of UTC itself, days stay days.
    """
    if zone is UTC:
        return where
    since, until = where.since, where.until
    if since is not None:
        since = f"{begin_of(date.fromisoformat(since), zone):%Y-%m-%dT%H}"
    if until is not None:
        last = min(date.fromisoformat(until), date.max - timedelta(days=1))
        after = begin_of(last + timedelta(days=1), zone)
        until = f"{after - timedelta(hours=1):%Y-%m-%dT%H}"
    return replace(where, since=since, until=until)


async def objection(statistics: Statistics, where: Where, zone: tzinfo) -> str:
    """Return why the days of a period cannot be cut in a zone; ``""`` where they can."""
    if zone is UTC:
        return ""
    if where.tag is not None:
        return "clicks by link tag are counted by days of UTC"
    if where.program is not None:
        return "clicks by program and device are counted by days of UTC"
    if not _cut_at_hours(where, zone):
        return f"{zone} is not a whole number of hours from UTC"
    first = await statistics.first_hour()
    if (hours_of(where, zone).since or "") >= first:
        return ""
    since = f"only since {first[:10]}" if first[:1].isdigit() else "no more"
    return f"what was counted is known by the hour {since}"


def _cut_at_hours(where: Where, zone: tzinfo) -> bool:
    """Whether each day of a period, of the last year of it, begins with an hour of UTC."""
    last = date.fromisoformat(where.until) if where.until else datetime.now(zone).date()
    first = last - timedelta(days=min(_YEAR, last.toordinal() - _FIRST))
    if where.since is not None:
        first = max(first, date.fromisoformat(where.since))
    days = range(first.toordinal(), max(first, last).toordinal() + 1)
    return not any(begin_of(date.fromordinal(day), zone).minute for day in days)


async def daily(statistics: Statistics, where: Where, zone: tzinfo) -> list[Day]:
    """Return the days on which anything was counted, as a zone has them, the earliest first.

    Raises `InvalidInput` where they cannot be cut there.
    """
    if zone is UTC:
        return await statistics.daily(where)
    if why := await objection(statistics, where, zone):
        raise InvalidInput(f"the days of {zone} are not known: {why}")
    sums: defaultdict[str, Counts] = defaultdict(Counts)
    for hour in await statistics.hourly(hours_of(where, zone)):
        at = datetime.fromisoformat(f"{hour.day}:00Z").astimezone(zone)
        sums[str(at.date())].add(hour)
    return [counts.of(day) for day, counts in sorted(sums.items())]
