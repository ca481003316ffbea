"""Signing in and out, and the link by which somebody sets a password."""

from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from clicktrail.console.entry.cookies import SESSION, cookie
from clicktrail.console.entry.doorman import UNSENT, end_session, local_target, set_session
from clicktrail.console.forms import field, show_unsent
from clicktrail.console.views import Views
from clicktrail.doors.forwarded import ScopeHeaders, Visitors
from clicktrail.doors.throttle import Throttle
from clicktrail.errors import InvalidInput, NotFound, TooManyTries
from clicktrail.store.people.accounts import SHORTEST_PASSWORD, AccountStore

_WRONG = "This name and password do not fit."
_UNSENT = "You were signed out, so nothing was done. Sign in, and send it again."
_USED = "This link does not work any more. Ask an administrator for a new one."


class Entrance:
    """Pages for those who are not yet in."""

    def __init__(self, accounts: AccountStore, views: Views, visitors: Visitors) -> None:
        self._visitors = visitors
        self._accounts = accounts
        self._views = views
        self._throttle = Throttle()

    async def sign_in(self, request: Request) -> Response:
        """Show the form; sign in."""
        target = local_target(request.query_params.get("next", "/"))
        if request.method != "POST":
            unsent = UNSENT in request.query_params
            return self._form(request, 200, "", _UNSENT if unsent else "")
        name, password = field(request, "name"), request.state.form.get("password", [""])[0]
        address = self._visitors.address(ScopeHeaders(request.scope))
        try:
            token = await self._throttle.sign_in(
                name, address, lambda: self._accounts.sign_in(name, password)
            )
        except TooManyTries as error:
            message = f"Too many tries. Wait {-(-error.wait // 60)} minutes, then try again."
            answer = self._form(request, 429, name, message)
            answer.headers["Retry-After"] = str(error.wait)  # RFC 6585 § 4
            return answer
        if token is None:
            return self._form(request, 403, name, _WRONG)
        mark = request.query_params.get(UNSENT, "")
        return set_session(request, show_unsent(request, target, mark, token), token)

    async def sign_out(self, request: Request) -> Response:
        """End the session."""
        await self._accounts.sign_out(cookie(request, SESSION))
        return end_session(request, RedirectResponse("/sign-in", 303))

    async def welcome(self, request: Request) -> Response:
        """Let the bearer of a link set a password."""
        token = request.path_params["token"]
        account = await self._accounts.invited(token)
        if account is None:
            return self._views.problem(request, 404, _USED)
        message = ""
        if request.method == "POST":
            password, again = (request.state.form.get(n, [""])[0] for n in ("password", "again"))
            try:
                if password != again:
                    raise InvalidInput("The two passwords differ.")
                session = await self._accounts.set_password(token, password)
            except InvalidInput as error:
                message = str(error)
            except NotFound:
                return self._views.problem(request, 404, _USED)
            else:
                return set_session(request, RedirectResponse("/", 303), session)
        return self._views.page(
            request,
            "welcome.html",
            400 if message else 200,
            name=account.name,
            message=message,
            shortest=SHORTEST_PASSWORD,
        )

    def _form(self, request: Request, status: int, name: str, message: str) -> Response:
        target = local_target(request.query_params.get("next", "/"))
        mark = request.query_params.get(UNSENT, "")
        given = {"next": target.removeprefix("/") and target, UNSENT: mark if mark != "1" else ""}
        query = urlencode({name: value for name, value in given.items() if value})
        action = f"/sign-in?{query}" if query else "/sign-in"
        return self._views.page(
            request, "sign_in.html", status, action=action, name=name, message=message
        )
