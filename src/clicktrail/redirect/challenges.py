"""Answers certificate authorities that look for a challenge over http (RFC 8555 § 8.3)."""

import asyncio
import re
from collections.abc import Awaitable, Callable

from clicktrail.base.logs import get_logger
from clicktrail.errors import ClicktrailError
from clicktrail.redirect.app import Pages
from clicktrail.redirect.domains import give
from clicktrail.redirect.exchange import Exchange
from clicktrail.redirect.pages import DOMAIN_IS_UNKNOWN, NO_FILE, octets

PATH = b"/.well-known/acme-challenge/"
_TOKEN = re.compile(rb"[A-Za-z0-9_-]{1,255}")
"""base64url, as RFC 8555 § 8.3 has it."""

log = get_logger(__name__)


class ChallengePages:
    """Answers what is below `PATH`; ``others`` all else.

    ``find`` returns what a token is answered with. It may raise a `ClicktrailError`: 503.
    """

    def __init__(self, find: Callable[[str], Awaitable[str | None]], others: Pages) -> None:
        self._find = find
        self._others = others
        self._looking: set[asyncio.Task[None]] = set()

    def handle(self, exchange: Exchange, path: bytes) -> bool:
        """See `Pages.handle`."""
        if not path.startswith(PATH):
            return self._others.handle(exchange, path)
        token = path[len(PATH) :]
        if _TOKEN.fullmatch(token):
            task = asyncio.create_task(self._answer(exchange, token.decode("ascii")))
            self._looking.add(task)
            task.add_done_callback(self._looking.discard)
        else:
            give(exchange, NO_FILE)
        return True

    async def _answer(self, exchange: Exchange, token: str) -> None:
        try:
            found = await self._find(token)
        except Exception as error:
            if not isinstance(error, ClicktrailError):
                log.exception("a challenge cannot be answered")
            give(exchange, DOMAIN_IS_UNKNOWN)
        else:
            give(exchange, NO_FILE if found is None else octets(found.encode()))
