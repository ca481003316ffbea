"""The way of a click: open the token, log the click, redirect. No look-up, no store.

An RSGI application (the interface of granian), so that a request costs as little as it can.
"""

from collections.abc import Callable, Sequence
from html import escape
from typing import Any

import structlog

from clicktrail.errors import InvalidToken, JournalUnavailable
from clicktrail.ids import new_id, now_us
from clicktrail.journal import Journal
from clicktrail.model import Click
from clicktrail.redirect.location import location
from clicktrail.redirect.visitor import Visitors, is_prefetch
from clicktrail.settings import Network
from clicktrail.token import PATH, Opened

log = structlog.get_logger(__name__)

HEADERS_LIMIT = 8192
"""Most bytes of header names and values together; more is answered 431 (RFC 6585 § 5)."""

USER_AGENT_LIMIT = 1024
"""A longer User-Agent is logged cut off."""

_Headers = list[tuple[str, str]]

# No Referrer-Policy: the site that is redirected to sees the Referer that it would have seen
# without tracking (the page with the email, under its own policy), never the tracking link.
_HTML: _Headers = [
    ("cache-control", "no-store"),
    ("x-robots-tag", "noindex"),
    ("content-type", "text/html; charset=utf-8"),
    ("x-content-type-options", "nosniff"),
    ("server", "Clicktrail"),
]
_TEXT: _Headers = [
    ("cache-control", "max-age=86400"),
    ("content-type", "text/plain; charset=utf-8"),
    ("server", "Clicktrail"),
]
_PAGE_POLICY = ("content-security-policy", "default-src 'none'; style-src 'unsafe-inline'")

_NOT_FOUND = b"""<!doctype html>
<html lang="en">
<meta name="viewport" content="width=device-width">
<title>Link not found</title>
<style>body { font: 1.1em/1.5 system-ui, sans-serif; margin: 15vh auto; max-width: 30em;
padding: 0 1em }</style>
<h1>This link does not work</h1>
<p>It may have been cut off when it was copied, or it is too old.
<p>Open the email again and click the link there.
</html>
"""
_ROBOTS = b"User-agent: *\nDisallow: /\n"


class RedirectApp:
    """Answers the requests of people who click tracking links (behaviour § 6).

    ``open_token`` raises `InvalidToken` for a token that is not ours. ``clicks`` counts logged
    clicks, ``unlogged`` redirects whose click could not be logged, ``not_found`` bad tokens.
    """

    def __init__(
        self,
        open_token: Callable[[str], Opened],
        journal: Journal,
        trusted_proxies: Sequence[Network] = (),
    ) -> None:
        self._open = open_token
        self._journal = journal
        self._visitors = Visitors(trusted_proxies)
        self.clicks = 0
        self.unlogged = 0
        self.not_found = 0

    async def __call__(self, scope: Any, protocol: Any) -> None:
        """Answer one request (RSGI)."""
        headers = scope.headers
        method = scope.method
        path = scope.path
        if _size(headers) > HEADERS_LIMIT:
            protocol.response_bytes(431, _HTML, b"")
        elif method not in ("GET", "HEAD"):
            # RFC 9110 § 15.5.6
            protocol.response_bytes(405, [*_HTML, ("allow", "GET, HEAD")], b"")
        elif path.startswith(PATH):
            await self._click(path[len(PATH) :], method, scope, protocol)
        elif path == "/robots.txt":
            protocol.response_bytes(200, _TEXT, _ROBOTS)
        elif path == "/favicon.ico":
            protocol.response_bytes(404, _TEXT, b"")
        else:
            protocol.response_bytes(404, [*_HTML, _PAGE_POLICY], _NOT_FOUND)

    async def _click(self, token: str, method: str, scope: Any, protocol: Any) -> None:
        try:
            opened = self._open(token)
        except InvalidToken:
            self.not_found += 1
            protocol.response_bytes(404, [*_HTML, _PAGE_POLICY], _NOT_FOUND)
            return
        headers = scope.headers
        if is_prefetch(headers):
            protocol.response_bytes(503, _HTML, b"")
            return
        if method == "GET":
            at = now_us()
            await self._log(
                Click(
                    new_id(at),
                    opened.message_id,
                    opened.link,
                    opened.url,
                    at,
                    self._visitors.address(scope.client, headers),
                    (headers.get("user-agent") or "")[:USER_AGENT_LIMIT],
                )
            )
        target = location(opened.url)
        protocol.response_bytes(
            302,
            [("location", target), *_HTML],
            f'<!doctype html><title>Redirect</title><a href="{escape(target)}">Go on</a>'.encode(),
        )

    async def _log(self, click: Click) -> None:
        try:
            await self._journal.append(click)
        except JournalUnavailable as error:
            # The person is sent on all the same: a click is worth less than a working link.
            self.unlogged += 1
            log.error("click not logged", event_id=click.event_id, reason=str(error))
        else:
            self.clicks += 1


def _size(headers: Any) -> int:
    return sum(map(len, headers.keys())) + sum(map(len, headers.values()))
