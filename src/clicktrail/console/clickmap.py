"""The click map: an email as its recipient saw it, with the clicks drawn over its links.

The email's HTML is somebody else's: it is shown in a frame that runs no script, loads nothing from
elsewhere unless it is asked to, and leads nowhere.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse

from clicktrail.console.views import NOT_STORED, SECURITY, share
from clicktrail.model import Link
from clicktrail.store.mail.html import place_of
from clicktrail.store.mail.mailings import PlaceClicks

COLOURS = ("#4a72d0", "#3f63bd", "#3455a8", "#2a4792", "#20397b", "#162b63")
"""From few clicks to many; white text can be read on each. The same are in ``console.css``."""
NO_CLICKS = "#6b7280"

# Of our origin, so that the page around it can measure its links; no script in it runs, ever.
_FRAME = (
    "sandbox allow-same-origin; default-src 'none'; style-src 'unsafe-inline';"
    " img-src data:{images}; form-action 'none'; base-uri 'none'; frame-ancestors 'self'"
)
_DOCTYPE = re.compile(r"\s*<!doctype[^>]*>", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Spot:
    """One link of the map. ``number`` counts from 1, ``level`` is a place in `COLOURS`."""

    number: int
    url: str
    text: str
    """What can be read on it, where that is known."""
    tags: tuple[tuple[str, str], ...]
    clicks: int
    unique_clicks: int
    human_clicks: int
    drawn: int
    """Those that the map is about: people's, or all."""
    level: int
    share: str
    """Of all that the map is about, in per cent."""

    @property
    def colour(self) -> str:
        """What it is drawn in."""
        return COLOURS[self.level] if self.drawn else NO_CLICKS


@dataclass(frozen=True, slots=True)
class MapView:
    """How a map is looked at, as the address of its page has it."""

    version: str = ""
    """Of a mailing."""
    images: bool = False
    """Whether pictures are loaded from elsewhere."""
    all_clicks: bool = False
    """Machines' clicks too; else people's alone."""

    @classmethod
    def of(cls, request: Request) -> "MapView":
        """Return what a request asks for."""
        asked = request.query_params
        return cls(asked.get("version", ""), asked.get("images") == "1", asked.get("who") == "all")

    def query(self, **changes: Any) -> str:
        """Return it as a query string, with what is changed; what is as usual is left out."""
        changed = replace(self, **changes)
        given = {
            "version": changed.version,
            "images": "1" if changed.images else "",
            "who": "all" if changed.all_clicks else "",
        }
        return "?" + urlencode({name: value for name, value in given.items() if value})


NO_TEXTS: Mapping[int, str] = MappingProxyType({})


def spots(
    links: Iterable[Link],
    counted: Iterable[PlaceClicks],
    view: MapView,
    texts: Mapping[int, str] = NO_TEXTS,
) -> list[Spot]:
    """Return the links with their clicks, in the order of the email; ``texts`` are by place.

    Clicks on links that are not among ``links`` are there as well: emails of a mailing differ.
    """
    by_place = {each.link: each for each in counted}
    known = {link.index: link for link in links}
    drawn = {
        place: each.clicks if view.all_clicks else each.human_clicks
        for place, each in by_place.items()
    }
    total, most = sum(drawn.values()), max(drawn.values(), default=0)
    found = []
    for place in sorted({*known, *by_place}):
        count = by_place.get(place) or PlaceClicks(place, "", 0, 0, 0)
        link = known.get(place)
        clicks = drawn.get(place, 0)
        found.append(
            Spot(
                place + 1,
                link.url if link else count.url,
                texts.get(place, ""),
                link.tags if link else (),
                count.clicks,
                count.unique_clicks,
                count.human_clicks,
                clicks,
                round((len(COLOURS) - 1) * clicks / most) if most else 0,
                share(clicks, total),
            )
        )
    return found


def frame(parts: Sequence[str], drawn: Iterable[Spot], *, images: bool) -> HTMLResponse:
    """Return the email with clicks drawn over its links, to be shown in a frame.

    With ``images``, pictures are loaded from where the email says.
    """
    html = "\n<hr>\n".join(parts) if parts else "<p>The HTML of this email is not kept."
    style = f"<style>{_style(drawn)}</style>"
    doctype = _DOCTYPE.match(html)
    at = doctype.end() if doctype else 0
    policy = _FRAME.format(images=" http: https:" if images else "")
    headers = {
        "Content-Security-Policy": policy,
        "X-DNS-Prefetch-Control": "off",
        "Referrer-Policy": "no-referrer",
    }
    text = html[:at] + style + html[at:]
    return HTMLResponse(text.encode("utf-8", "replace"), 200, SECURITY | NOT_STORED | headers)


def _style(drawn: Iterable[Spot]) -> str:
    """Return the style sheet that draws: nothing of the email is in it. Pins are put by ``map.js``,
    which knows where there is room."""
    rules = [
        'html [href^="#clicktrail-"]{cursor:default!important;'
        "outline:1px dashed #888!important;outline-offset:1px!important}",
    ]
    for spot in drawn:
        if spot.drawn:
            rules.append(
                f'html [href="{place_of(spot.number - 1)}"]'
                f"{{outline:2px solid {spot.colour}!important;"
                "box-shadow:inset 0 0 0 99px"  # over the background, under the text
                f" color-mix(in srgb,{spot.colour} 22%,transparent)!important}}"
            )
    return "".join(rules)
