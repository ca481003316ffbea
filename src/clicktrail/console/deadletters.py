"""Notifications that could not be delivered, and their replay."""

import re

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from clicktrail.console.forms import field, fields
from clicktrail.console.views import Views
from clicktrail.store import Store

SHOWN = 200
_ID = re.compile(r"[0-9]{1,18}")  # databases hold no larger numbers


class DeadLetters:
    """The page of dead letters."""

    def __init__(self, store: Store, views: Views) -> None:
        self._outbox = store.outbox
        self._views = views

    async def list(self, request: Request) -> Response:
        """Show the newest."""
        letters = await self._outbox.dead(SHOWN)
        return self._views.page(request, "dead_letters.html", letters=letters, shown=SHOWN)

    async def replay(self, request: Request) -> Response:
        """Try those again that are chosen, or all."""
        ids = [int(text) for text in fields(request, "id") if _ID.fullmatch(text)]
        everything = field(request, "which") == "all"
        if everything or ids:
            await self._outbox.replay(None if everything else ids)
        return RedirectResponse("/dead-letters", 303)
