"""Who is not to be tracked: a page to read and change the list."""

from starlette.requests import Request
from starlette.responses import Response

from clicktrail.console.forms import answer, field
from clicktrail.console.views import Views
from clicktrail.store import Store

PAGE = "/do-not-track"
SHOWN = 200


class Wishes:
    """The page, and its forms."""

    def __init__(self, store: Store, views: Views) -> None:
        self._list = store.do_not_track
        self._views = views

    async def show(self, request: Request) -> Response:
        """Show who is on the list, in order."""
        after = request.query_params.get("after", "")
        found = await self._list.page(after, SHOWN + 1)
        return self._views.page(
            request,
            "do_not_track.html",
            entries=found[:SHOWN],
            following=found[SHOWN - 1].name if len(found) > SHOWN else "",
            first=not after,
        )

    async def add(self, request: Request) -> Response:
        """Put somebody on it."""

        async def work() -> str:
            [name] = await self._list.add([field(request, "entry")], request.state.account.name)
            return f"{name} will not be tracked."

        return await answer(request, work, f"{PAGE}#add")

    async def remove(self, request: Request) -> Response:
        """Take somebody off it."""

        async def work() -> str:
            name = field(request, "entry")
            await self._list.remove(name)
            return f"{name} may be tracked again."

        return await answer(request, work, f"{PAGE}#add")
