"""Time zones: days and times are shown in the reader's, which the browser says in a cookie."""

from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from functools import lru_cache

from jinja2 import pass_context
from starlette.requests import Request

from clicktrail.base.ids import in_calendar
from clicktrail.console.entry.cookies import cookie
from clicktrail.errors import InvalidInput
from clicktrail.store.clicks.zoned import time_zone

COOKIE = "clicktrail_zone"
_LONGEST = 100


def given_zone(request: Request) -> str:
    """Return what the browser says, whether there is such a time zone or not."""
    return cookie(request, COOKIE)[:_LONGEST]


def zone_of(request: Request) -> tzinfo:
    """Return the reader's time zone; UTC where none is known."""
    return _zone(given_zone(request))


@lru_cache(maxsize=1000)
def _zone(name: str) -> tzinfo:
    try:
        return time_zone(name)
    except InvalidInput:
        return UTC


def time_text(at_us: int | None, zone: tzinfo = UTC) -> str:
    """Return a time to the second; a dash for none."""
    if at_us is None:
        return "–"
    seconds = in_calendar(at_us) // 1_000_000
    return datetime.fromtimestamp(seconds, zone).strftime("%Y-%m-%d %H:%M:%S")


@pass_context
def page_time(context: Mapping[str, tzinfo], at_us: int | None) -> str:
    """Return a time as the page that it stands on has them."""
    return time_text(at_us, context["zone"])
