"""SES v2: long lists come in pages (``PageSize``, ``NextToken``)."""

import base64
import binascii
from bisect import bisect_right
from collections.abc import Sequence

from clicktrail.ingress.sesv2.operations import Body, Call, bad_request

MOST = 1000
"""How many items a page has at the most, and where none is asked for."""


class Page(Body):
    """Which page is asked for."""

    page_size: int | None = None
    next_token: str | None = None


def page(names: Sequence[str], call: Call, body: Body) -> tuple[list[str], dict[str, str]]:
    """Return the page of sorted names that is asked for, and the token of the next one.

    Asked for in the body, or (by older clients) in the query. The token is the last name of the
    page: what is added or removed between two pages moves nothing. Raises `ApiError`.
    """
    size, after = asked_page(call, body)
    start = bisect_right(names, after) if after else 0
    shown = list(names[start : start + size])
    return shown, next_token(shown[-1]) if start + size < len(names) else {}


def asked_page(call: Call, body: Body | None = None) -> tuple[int, str]:
    """Return how many items are asked for, and after which; ``""`` for the first page.

    Raises `ApiError`.
    """
    asked = body if isinstance(body, Page) else Page()
    size = asked.page_size if asked.page_size is not None else _number(call.asked("PageSize"))
    token = asked.next_token or call.asked("NextToken")
    if not 1 <= size <= MOST:
        raise bad_request(f"PageSize is {size}: use 1 to {MOST}")
    return size, _opened(token) if token else ""


def next_token(last: str) -> dict[str, str]:
    """Return the member that asks for what comes after the last item of a page."""
    return {"NextToken": base64.urlsafe_b64encode(last.encode()).decode()}


def _number(text: str | None) -> int:
    if text is None:
        return MOST
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 9 else 0


def _opened(token: str) -> str:
    try:
        return base64.b64decode(token, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise bad_request("NextToken is not one that was given: leave it out to begin") from None
