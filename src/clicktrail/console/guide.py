"""The set-up guide: from an empty installation to the first real click, on one page."""

from typing import Protocol

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from clicktrail.base.arn import stream_arn
from clicktrail.console.cookies import cookie
from clicktrail.console.doorman import field
from clicktrail.console.views import Views
from clicktrail.errors import AlreadyExists, ClicktrailError, InvalidInput, NotFound
from clicktrail.model import ConfigurationSet, EventDestination, EventType, Role, check_name
from clicktrail.store import Store
from clicktrail.store.mail.browse import ClickRow

SKIPPED = "clicktrail_guide"
"""The cookie of who has skipped the guide."""
_YEAR = 365 * 86_400


class Sampler(Protocol):
    """Tries the smarthost, and sends an email to try things with."""

    smarthost: str
    """The setting ``smarthost.url``."""

    async def try_smarthost(self) -> None:
        """Connect to the smarthost. Raises `ClicktrailError`, which says what is wrong."""

    async def send(self, sender: str, recipient: str, set_name: str, target: str) -> str:
        """Send an email with one link, to ``target``; return its id. Raises `ClicktrailError`."""


class Guide:
    """The page of the guide, and what its steps do."""

    def __init__(self, store: Store, views: Views, sampler: Sampler | None) -> None:
        self._store = store
        self._views = views
        self._sampler = sampler

    async def wanted(self, request: Request) -> bool:
        """Whether the guide is the first page: nothing was sent, and nobody has skipped it."""
        account = request.state.account
        if account.role is not Role.ADMINISTRATOR or cookie(request, SKIPPED):
            return False
        return not await self._store.browse.messages(1)

    async def show(self, request: Request) -> Response:
        """Show all steps."""
        return await self._page(request)

    async def step(self, request: Request) -> Response:
        """Do one step."""
        steps = {
            "skip": self._skip,
            "smarthost": self._smarthost,
            "identity": self._identity,
            "set": self._configuration_set,
            "email": self._email,
        }
        step = steps.get(request.path_params["step"])
        if step is None:
            raise NotFound(f"the guide has no step {request.path_params['step']!r}")
        if request.method != "POST":  # the page that said what was wrong is loaded again
            return RedirectResponse("/guide", 303)
        return await step(request)

    async def _skip(self, request: Request) -> Response:
        """Lead to the overview, from now on."""
        answer = RedirectResponse("/", 303)
        answer.set_cookie(SKIPPED, "skipped", max_age=_YEAR, httponly=True, samesite="lax")
        return answer

    async def _smarthost(self, request: Request) -> Response:
        """Try the smarthost, and say what came of it."""
        try:
            await self._need().try_smarthost()
        except ClicktrailError as error:
            return await self._page(request, {"smarthost": str(error)})
        return await self._page(request, reached=True)

    async def _identity(self, request: Request) -> Response:
        """Make an identity."""
        name = field(request, "name")
        try:
            await self._store.configuration.create_identity(name)
        except AlreadyExists:
            pass  # as it should be
        except InvalidInput as error:
            return await self._page(request, {"identity": str(error)})
        return RedirectResponse("/guide#set", 303)

    async def _configuration_set(self, request: Request) -> Response:
        """Make a configuration set that tracks clicks, with a built-in stream."""
        name = field(request, "name")
        try:
            check_name(name, "configuration set name")
            stream = EventDestination(name, stream_arn(name), frozenset({EventType.CLICK}))
            made = ConfigurationSet(name, engagement=True, destinations=(stream,), keep_html=True)
            await self._store.configuration.create_set(made)
        except ClicktrailError as error:
            return await self._page(request, {"set": str(error)})
        return RedirectResponse("/guide#email", 303)

    async def _email(self, request: Request) -> Response:
        """Send the test email."""
        sender, recipient = field(request, "sender"), field(request, "recipient")
        set_name = field(request, "set")
        target = str(request.url.replace(path="/guide", query="", fragment=""))
        try:
            message_id = await self._need().send(sender, recipient, set_name, target)
        except ClicktrailError as error:
            return await self._page(request, {"email": str(error)})
        return RedirectResponse(f"/guide?email={message_id}#click", 303)

    async def click(self, request: Request) -> Response:
        """Show whether the click has come: a piece of the page, which asks for it again."""
        message_id = request.query_params.get("email", "")
        return self._views.page(
            request, "guide_click.html", email=message_id, seen=await self._seen(message_id)
        )

    async def _seen(self, message_id: str) -> ClickRow | None:
        if not message_id:
            return None
        _, clicks = await self._store.trail.links(message_id)
        return clicks[0] if clicks else None

    async def _page(
        self, request: Request, wrong: dict[str, str] | None = None, *, reached: bool = False
    ) -> Response:
        configuration = await self._store.configuration.current()
        identities = list(configuration.identities)
        sets = [name for name, each in configuration.sets.items() if each.click_tracking]
        message_id = request.query_params.get("email", "")
        known = await self._store.browse.message(message_id) if message_id else None
        return self._views.page(
            request,
            "guide.html",
            400 if wrong else 200,
            smarthost=self._sampler.smarthost if self._sampler else "",
            reached=reached,
            identities=identities,
            senders=[name if "@" in name else f"hello@{name}" for name in identities],
            sets=sets,
            email=message_id if known else "",
            tracked=known is not None and known.reason is None,
            seen=await self._seen(message_id) if known else None,
            wrong={"smarthost": "", "identity": "", "set": "", "email": ""} | (wrong or {}),
        )

    def _need(self) -> Sampler:
        if self._sampler is None:
            raise InvalidInput("nothing can be sent from here")
        return self._sampler
