"""What of the statistics is looked at: days and filters, as the address of a page has them."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request

from clicktrail.base.ids import first_of
from clicktrail.model import Where
from clicktrail.store.clicks.statistics import Day, Statistics
from clicktrail.store.clicks.zoned import begin_of, daily, hours_of

HOURLY_DAYS = 14
"""A range of so many days can be looked at by the hour."""
LONGEST = 3660
PROGRAM_LIMIT = 64
"""Characters of the name of a program and device."""
USUAL = 30
"""Days that are looked at where none are given."""
EARLIEST, LATEST = date(2000, 1, 1), date(2999, 12, 31)
FILTERS = ("configuration_set", "identity", "provider")
_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)


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
    program: str | None = None
    """A program and device: only clicks by it, of which emails are not known either."""
    hourly: bool = False
    zone: tzinfo = UTC
    """Whose days and hours they are."""
    now: str = ""
    """The hour that has begun last (``2026-11-23T18``)."""
    by: str = ""
    """Which table is asked for (`clicktrail.console.numbers.breakdown`)."""
    sort: str = ""
    """By which of its columns it is sorted."""

    @classmethod
    def of(cls, request: Request, zone: tzinfo = UTC) -> "Selection":
        """Return what a request asks for; what it asks amiss is as if it did not."""
        asked = request.query_params
        now = datetime.now(zone)
        until = day_of(asked.get("until")) or now.date()
        since = day_of(asked.get("since")) or first_of(USUAL, until)
        since = max(min(since, until), until - timedelta(days=LONGEST))
        chosen, identity, provider = (asked.get(name) or None for name in FILTERS)
        name, equals, value = asked.get("tag", "").partition("=")
        tag = (name.strip(), value.strip()) if equals and name else None
        program = asked.get("program", "")[:PROGRAM_LIMIT] or None if tag is None else None
        short = (until - since).days < HOURLY_DAYS
        hourly = asked.get("per") == "hour" and short and tag is None and program is None
        return cls(
            since, until, chosen, identity, provider, tag, program, hourly, zone,
            f"{now:%Y-%m-%dT%H}", asked.get("by", "")[:32], asked.get("sort", "")[:32],
        )  # fmt: skip

    def query(self, **changes: Any) -> str:
        """Return it as a query string, with what is changed; what is as usual is left out."""
        changed = replace(self, **changes)
        given = {
            "since": changed.since,
            "until": changed.until,
            **{name: getattr(changed, name) for name in FILTERS},
            "tag": "=".join(changed.tag) if changed.tag else None,
            "program": changed.program,
            "per": "hour" if changed.hourly else None,
            "by": changed.by or None,
            "sort": changed.sort or None,
        }
        return urlencode({name: value for name, value in given.items() if value is not None})

    def chips(self) -> list[tuple[str, str, str]]:
        """Return the filters that are on: name, value, and the query without."""
        found = []
        for name, title in zip(FILTERS, ("Configuration set", "Identity", "Provider"), strict=True):
            if value := getattr(self, name):
                found.append((title, value, self.query(**{name: None})))
        if self.tag:
            found.append(("Link tag", "=".join(self.tag), self.query(tag=None)))
        if self.program:
            found.append(("Device and program", self.program, self.query(program=None)))
        return found

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
        """The same as `Statistics` takes it, by days of UTC."""
        range_ = self.since.isoformat(), self.until.isoformat()
        places = self.configuration_set, self.identity, self.provider
        return Where(*places, *range_, self.tag, self.program)

    @property
    def all_clicks(self) -> Where:
        """The same as `where`, without the filters that only a table of their own knows of."""
        return replace(self.where, tag=None, program=None)

    @property
    def sends(self) -> bool:
        """Whether it is known what was sent: not by link tag, and not by program."""
        return self.tag is None and self.program is None

    @property
    def exact(self) -> Where:
        """The same, by the days of its time zone."""
        return hours_of(self.where, self.zone)

    def unfinished(self, time: str) -> bool:
        """Whether a day or hour has begun and is not over."""
        return time == self.now[: len(time)]

    async def series(self, statistics: Statistics) -> list[tuple[int, Day]]:
        """Return every day, or every hour, that has begun, also where nothing was counted.

        Each has the time at which it is drawn (seconds since 1970), and is called as it is in the
        time zone.
        """
        if self.hourly:
            found = await statistics.hourly(self.exact)
        else:
            found = await daily(statistics, self.where, self.zone)
        known = {_seconds(each.day): each for each in found}
        # What is to come is no zero; a clock that was set back has counted there all the same.
        begun = [(at, name) for at, name in self._slots() if name <= self.now or at in known]
        return [(at, replace(known.get(at, _NONE), day=name)) for at, name in begun]

    def _slots(self) -> Iterator[tuple[int, str]]:
        if not self.hourly:
            for day in (str(self.since + timedelta(days=n)) for n in range(self.days)):
                yield _seconds(day), day
            return
        at, end = begin_of(self.since, self.zone), begin_of(self.until + _DAY, self.zone)
        while at < end:
            yield int(at.timestamp()), f"{at.astimezone(self.zone):%Y-%m-%dT%H}"
            at += _HOUR


_NONE = Day(day="")


def _seconds(time: str) -> int:
    """Return where a day, or an hour of UTC, is drawn."""
    text = f"{time}:00Z" if "T" in time else f"{time}T00:00Z"
    return int(datetime.fromisoformat(text).timestamp())


def day_of(text: str | None) -> date | None:
    """Return a day that a request names; ``None`` where it is none."""
    try:
        day = date.fromisoformat(text) if text else None
    except ValueError:
        return None
    return day if day and EARLIEST <= day <= LATEST else None
