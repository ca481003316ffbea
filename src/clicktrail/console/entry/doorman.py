"""Who is let in: sessions, roles, cross-site requests."""

import hashlib
import hmac
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qs, quote, urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from clicktrail.console.entry.cookies import SESSION, cookie, is_https, keep
from clicktrail.console.forms import field, keep_said, keep_unsent
from clicktrail.console.views import Views
from clicktrail.model import Role
from clicktrail.store.people.accounts import SESSION_LIFE, Account, AccountStore

Endpoint = Callable[[Request], Awaitable[Response]]

FORM_LIMIT = 64 * 1024
"""Bytes of a form; a longer one is refused."""
LONG_FORM = 2 * 1024 * 1024
"""The same of forms with whole documents, as they are sent: a byte may take three."""
FIELDS_LIMIT = 1000
"""More than any page of ours has, with all of a list chosen."""

_SAFE = ("GET", "HEAD")


class Doorman:
    """Lets in who may come in. ``guarded`` and ``open_to_all`` make endpoints of handlers."""

    def __init__(self, accounts: AccountStore, views: Views) -> None:
        self._accounts = accounts
        self._views = views

    def guarded(
        self, handler: Endpoint, *, limit: int = FORM_LIMIT, changes: bool = True
    ) -> Endpoint:
        """Return an endpoint for those who are signed in.

        What changes something (any method but ``GET`` and ``HEAD``) is for administrators alone,
        unless ``changes`` says that it does not. A form has at most ``limit`` bytes.
        """

        async def endpoint(request: Request) -> Response:
            account = await self.recognise(request)
            if account is None:
                return await _to_sign_in(request)
            if request.method not in _SAFE:
                if (refusal := await self._refusal(request, limit)) is not None:
                    return refusal
                # Once more: while the form came in, the account may have gone, or its role.
                account = await self.recognise(request)
                if account is None:
                    return await _to_sign_in(request)
                if changes and account.role is not Role.ADMINISTRATOR:
                    return self._views.problem(request, 403, _ADMINISTRATORS)
            return await handler(request)

        return endpoint

    async def recognise(self, request: Request) -> Account | None:
        """Return who is signed in, for the page that is to be answered with; else ``None``."""
        token = cookie(request, SESSION)
        account = await self._accounts.session(token) if token else None
        request.state.account = account
        request.state.csrf = csrf_of(token) if account else ""
        return account

    def open_to_all(self, handler: Endpoint) -> Endpoint:
        """Return an endpoint for everybody; requests from other sites are refused all the same."""

        async def endpoint(request: Request) -> Response:
            request.state.account = None
            request.state.csrf = ""
            if request.method not in _SAFE:
                if _is_cross_site(request):
                    return self._views.problem(request, 403, _CROSS_SITE)
                if not await _read_form(request):
                    return self._views.problem(request, 413, _TOO_LARGE)
            return await handler(request)

        return endpoint

    async def _refusal(self, request: Request, limit: int) -> Response | None:
        if _is_cross_site(request):
            return self._views.problem(request, 403, _CROSS_SITE)
        if not await _read_form(request, limit):
            return self._views.problem(request, 413, _TOO_LARGE)
        csrf: str = request.state.csrf
        if not hmac.compare_digest(field(request, "csrf").encode(), csrf.encode()):
            return self._views.problem(request, 403, _STALE)
        return None


UNSENT = "unsent"
"""In the query of the sign-in page: a form was sent without a session. The mark of what the browser
keeps of it, or ``1``."""
_CROSS_SITE = "This request comes from another site, so nothing was done."
_STALE = "This page is from an earlier session: load it again, and try once more."
_TOO_LARGE = "This form is too large."
_ADMINISTRATORS = "Only administrators may do this. You can look at everything."


def csrf_of(token: str) -> str:
    """Return what the forms of a session hold: known to its pages alone."""
    return hmac.new(token.encode(), b"clicktrail console forms", hashlib.sha256).hexdigest()


def set_session(request: Request, response: Response, token: str) -> Response:
    """Give the browser a session."""
    keep(request, response, SESSION, token, SESSION_LIFE // 1_000_000)
    return response


def end_session(request: Request, response: Response) -> Response:
    """Take the session from the browser."""
    response.delete_cookie(SESSION, httponly=True, samesite="lax", secure=is_https(request))
    return response


def local_target(text: str) -> str:
    """Return the page of ours that a text names, else the first page: never another site."""
    # "//host" and "/\\host" lead elsewhere (URL § 4.4).
    good = text.startswith("/") and text[1:2] not in ("/", "\\") and text.isprintable()
    return text if good else "/"


async def _to_sign_in(request: Request) -> Response:
    """Answer who is not signed in, or not any more: with the way there, and back."""
    if request.headers.get("accept") == "text/event-stream":
        return Response("sign in first\n", 401, media_type="text/plain")
    if request.method in _SAFE:
        target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(f"/sign-in?next={quote(target, safe='')}", 303)
    kept, mark = "", "1"
    has_come = hasattr(request.state, "form")
    # Strangers' forms, and those of other sites, are not read.
    if (cookie(request, SESSION) and not _is_cross_site(request)) and (
        has_come or await _read_form(request)
    ):
        kept, mark = keep_unsent(request)
    page = quote(_page_of(request), safe="")
    response = RedirectResponse(f"/sign-in?next={page}&{UNSENT}={mark}", 303)
    if kept:
        keep_said(request, response, kept)
    return response


def _page_of(request: Request) -> str:
    """Return the page that a form stands on (RFC 9110 § 10.1.3), where it is one of ours."""
    try:
        page = urlsplit(request.headers.get("referer", ""))
    except ValueError:  # it is no URL
        return "/"
    if page.netloc != request.headers.get("host"):
        return "/"
    query = "&".join(each for each in page.query.split("&") if not each.startswith("said="))
    return local_target(page.path + (f"?{query}" if query else ""))


def _is_cross_site(request: Request) -> bool:
    """Whether a page of another origin sends this (Fetch Metadata § 2.4; Fetch § 3.2)."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site not in ("same-origin", "none")
    origin = request.headers.get("origin")
    if origin is None:
        return False
    try:
        return urlsplit(origin).netloc != request.headers.get("host")
    except ValueError:  # it is no URL
        return True


async def _read_form(request: Request, limit: int = FORM_LIMIT) -> bool:
    """Keep the form's fields in ``request.state.form``; ``False`` where it is too large."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            return False
    try:
        request.state.form = parse_qs(
            body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=FIELDS_LIMIT
        )
    except ValueError:
        return False
    return True
