"""The click map: an email as its recipient saw it, with the clicks drawn over its links.

The email's HTML is somebody else's: it is shown in a frame that runs no script, loads nothing from
elsewhere unless it is asked to, and leads nowhere.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from starlette.responses import HTMLResponse

from clicktrail.console.views import NOT_STORED, SECURITY, share
from clicktrail.model import Link
from clicktrail.store.mail.html import place_of
from clicktrail.store.mail.mailings import PlaceClicks

COLOURS = ("#3b63c9", "#6150c4", "#8a3fb0", "#ae3390", "#c8305f", "#c9302f")
"""From few clicks to many; white text can be read on each. The same are in ``console.css``."""

_FRAME = (
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:{images};"
    " form-action 'none'; base-uri 'none'; frame-ancestors 'self'"
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
    level: int
    share: str
    """Of all clicks, in per cent."""


NO_TEXTS: Mapping[int, str] = MappingProxyType({})


def spots(
    links: Iterable[Link], counted: Iterable[PlaceClicks], texts: Mapping[int, str] = NO_TEXTS
) -> list[Spot]:
    """Return the links with their clicks, in the order of the email; ``texts`` are by place.

    Clicks on links that are not among ``links`` are there as well: emails of a mailing differ.
    """
    by_place = {each.link: each for each in counted}
    known = {link.index: link for link in links}
    total = sum(each.clicks for each in by_place.values())
    most = max((each.clicks for each in by_place.values()), default=0)
    found = []
    for place in sorted({*known, *by_place}):
        count = by_place.get(place) or PlaceClicks(place, "", 0, 0, 0)
        link = known.get(place)
        found.append(
            Spot(
                place + 1,
                link.url if link else count.url,
                texts.get(place, ""),
                link.tags if link else (),
                count.clicks,
                count.unique_clicks,
                count.human_clicks,
                round((len(COLOURS) - 1) * count.clicks / most) if most else 0,
                share(count.clicks, total),
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
    """Return the style sheet that draws: nothing of the email is in it."""
    rules = [
        'html [href^="#clicktrail-"]{position:relative!important;cursor:default!important;'
        "outline:1px dashed #888!important;outline-offset:1px!important}",
        'html [href^="#clicktrail-"]::after{position:absolute!important;left:0!important;'
        "top:0!important;transform:translateY(-100%)!important;z-index:9!important;"
        "padding:1px 6px!important;border-radius:9px!important;white-space:nowrap!important;"
        "color:#fff!important;font:600 11px/15px system-ui,sans-serif!important;"
        "text-decoration:none!important;letter-spacing:0!important;text-transform:none!important}",
    ]
    for spot in drawn:
        if spot.clicks:
            colour = COLOURS[spot.level]
            at = f'html [href="{place_of(spot.number - 1)}"]'
            rules.append(
                f"{at}{{outline:2px solid {colour}!important;"
                "box-shadow:inset 0 0 0 99px"  # over the background, under the text
                f" color-mix(in srgb,{colour} 22%,transparent)!important}}"
                f'{at}::after{{content:"{spot.clicks} \\b7  {spot.share}"!important;'
                f"background:{colour}!important}}"
            )
    return "".join(rules)
