"""Where the links of a mailing lead since they were changed: forms of its page."""

from collections.abc import Callable, Iterable

from starlette.requests import Request
from starlette.responses import Response

from clicktrail.console.forms import answer, field, path_of
from clicktrail.errors import InvalidInput, NotFound
from clicktrail.model import LinkChange
from clicktrail.store import Store
from clicktrail.store.mail.mailings import Mailing

PLACE = "changes"
"""Where they stand on the page."""


class LinkChanges:
    """Changes links by URL, for all emails or those of the mailing's configuration set."""

    def __init__(self, store: Store, leads_here: Callable[[str], bool] | None = None) -> None:
        self._store = store
        self._leads_here = leads_here

    async def of(self, urls: Iterable[str]) -> list[LinkChange]:
        """Return the changes of links to some URLs, the newest first."""
        return await self._store.orders.changes(dict.fromkeys(urls))

    async def make(self, request: Request) -> Response:
        """Lead links elsewhere, or nowhere."""

        async def work() -> str:
            mailing = await mailing_of(self._store, request)
            url, within = field(request, "url"), ""
            if not url:
                raise InvalidInput("choose a link")
            if field(request, "which") == "set":
                within = mailing.configuration_set
            by, orders = request.state.account.name, self._store.orders
            if field(request, "what") == "block":
                because = field(request, "because")
                await orders.block(url, because, by=by, configuration_set=within)
                return f"Links to {url} lead nowhere."
            new = field(request, "new")
            made = await orders.replace(
                url, new, by=by, configuration_set=within, leads_here=self._leads_here
            )
            return f"Links to {url} lead to {made.destination}."

        return await answer(request, work, _address(request))

    async def undo(self, request: Request) -> Response:
        """End a change."""

        async def work() -> str:
            by = request.state.account.name
            undone = await self._store.orders.undo(field(request, "change"), by)
            return f"Links to {undone.url} lead again where they did before."

        return await answer(request, work, _address(request))


async def mailing_of(store: Store, request: Request) -> Mailing:
    """Return the mailing that a page is of. Raises `NotFound`."""
    wanted = request.path_params["digest"]
    try:
        found = await store.mailings.get(bytes.fromhex(wanted))
    except ValueError:
        found = None
    if found is None:
        raise NotFound(f"there is no mailing {wanted!r}")
    return found


def _address(request: Request) -> str:
    return f"{path_of('mailings', request.path_params['digest'])}#{PLACE}"
