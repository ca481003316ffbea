"""Identities: who sends, and which configuration set their emails use that name none."""

from starlette.requests import Request
from starlette.responses import Response

from clicktrail.console.forms import answer, field, path_of
from clicktrail.console.views import Views
from clicktrail.errors import NotFound
from clicktrail.model import Identity
from clicktrail.store import Store

ALL = "/identities"


class Identities:
    """Pages of identities. Their names may hold ``/``: each has its id in its address."""

    def __init__(self, store: Store, views: Views) -> None:
        self._configuration = store.configuration
        self._views = views

    async def list(self, request: Request) -> Response:
        """Show all."""
        configuration = await self._configuration.current()
        return self._views.page(
            request,
            "identities.html",
            identities=list(configuration.identities.values()),
            sets=list(configuration.sets),
        )

    async def create(self, request: Request) -> Response:
        """Make one."""

        async def work() -> str:
            bound = field(request, "configuration_set") or None
            made = await self._configuration.create_identity(field(request, "name"), bound)
            return f"Created {made.name}."

        return await answer(request, work, f"{ALL}#new")

    async def show(self, request: Request) -> Response:
        """Show one."""
        found = await self._found(request)
        configuration = await self._configuration.current()
        return self._views.page(
            request,
            "identity.html",
            found=found,
            sets=list(configuration.sets),
            last=len(configuration.identities) == 1,
        )

    async def bind(self, request: Request) -> Response:
        """Bind one to a configuration set, or to none."""

        async def work() -> str:
            found = await self._found(request)
            chosen = field(request, "configuration_set") or None
            await self._configuration.bind_identity(found.name, chosen)
            return "Saved."

        return await answer(request, work, f"{_address(request)}#set")

    async def restrict(self, request: Request) -> Response:
        """Say which mailboxes of a domain may send; all where none is named."""

        async def work() -> str:
            found = await self._found(request)
            named = field(request, "senders").replace(",", " ").split()
            kept = await self._configuration.restrict_identity(found.name, named)
            return "Saved." if kept.senders else "Saved: all mailboxes may send."

        return await answer(request, work, f"{_address(request)}#senders")

    async def delete(self, request: Request) -> Response:
        """Delete one."""

        async def work() -> str:
            found = await self._found(request)
            await self._configuration.delete_identity(found.name)
            return f"Deleted {found.name}."

        return await answer(request, work, f"{_address(request)}#delete", f"{ALL}#identities")

    async def _found(self, request: Request) -> Identity:
        wanted = request.path_params["identity"]
        for each in await self._configuration.list_identities():
            if each.id == wanted:
                return each
        raise NotFound(f"there is no identity with the id {wanted!r}")


def _address(request: Request) -> str:
    return path_of("identities", request.path_params["identity"])
