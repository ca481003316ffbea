"""Contacts: added to a list, looked at, subscribed and unsubscribed, deleted.

Their addresses may hold ``/``, so they stand in the query.
"""

import re
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from clicktrail.base.ids import now_us
from clicktrail.console.forms import answer, field, fields
from clicktrail.console.people.lists import address_of, standing, status_of
from clicktrail.console.views import Views
from clicktrail.errors import InvalidInput, NotFound
from clicktrail.model.subscription import Contact
from clicktrail.store import Store

_SAID = "topic:"
"""What begins the names of fields that tell of topics."""


class ContactPages:
    """The page of a contact, and its forms."""

    def __init__(self, store: Store, views: Views) -> None:
        self._contacts = store.contacts
        self._views = views

    async def add(self, request: Request) -> Response:
        """Put somebody on a list."""
        name, address = request.path_params["list"], field(request, "address")

        async def work() -> str:
            now = now_us()
            await self._contacts.create(name, Contact(address, now, now))
            return f"{address} is on the list."

        return await answer(request, work, f"{address_of(name)}#add")

    async def show(self, request: Request) -> Response:
        """Show one."""
        known = await self._contacts.get_list(request.path_params["list"])
        address = request.query_params.get("address", "")
        found = await self._contacts.get(known.name, address)
        said = dict(found.preferences)
        shown = [(t.name, t.display_name, t.default, said.get(t.name)) for t in known.topics]
        there = {each.name for each in known.topics}
        gone = [(topic, status) for topic, status in found.preferences if topic not in there]
        return self._views.page(
            request,
            "contact.html",
            known=known,
            found=found,
            standing=standing(found, known),
            topics=shown,
            gone=gone,
            here=_address(known.name, ""),
            field_name=_SAID,
        )

    async def change(self, request: Request) -> Response:
        """Subscribe or unsubscribe one, and keep what is known of them."""
        name, address = request.path_params["list"], field(request, "address")

        async def work() -> str:
            given = [each for each in request.state.form if each.startswith(_SAID)]
            said = {
                each.removeprefix(_SAID): status_of(value)
                if (value := field(request, each))
                else None
                for each in given
            }
            attributes = "".join(fields(request, "attributes")).replace("\r\n", "\n")
            off = field(request, "subscribed") != "on"
            seen = field(request, "seen")
            known_at = int(seen) if re.fullmatch("[0-9]{1,18}", seen) else None
            await self._contacts.say(name, address, said, off, attributes, known_at)
            return "Saved."

        return await answer(request, work, await self._form(name, address, "settings"))

    async def delete(self, request: Request) -> Response:
        """Delete one, and what they have said with it."""
        name, address = request.path_params["list"], field(request, "address")

        async def work() -> str:
            await self._contacts.delete(name, address)
            return f"{address} is off the list."

        form = await self._form(name, address, "delete")
        return await answer(request, work, form, f"{address_of(name)}#contacts")

    async def _form(self, name: str, address: str, place: str) -> str:
        """Return where a form of a contact is, or of the list where the contact is gone."""
        try:
            await self._contacts.get(name, address)
        except (NotFound, InvalidInput):
            return f"{address_of(name)}#contacts"
        return f"{_address(name, address)}#{place}"


def _address(name: str, address: str) -> str:
    query = f"?{urlencode({'address': address})}" if address else ""
    return f"{address_of(name)}/contact{query}"
