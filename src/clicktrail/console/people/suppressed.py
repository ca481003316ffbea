"""The suppression list: a page to search and change it, and to read many from a file."""

import io
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from clicktrail.console.forms import answer, field, fields
from clicktrail.console.views import Views, number
from clicktrail.errors import InvalidInput
from clicktrail.store import Store
from clicktrail.store.people.suppression import Entries, SuppressionReason, reason_named

PAGE = "/suppression"
SHOWN = 100


class SuppressedPages:
    """The page, and its forms."""

    def __init__(self, store: Store, views: Views) -> None:
        self._list = store.suppression
        self._views = views

    async def show(self, request: Request) -> Response:
        """Show who is on the list, in order."""
        asked = request.query_params
        part, after = asked.get("q", "").strip(), asked.get("after", "")
        reason = next((each for each in SuppressionReason if each == asked.get("reason")), None)
        looked = await self._list.search(part, after, SHOWN, reason)
        kept = {name: value for name, value in (("q", part), ("reason", reason or "")) if value}
        return self._views.page(
            request,
            "suppression.html",
            entries=looked.found,
            reasons=list(SuppressionReason),
            q=part,
            reason=reason,
            first=not after,
            query=urlencode(kept),
            here=urlencode(kept | ({"after": after} if after else {})),
            older=urlencode(kept | {"after": looked.following}) if looked.following else "",
        )

    async def add(self, request: Request) -> Response:
        """Put an address on it."""

        async def work() -> str:
            address, reason = field(request, "address"), _reason(request)
            await self._list.put(address, reason)
            return f"{address} gets no email from now on."

        return await answer(request, work, f"{PAGE}#add")

    async def remove(self, request: Request) -> Response:
        """Take an address off it; what was searched for stays."""

        async def work() -> str:
            address = field(request, "address")
            await self._list.remove(address)
            return f"{address} is off the suppression list."

        query = request.url.query
        return await answer(request, work, f"{PAGE}{'?' if query else ''}{query}#entries")

    async def import_list(self, request: Request) -> Response:
        """Put many addresses on it, as ``clicktrail suppression import`` does."""

        async def work() -> str:
            text = "".join(fields(request, "entries"))
            entries = Entries(io.StringIO(text), _reason(request))
            done = f"Put {number(await self._list.take(entries))} addresses on the list."
            if entries.left_out:
                what = f"{number(entries.left_out)} lines were left out"
                raise InvalidInput(f"{done} {what}: {'; '.join(entries.wrong)}")
            return done

        return await answer(request, work, f"{PAGE}#import")


def _reason(request: Request) -> SuppressionReason:
    return reason_named(field(request, "reason") or SuppressionReason.UNSUBSCRIBE)
