"""Emails: a list, and each with why it was or was not tracked, its links and its headers."""

from starlette.requests import Request
from starlette.responses import Response

from clicktrail.console.views import Views
from clicktrail.errors import NotFound
from clicktrail.model import Reason
from clicktrail.store import Store

SHOWN = 50

WHY = {
    None: "Its links are tracked.",
    Reason.OFF: "Not tracked: its configuration set does not turn click tracking on, or it has"
    " none.",
    Reason.SEVERAL_RECIPIENTS: "Not tracked: it has more than one recipient.",
    Reason.NO_HTML: "Not tracked: it has no HTML part that is shown.",
    Reason.SIGNED: "Not tracked: it is signed or encrypted, and a change would break that.",
    Reason.NO_LINKS: "Not tracked: it has no link of http or https.",
    Reason.UNPARSABLE: "Not tracked: it could not be read, and was sent on untouched.",
}


class Messages:
    """Pages of emails."""

    def __init__(self, store: Store, views: Views) -> None:
        self._store = store
        self._views = views

    async def list(self, request: Request) -> Response:
        """Show emails, the newest first."""
        asked = request.query_params
        chosen = (asked.get("configuration_set") or None, asked.get("identity") or None)
        found = await self._store.browse.messages(SHOWN + 1, asked.get("before"), *chosen)
        configuration = await self._store.configuration.current()
        return self._views.page(
            request,
            "messages.html",
            messages=found[:SHOWN],
            older=found[SHOWN - 1].id if len(found) > SHOWN else "",
            first="before" not in asked,
            chosen=chosen,
            sets=list(configuration.sets),
            identities=list(configuration.identities),
        )

    async def show(self, request: Request) -> Response:
        """Show one email."""
        message_id = request.path_params["id"]
        row = await self._store.browse.message(message_id)
        if row is None:
            raise NotFound(f"there is no email {message_id!r}")
        contents = (await self._store.messages.get_many([message_id])).get(message_id)
        return self._views.page(
            request,
            "message.html",
            row=row,
            why=WHY[row.reason],
            contents=contents,
            subject=_subject(contents.headers if contents else ()),
            clicked=await self._store.browse.clicked_links(message_id),
        )


def _subject(headers: tuple[tuple[str, str], ...]) -> str:
    return next((value for name, value in headers if name.lower() == "subject"), "")
