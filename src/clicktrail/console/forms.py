"""Forms: what they hold, and how they are answered.

Each is answered with a redirect (303, RFC 9110 § 15.4.4) to a page, which can be loaded again and
gone back to. What that page says of it (done, or refused and why, with what was typed) goes in a
cookie that is authenticated with the session; the page's address has its mark (``?said=…``), so
that no other page says it. What is too long for a cookie stays here for a while (`entry.drafts`).
"""

import base64
import binascii
import hashlib
import hmac
import zlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from dataclasses import field as default
from urllib.parse import quote

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from clicktrail.console.entry.cookies import SESSION, cookie, keep
from clicktrail.console.entry.drafts import LIFE, Drafts
from clicktrail.errors import ClicktrailError

COOKIE = "clicktrail_said"
_COOKIE_LIMIT = 2400
"""Characters: proxies take heads of 4 KB as they come."""
_SAID_LIMIT = 64 * 1024
"""Bytes, unpacked: what is longer is no cookie's."""
_TEXT_LIMIT, _SHORT_TEXT = 1000, 300
_MARK = 16
_NOT_TYPED = ("csrf", "place")
_UNSENT = "You were signed out, so nothing was done. Send it again, if it is still right."
_TOO_LONG = " What was typed is too long to be shown again."


@dataclass(frozen=True, slots=True)
class Said:
    """What a page says of a form that was sent."""

    text: str = ""
    place: str = ""
    """The form, as its page names it."""
    good: bool = False
    typed: Mapping[str, list[str]] = default(default_factory=dict)
    """What a refused form held."""
    shown: Mapping[str, str] = default(default_factory=dict)
    """What was made of a form, to be looked at."""
    draft: str = ""
    """The key of all this, where it is kept apart."""

    def at(self, place: str) -> "Said":
        """Return what is said of one form."""
        return self if self.place == place else _NOTHING

    def value(self, name: str, known: str = "") -> str:
        """Return what a field holds: what was typed, else what is known."""
        return self.typed.get(name, [""])[0] if self.typed else known

    def chosen(self, name: str, value: str, known: bool = False) -> bool:
        """Whether a box is ticked, or an option chosen."""
        return value in self.typed.get(name, ()) if self.typed else known


_NOTHING = Said()
_decode = msgspec.json.Decoder(Said).decode


def field(request: Request, name: str) -> str:
    """Return a field of the form, without white space around it; empty where it has none."""
    found = fields(request, name)
    return found[0].strip() if found else ""


def fields(request: Request, name: str) -> list[str]:
    """Return all values of a field of the form."""
    found: list[str] = request.state.form.get(name, [])
    return found


def path_of(*segments: str) -> str:
    """Return the path of a page; names may hold anything."""
    return "/" + "/".join(quote(segment, safe="") for segment in segments)


async def answer(
    request: Request, work: Callable[[], Awaitable[str]], form: str, then: str = ""
) -> Response:
    """Do what a form asks for, and lead to a page that says what came of it.

    ``work`` returns what is to be said (nothing: ``""``). ``form`` is the address of the form, as
    ``/page#place``: where ``work`` raises a `ClicktrailError`, it holds what was typed. Else the
    answer leads to ``then``, or there as well.
    """
    try:
        text = await work()
    except ClicktrailError as error:
        return refuse(request, error, form)
    return _lead(request, then or form, Said(text, good=True))


def show(request: Request, text: str, form: str, shown: Mapping[str, str]) -> Response:
    """Lead back to the form, which holds what was typed, and shows what was made of it."""
    return _lead(request, form, Said(text, good=True, typed=_typed(request), shown=shown))


def refuse(request: Request, error: ClicktrailError, form: str) -> Response:
    """Lead back to the form at ``/page#place``, which says why, and holds what was typed."""
    return _lead(request, form, Said(str(error)[:_TEXT_LIMIT], typed=_typed(request)))


def keep_unsent(request: Request) -> tuple[str, str]:
    """Return what the browser is to keep of a form that came when its session had ended, and its
    mark.

    The token of that session authenticates it still: it is in the browser, and no other site knows
    it. Nothing is kept here: anybody may send such a form.
    """
    place = field(request, "place")[:_SHORT_TEXT]
    kept = _kept(cookie(request, SESSION), Said(_UNSENT, place, typed=_typed(request)))
    return kept, kept[:_MARK]


def show_unsent(request: Request, page: str, mark: str, token: str) -> Response:
    """Lead who has signed in, with the session ``token``, to the page of a form that was not sent.

    It holds what was typed, where the browser has kept that.
    """
    unsent = _read(request, mark)
    return _lead(request, f"{page}#{unsent.place}" if unsent.text else page, unsent, token)


def keep_said(request: Request, response: Response, kept: str) -> None:
    """Let the browser keep what a page is to say."""
    keep(request, response, COOKIE, kept, LIFE)


def _typed(request: Request) -> dict[str, list[str]]:
    return {name: all_ for name, all_ in request.state.form.items() if name not in _NOT_TYPED}


def _lead(request: Request, address: str, said: Said, token: str = "") -> Response:
    if not said.text:
        return RedirectResponse(address, 303)
    token = token or cookie(request, SESSION)
    page, _, place = address.partition("#")
    kept = _kept(token, replace(said, place=place), request.app.state.drafts)
    sign = "&" if "?" in page else "?"
    response = RedirectResponse(f"{page}{sign}said={kept[:_MARK]}#{place}", 303)
    keep_said(request, response, kept)
    return response


def said(request: Request) -> Said:
    """Return what the page that is asked for says of a form; nothing for most pages."""
    found = _read(request, request.query_params.get("said", ""))
    if not found.draft:
        return found
    drafts: Drafts[Said] = request.app.state.drafts
    return drafts.get(cookie(request, SESSION), found.draft) or found


def _read(request: Request, mark: str) -> Said:
    kept, token = cookie(request, COOKIE), cookie(request, SESSION)
    if len(mark) != _MARK or not kept.startswith(mark) or not token:
        return _NOTHING
    given, _, text = kept.partition(".")
    if not hmac.compare_digest(given.encode(), _authenticator(token, text).encode()):
        return _NOTHING
    try:
        packed = base64.urlsafe_b64decode(text + "==")
        return _decode(zlib.decompressobj().decompress(packed, _SAID_LIMIT))
    except (binascii.Error, zlib.error, msgspec.DecodeError):
        return _NOTHING


def _kept(token: str, said: Said, drafts: Drafts[Said] | None = None) -> str:
    """Return what a cookie holds: what was typed stays in ``drafts`` where it is too long."""
    written = msgspec.json.encode(said)
    if len(written) <= _SAID_LIMIT:
        packed = zlib.compress(written, 9)
        text = base64.urlsafe_b64encode(packed).decode().rstrip("=")  # which no cookie may hold
        kept = f"{_authenticator(token, text)}.{text}"
        if len(kept) <= _COOKIE_LIMIT:
            return kept
    key = drafts.keep(token, said, len(written)) if drafts is not None else ""
    short = said.text[:_SHORT_TEXT] + _TOO_LONG
    return _kept(token, Said(short, said.place, said.good, draft=key))


def _authenticator(token: str, text: str) -> str:
    return hmac.new(
        token.encode(), b"clicktrail console said " + text.encode(), hashlib.sha256
    ).hexdigest()
