"""Mailings: emails that share a subject or a tag, with one click map for all of them."""

from starlette.requests import Request
from starlette.responses import Response

from clicktrail.console.clickmap import frame, spots
from clicktrail.console.views import Views
from clicktrail.errors import NotFound
from clicktrail.model import Link
from clicktrail.store import Store
from clicktrail.store.clicks.statistics import Counts
from clicktrail.store.mail.mailings import Mailing

SHOWN = 50
KINDS = {"subject": "By subject", "tag": "By email tag"}


class MailingPages:
    """Pages of mailings."""

    def __init__(self, store: Store, views: Views) -> None:
        self._store = store
        self._views = views

    async def list(self, request: Request) -> Response:
        """Show mailings, those with the newest email first."""
        asked = request.query_params
        kind = "tag" if asked.get("kind") == "tag" else "subject"
        before = _number(asked.get("before"))
        found = await self._store.mailings.newest(kind, SHOWN + 1, before)
        counts = await self._store.mailings.counts([each.digest for each in found[:SHOWN]])
        return self._views.page(
            request,
            "mailings.html",
            kinds=KINDS,
            kind=kind,
            mailings=[(each, counts.get(each.digest, Counts())) for each in found[:SHOWN]],
            older=found[SHOWN - 1].last_at if len(found) > SHOWN else 0,
            first=before is None,
        )

    async def show(self, request: Request) -> Response:
        """Show one with its click map."""
        mailing = await self._mailing(request)
        counted = await self._store.mailings.links(mailing.digest)
        counts = await self._store.mailings.counts([mailing.digest])
        return self._views.page(
            request,
            "mailing.html",
            mailing=mailing,
            spots=spots(await self._links(mailing), counted),
            has_html=bool(await self._store.trail.html(mailing.message_id)),
            images=request.query_params.get("images") == "1",
            counts=counts.get(mailing.digest, Counts()),
        )

    async def map(self, request: Request) -> Response:
        """Return the email with clicks drawn over its links, for the frame."""
        mailing = await self._mailing(request)
        drawn = spots(await self._links(mailing), await self._store.mailings.links(mailing.digest))
        parts = await self._store.trail.html(mailing.message_id)
        return frame(parts, drawn, images=request.query_params.get("images") == "1")

    async def _links(self, mailing: Mailing) -> tuple[Link, ...]:
        message = await self._store.messages.get_many([mailing.message_id])
        return message[mailing.message_id].links if message else ()

    async def _mailing(self, request: Request) -> Mailing:
        wanted = request.path_params["digest"]
        try:
            found = await self._store.mailings.get(bytes.fromhex(wanted))
        except ValueError:
            found = None
        if found is None:
            raise NotFound(f"there is no mailing {wanted!r}")
        return found


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdecimal() and len(text) < 18 else None
