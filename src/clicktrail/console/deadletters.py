"""Notifications that could not be delivered, and their replay."""

import re

from starlette.requests import Request
from starlette.responses import Response

from clicktrail.console.forms import answer, field, fields
from clicktrail.console.views import Views, number
from clicktrail.errors import InvalidInput
from clicktrail.store import Store

SHOWN = 200
_ID = re.compile(r"[0-9]{1,18}")  # databases hold no larger numbers


class DeadLetters:
    """The pages of dead letters. ``retry_for`` is how long notifications are tried, in seconds."""

    def __init__(self, store: Store, views: Views, retry_for: float) -> None:
        self._outbox = store.outbox
        self._views = views
        self._retry_for = retry_for

    async def list(self, request: Request) -> Response:
        """Show the newest, or those that are older than one."""
        given = request.query_params.get("before", "")
        before = int(given) if _ID.fullmatch(given) else None
        letters = await self._outbox.dead(SHOWN + 1, before)
        return self._views.page(
            request,
            "dead_letters.html",
            letters=letters[:SHOWN],
            count=await self._outbox.count_dead(),
            older=letters[SHOWN - 1].id if len(letters) > SHOWN else 0,
            first=before is None,
            retry_for=self._retry_for,
        )

    async def replay(self, request: Request) -> Response:
        """Try those again that are chosen, or all."""

        async def work() -> str:
            everything = field(request, "which") == "all"
            ids = [int(text) for text in fields(request, "id") if _ID.fullmatch(text)]
            if not (everything or ids):
                raise InvalidInput("Nothing is chosen: tick some, or try all again.")
            count = await self._outbox.replay(None if everything else ids)
            return f"{number(count)} {'is' if count == 1 else 'are'} tried again, from the start."

        return await answer(request, work, "/dead-letters#letters")
