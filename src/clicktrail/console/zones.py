"""Time zones: days and times are shown in the reader's, which the browser says in a cookie."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from jinja2 import pass_context
from starlette.requests import Request

from clicktrail.console.entry.cookies import cookie

COOKIE = "clicktrail_zone"
_NAME = re.compile(r"[A-Za-z0-9_+-]{1,32}(?:/[A-Za-z0-9_+-]{1,32}){0,2}")


def given_zone(request: Request) -> str:
    """Return what the browser says, where it can be the name of a time zone; else ``""``."""
    given = cookie(request, COOKIE)
    return given if _NAME.fullmatch(given) else ""


def zone_of(request: Request) -> tzinfo:
    """Return the reader's time zone; UTC where none is known."""
    return _zone(given_zone(request))


@lru_cache(maxsize=1000)
def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name) if name not in ("", "UTC") else UTC
    except (ZoneInfoNotFoundError, OSError, ValueError):
        return UTC


def time_text(at_us: int | None, zone: tzinfo = UTC) -> str:
    """Return a time to the second; a dash for none."""
    if at_us is None:
        return "–"
    return datetime.fromtimestamp(at_us // 1_000_000, zone).strftime("%Y-%m-%d %H:%M:%S")


@pass_context
def page_time(context: Mapping[str, tzinfo], at_us: int | None) -> str:
    """Return a time as the page that it stands on has them."""
    return time_text(at_us, context["zone"])
