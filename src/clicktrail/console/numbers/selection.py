"""What of the statistics is looked at: days and filters, as the address of a page has them."""

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request

from clicktrail.base.ids import first_of
from clicktrail.model import Where
from clicktrail.store.clicks.statistics import Day, Statistics

HOURLY_DAYS = 14
"""A range of so many days can be looked at by the hour."""
LONGEST = 3660
USUAL = 30
"""Days that are looked at where none are given."""
EARLIEST, LATEST = date(2000, 1, 1), date(2999, 12, 31)
FILTERS = ("configuration_set", "identity", "provider")


@dataclass(frozen=True, slots=True)
class Selection:
    """What of the statistics is looked at: days (both ends belong to it) and filters."""

    since: date
    until: date
    configuration_set: str | None
    identity: str | None
    provider: str | None
    tag: tuple[str, str] | None = None
    """Name and value of a link tag: only clicks of such links. What is sent is not known by it."""
    hourly: bool = False
    now: str = ""
    """The hour that has begun last (``2026-11-23T18``)."""

    @classmethod
    def of(cls, request: Request) -> "Selection":
        """Return what a request asks for; what it asks amiss is as if it did not."""
        asked = request.query_params
        now = datetime.now(UTC)
        until = _day(asked.get("until")) or now.date()
        since = _day(asked.get("since")) or first_of(USUAL, until)
        since = max(min(since, until), until - timedelta(days=LONGEST))
        chosen, identity, provider = (asked.get(name) or None for name in FILTERS)
        name, equals, value = asked.get("tag", "").partition("=")
        tag = (name.strip(), value.strip()) if equals and name else None
        short = (until - since).days < HOURLY_DAYS
        hourly = asked.get("per") == "hour" and short and tag is None
        hour = f"{now:%Y-%m-%dT%H}"
        return cls(since, until, chosen, identity, provider, tag, hourly, hour)

    def query(self, **changes: Any) -> str:
        """Return it as a query string, with what is changed; what is as usual is left out."""
        changed = replace(self, **changes)
        given = {
            "since": changed.since,
            "until": changed.until,
            **{name: getattr(changed, name) for name in FILTERS},
            "tag": "=".join(changed.tag) if changed.tag else None,
            "per": "hour" if changed.hourly else None,
        }
        return urlencode({name: value for name, value in given.items() if value is not None})

    def last(self, days: int) -> "Selection":
        """Return the same of the last days, today's included."""
        today = date.fromisoformat(self.now[:10])
        return replace(self, since=first_of(days, today), until=today)

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

    def unfinished(self, time: str) -> bool:
        """Whether a day or hour has begun and is not over."""
        return time == self.now[: len(time)]

    async def series(self, statistics: Statistics) -> list[Day]:
        """Return every day, or every hour, that has begun, also where nothing was counted."""
        found = await (statistics.hourly if self.hourly else statistics.daily)(self.where)
        known = {each.day: each for each in found}
        days = [str(self.since + timedelta(days=n)) for n in range(self.days)]
        times = [f"{day}T{hour:02}" for day in days for hour in range(24)] if self.hourly else days
        # What is to come is no zero; a clock that was set back has counted there all the same.
        begun = (time for time in times if time <= self.now or time in known)
        return [known.get(time) or Day(time, 0, 0, 0, 0) for time in begun]


def _day(text: str | None) -> date | None:
    try:
        day = date.fromisoformat(text) if text else None
    except ValueError:
        return None
    return day if day and EARLIEST <= day <= LATEST else None
