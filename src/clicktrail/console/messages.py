"""Emails: search, and each with why it was or was not tracked, its links, and what became of it."""

from collections.abc import Mapping
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from clicktrail.base.ids import ID_LENGTH
from clicktrail.console.clickmap import NO_TEXTS, MapView, Spot, frame, spots
from clicktrail.console.clicks.timeline import Moment, moments_of, notified
from clicktrail.console.numbers.choices import choices
from clicktrail.console.views import Views
from clicktrail.errors import NotFound
from clicktrail.model import Message, MessageState, Reason
from clicktrail.store import Store
from clicktrail.store.finding.search import Found
from clicktrail.store.finding.texts import Clicked, Query
from clicktrail.store.mail.browse import MessageRow
from clicktrail.store.mail.grouping import mailings_of, subject_of
from clicktrail.store.mail.mailings import PlaceClicks
from clicktrail.store.mail.trail import LinkTrail

SHOWN = 50
FILTERS = ("configuration_set", "identity", "clicks")
CLICKS = {
    Clicked.YES: "Clicked",
    Clicked.NO: "Not clicked",
    Clicked.UNTRACKED: "Not tracked",
    Reason.OFF: "Not tracked: off",
    Reason.SEVERAL_RECIPIENTS: "Not tracked: several recipients",
    Reason.NO_HTML: "Not tracked: no HTML",
    Reason.SIGNED: "Not tracked: signed or encrypted",
    Reason.NO_LINKS: "Not tracked: no links",
    Reason.UNPARSABLE: "Not tracked: could not be read",
    Reason.RECIPIENT: "Not tracked: its recipient does not want it",
}
"""What can be chosen of an email's clicks."""

WHY = {
    None: "Its links are tracked.",
    Reason.OFF: "Not tracked: its configuration set does not turn click tracking on, or it has"
    " none.",
    Reason.SEVERAL_RECIPIENTS: "Not tracked: it has more than one recipient.",
    Reason.NO_HTML: "Not tracked: it has no HTML part that is shown.",
    Reason.SIGNED: "Not tracked: it is signed or encrypted, and a change would break that.",
    Reason.NO_LINKS: "Not tracked: it has no link of http or https.",
    Reason.UNPARSABLE: "Not tracked: it could not be read, and was sent on untouched.",
    Reason.RECIPIENT: "Not tracked: its recipient is on the list of who is not tracked.",
}

FAULT = "Not tracked: a fault of this installation, which its log names."

_ENDED = {
    MessageState.PENDING: "Accepted; the smarthost has not answered",
    MessageState.SENT: "Accepted, and sent on by the smarthost",
    MessageState.REFUSED: "Accepted, but refused by the smarthost; the sender was told",
    MessageState.UNKNOWN: "Accepted, and sent to the smarthost, which did not answer: it may have"
    " sent it on. The sender was told to try again",
}


class Messages:
    """Pages of emails."""

    def __init__(self, store: Store, views: Views) -> None:
        self._store = store
        self._views = views

    async def list(self, request: Request) -> Response:
        """Show emails, the newest first: all, or those that were searched for."""
        asked = request.query_params
        chosen = [asked.get(name) or None for name in FILTERS]
        text = asked.get("q", "").strip()
        found = await self._found(text, asked.get("before"), "parts" not in asked, *chosen)
        ids = [each.id for each in found.rows]
        known = found.known or await self._store.messages.get_many(ids)
        counts = await self._store.browse.clicks_of(ids)
        return self._views.page(
            request,
            "messages.html",
            messages=[
                (row, known.get(row.id), _subject(known.get(row.id)), counts.get(row.id))
                for row in found.rows
            ],
            found=found,
            first="before" not in asked,
            chosen=chosen,
            q=text,
            kept=urlencode({n: asked[n] for n in ("q", *FILTERS, "parts") if asked.get(n)}),
            sets=await choices(self._store, "configuration_set", chosen[0]),
            identities=await choices(self._store, "identity", chosen[1]),
            clicks=list(CLICKS.items()),
        )

    async def show(self, request: Request) -> Response:
        """Show one email."""
        row = await self._row(request)
        contents = (await self._store.messages.get_many([row.id])).get(row.id)
        places, clicks = await self._store.trail.links(row.id)
        opens = await self._store.opens.of(row.id)
        left = await self._store.unsubscribes.of(row.id)
        ids = [each.click.event_id for each in clicks]
        ids += [each.event_id for each in opens] + [each.event_id for each in left]
        told = await self._store.trail.told([row.id, *ids])
        texts = (await self._store.trail.link_texts([row.id])).get(row.id, {})
        view = MapView.of(request)
        accepted = Moment(_ENDED[row.state], row.accepted_at, told=told[row.id])
        moments = [accepted, *moments_of(clicks, opens, told, texts, left)]
        return self._views.page(
            request,
            "message.html",
            row=row,
            why=_why(row.reason, contents),
            outcome=_outcome(row, places) if contents is None or contents.links else "",
            contents=contents,
            subject=_subject(contents),
            spots=_spots(contents, places, view, texts),
            places=places,
            moments=moments,
            notified=notified(moments),
            not_shown=sum(place.clicks for place in places.values()) - len(clicks),
            mailings=mailings_of(contents) if contents else [],
            has_html=bool(await self._store.trail.html(row.id)),
            view=view,
        )

    async def map(self, request: Request) -> Response:
        """Return the email with clicks drawn over its links, for the frame."""
        row = await self._row(request)
        contents = (await self._store.messages.get_many([row.id])).get(row.id)
        places, _ = await self._store.trail.links(row.id)
        parts = await self._store.trail.html(row.id)
        view = MapView.of(request)
        return frame(parts, _spots(contents, places, view), images=view.images)

    async def _found(
        self,
        text: str,
        before: str | None,
        exact: bool,
        set_name: str | None,
        identity: str | None,
        clicks: str | None,
    ) -> Found:
        if len(text) == ID_LENGTH and (row := await self._store.browse.message(text)):
            return Found([row], "")
        query = Query.parse(text)
        if text and not query.pieces:  # nothing that could be looked for
            return Found([], "")
        clicked = next((each for each in Clicked if each == clicks), None)
        reason = next((each for each in Reason if each == clicks), None)
        places = (set_name, identity)
        query = Query(query.pieces, (), *places, clicked, reason=reason)
        return await self._store.search.find(query, SHOWN, before, exact=exact)

    async def _row(self, request: Request) -> MessageRow:
        message_id = request.path_params["id"]
        row = await self._store.browse.message(message_id)
        if row is None:
            raise NotFound(f"there is no email {message_id!r}")
        return row


def _why(reason: Reason | None, contents: Message | None) -> str:
    if reason is None and contents is not None and not contents.links:
        return FAULT
    return WHY[reason]


def _outcome(row: MessageRow, places: dict[int, LinkTrail]) -> str:
    """Say in a sentence what became of a tracked email's links; nothing of another."""
    clicked = [place for place in places.values() if place.clicks]
    people = [place for place in clicked if place.human_clicks]
    if people:
        times = sum(place.human_clicks for place in people)
        links = "one link" if len(people) == 1 else f"{len(people)} links"
        return f"A person clicked {links} of it, {_times(times)}{_beside(clicked)}."
    if clicked:
        times = sum(place.clicks for place in clicked)
        return f"No person clicked it for certain: links were followed {_times(times)}, as below."
    return "" if row.reason else "Nobody has clicked it."


def _beside(clicked: list[LinkTrail]) -> str:
    others = sum(place.clicks - place.human_clicks for place in clicked)
    return f"; others followed its links {_times(others)}" if others else ""


def _times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count) or f"{count} times"


def _subject(contents: Message | None) -> str:
    return subject_of(contents.headers) if contents else ""


def _spots(
    contents: Message | None,
    places: dict[int, LinkTrail],
    view: MapView,
    texts: Mapping[int, str] = NO_TEXTS,
) -> list[Spot]:
    counted = [PlaceClicks(p.link, "", p.clicks, 1, p.human_clicks) for p in places.values()]
    return spots(contents.links if contents else (), counted, view, texts)
