"""Mailings: emails that share a subject or a tag, with one click map for all of them."""

from dataclasses import dataclass, replace
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from clicktrail.console.clickmap import MapView, frame, spots
from clicktrail.console.clicks.changes import LinkChanges, mailing_of
from clicktrail.console.views import NOT_STORED, Views
from clicktrail.doors.streamed import Streamed
from clicktrail.model import Link
from clicktrail.store import Store
from clicktrail.store.clicks.statistics import Counts
from clicktrail.store.finding.clicker_rows import CSV, csv_of
from clicktrail.store.finding.clickers import Wanted
from clicktrail.store.mail.mailings import Mailing, PlaceClicks, Version

SHOWN = 50
VERSIONS = 20
"""So many versions of a mailing can be chosen, those of the most emails."""
OTHERS = "others"
MOST_OTHERS = 200


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which emails of a mailing are looked at: their links lead to the same."""

    name: str
    """As the page's address has it."""
    message_id: str
    """The newest of them; ``""`` for what is of several versions."""
    counted: list[PlaceClicks]
    versions: tuple[Version, ...]
    """All that can be chosen."""
    others: list[PlaceClicks]
    """The clicks of emails that are of none of these."""


class MailingPages:
    """Pages of mailings."""

    def __init__(self, store: Store, views: Views) -> None:
        self._store = store
        self._views = views
        self._changes = LinkChanges(store)

    async def show(self, request: Request) -> Response:
        """Show one with its click map."""
        mailing = await mailing_of(self._store, request)
        counts = await self._store.mailings.counts([mailing.digest])
        chosen = await self._chosen(mailing, request)
        view = replace(MapView.of(request), version=chosen.name)
        shown = chosen.message_id
        texts = (await self._store.trail.link_texts([shown] if shown else [])).get(shown, {})
        drawn = spots(await self._links(chosen.message_id), chosen.counted, view, texts)
        urls = dict.fromkeys([each.url for each in drawn] + [each.url for each in chosen.others])
        urls.pop("", None)  # of a link without a known URL
        return self._views.page(
            request,
            "mailing.html",
            mailing=mailing,
            chosen=chosen,
            spots=drawn,
            urls=list(urls),
            changes=await self._changes.of(urls),
            has_html=bool(await self._store.trail.html(chosen.message_id)),
            view=view,
            counts=counts.get(mailing.digest, Counts()),
        )

    async def map(self, request: Request) -> Response:
        """Return the email with clicks drawn over its links, for the frame."""
        mailing = await mailing_of(self._store, request)
        chosen = await self._chosen(mailing, request)
        view = MapView.of(request)
        drawn = spots(await self._links(chosen.message_id), chosen.counted, view)
        parts = await self._store.trail.html(chosen.message_id)
        return frame(parts, drawn, images=view.images)

    async def clicked(self, request: Request) -> Response:
        """Show who clicked in one."""
        mailing = await mailing_of(self._store, request)
        wanted = _wanted(request, mailing)
        found, older = await self._store.clickers.find(
            wanted, SHOWN, request.query_params.get("before")
        )
        asked = {"q": wanted.text, "link": wanted.link}
        return self._views.page(
            request,
            "clicked.html",
            mailing=mailing,
            wanted=wanted,
            found=found,
            older=older,
            first="before" not in request.query_params,
            kept=urlencode({name: value for name, value in asked.items() if value}),
        )

    async def download(self, request: Request) -> Response:
        """Return all who clicked in one, as CSV."""
        mailing = await mailing_of(self._store, request)
        pages = self._store.clickers.all(_wanted(request, mailing))
        name = f"clicktrail-clicked-{mailing.digest.hex()[:8]}.csv"
        headers = NOT_STORED | {"Content-Disposition": f'attachment; filename="{name}"'}
        return Streamed(csv_of(pages), 200, headers, CSV)

    async def _chosen(self, mailing: Mailing, request: Request) -> "Chosen":
        """Return the version that is asked for, else that of the most emails."""
        read, digest = self._store.mailings, mailing.digest
        versions = await read.versions(digest, VERSIONS)
        by_name = {each.version.hex(): each for each in versions}
        asked = request.query_params.get("version", "")
        if not versions:  # it was sent before they were told apart
            return Chosen("", mailing.message_id, await read.links(digest), (), [])
        others = await read.other_links(digest, [each.version for each in versions], MOST_OTHERS)
        if asked == OTHERS and others:
            return Chosen(OTHERS, "", [], tuple(versions), others)
        one = by_name.get(asked, versions[0])
        counted = await read.links(digest, one.version)
        return Chosen(one.version.hex(), one.message_id, counted, tuple(versions), others)

    async def _links(self, message_id: str) -> tuple[Link, ...]:
        message = await self._store.messages.get_many([message_id] if message_id else [])
        return message[message_id].links if message else ()


def _wanted(request: Request, mailing: Mailing) -> Wanted:
    asked = request.query_params
    wanted = Wanted(asked.get("q", "").strip(), mailing.digest, asked.get("link", "").strip())
    wanted.query()  # what is wrong with it is told before the answer begins
    return wanted
