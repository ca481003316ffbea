"""Who clicked, as rows of CSV (RFC 4180) and as lines of JSON."""

import csv
import io
import re
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, date, datetime, time

import msgspec

from clicktrail.base.ids import first_of, rfc3339
from clicktrail.base.text.cells import harmless
from clicktrail.errors import InvalidInput
from clicktrail.store.finding.clickers import Clicker

COLUMNS = (
    *("recipient", "verdict", "firstClick", "lastClick", "clicks", "humanClicks"),
    *("links", "subject", "configurationSet", "messageId"),
)
CSV, JSON_LINES = "text/csv; charset=utf-8; header=present", "application/x-ndjson"
"""Media types."""


async def csv_of(pages: AsyncIterator[list[Clicker]]) -> AsyncIterator[str]:
    """Yield CSV, its head first."""
    yield _csv([COLUMNS])
    async for some in pages:
        if some:
            yield _csv(_cells(each) for each in some)


async def json_lines_of(pages: AsyncIterator[list[Clicker]]) -> AsyncIterator[str]:
    """Yield an object of JSON a line."""
    async for some in pages:
        if some:
            yield "".join(msgspec.json.encode(_object(each)).decode() + "\n" for each in some)


def since_of(text: str) -> int:
    """Return when ``7d`` (the last 7 days of UTC, today's included), a day or a time begins.

    In microseconds since 1970. Raises `InvalidInput`.
    """
    days = re.fullmatch(r"([1-9]\d{0,3})d", text)
    try:
        if days:
            day = first_of(int(days[1]), datetime.now(UTC).date())
            at = datetime.combine(day, time(), UTC)
        elif re.fullmatch(r"\d{4}-\d\d-\d\d", text):
            at = datetime.combine(date.fromisoformat(text), time(), UTC)
        else:
            at = datetime.fromisoformat(text)
        if at.tzinfo is None:
            raise ValueError
        return max(0, int(at.astimezone(UTC).timestamp() * 1_000_000))
    except (ValueError, OverflowError):
        raise InvalidInput(
            f"since {text[:100]!r} is no time: give a day such as 2026-11-23, 7d for the last 7"
            " days, or a time such as 2026-11-23T18:00:00Z"
        ) from None


def _object(each: Clicker) -> dict[str, object]:
    return {
        "recipient": each.recipient,
        "verdict": each.verdict,
        "firstClick": rfc3339(each.first_at) if each.first_at else None,
        "lastClick": rfc3339(each.last_at),
        "clicks": each.clicks,
        "humanClicks": each.human_clicks,
        "links": each.links,
        "subject": each.subject,
        "configurationSet": each.configuration_set,
        "messageId": each.message_id,
    }


def _cells(each: Clicker) -> list[object]:
    values = _object(each) | {"links": " ".join(each.links)}
    cells = (values[name] for name in COLUMNS)
    return [harmless(cell) if isinstance(cell, str) else cell for cell in cells]


def _csv(rows: Iterable[Iterable[object]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()
