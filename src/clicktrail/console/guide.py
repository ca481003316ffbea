"""The set-up guide: from an empty installation to the first real click, on one page."""

from contextlib import suppress
from typing import Protocol
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from clicktrail.base.arn import stream_arn
from clicktrail.console.entry.cookies import cookie, keep
from clicktrail.console.forms import answer, field, refuse
from clicktrail.console.views import Views
from clicktrail.errors import AlreadyExists, ClicktrailError, InvalidInput
from clicktrail.model import (
    ConfigurationSet,
    EventDestination,
    EventType,
    MessageState,
    Role,
    check_name,
)
from clicktrail.store import Store
from clicktrail.store.mail.browse import ClickRow

SKIPPED = "clicktrail_guide"
"""The cookie of who has skipped the guide."""
SENT = "clicktrail_guide_email"
"""The cookie with the id of the guide's newest email: its steps are there again later."""
_NEWEST = 20
_YEAR = 365 * 86_400


class Sampler(Protocol):
    """Tries the smarthost, and sends an email to try things with."""

    smarthost: str
    """The setting ``smarthost.url``."""
    smtp: str
    """Where applications hand emails in by SMTP: ``host:port``."""
    api: str
    """The endpoint of the SES v2 API."""

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
        configuration = await self._store.configuration.current()
        identities = list(configuration.identities)
        message_id = request.query_params.get("email", "") or cookie(request, SENT)
        known = await self._store.browse.message(message_id) if message_id else None
        newest = await self._store.browse.messages(_NEWEST)
        return self._views.page(
            request,
            "guide.html",
            sampler=self._sampler,
            reached=any(each.state is MessageState.SENT for each in newest),
            identities=identities,
            senders=[name if "@" in name else f"hello@{name}" for name in identities],
            sets=[name for name, each in configuration.sets.items() if each.click_tracking],
            email=message_id if known else "",
            tracked=known is not None and known.reason is None,
            seen=await self._seen(message_id) if known else None,
        )

    async def skip(self, request: Request) -> Response:
        """Lead to the overview, from now on."""
        answer = RedirectResponse("/", 303)
        keep(request, answer, SKIPPED, "skipped", _YEAR)
        return answer

    async def smarthost(self, request: Request) -> Response:
        """Try the smarthost, and say what came of it."""

        async def work() -> str:
            await self._need().try_smarthost()
            return "It can be reached, and takes emails from here."

        return await answer(request, work, f"{_at(request)}#smarthost")

    async def identity(self, request: Request) -> Response:
        """Make an identity."""

        async def work() -> str:
            with suppress(AlreadyExists):  # as it should be
                await self._store.configuration.create_identity(field(request, "name"))
            return ""

        return await answer(request, work, "/guide#identity", "/guide#set")

    async def configuration_set(self, request: Request) -> Response:
        """Make a configuration set that tracks clicks, with a built-in stream."""
        name = field(request, "name")

        async def work() -> str:
            check_name(name, "configuration set name")
            stream = EventDestination(name, stream_arn(name), frozenset({EventType.CLICK}))
            made = ConfigurationSet(name, engagement=True, destinations=(stream,), keep_html=True)
            await self._store.configuration.create_set(made)
            return ""

        return await answer(request, work, "/guide#set", "/guide#email")

    async def email(self, request: Request) -> Response:
        """Send the test email."""
        sender, recipient = field(request, "sender"), field(request, "recipient")
        set_name = field(request, "set")
        target = str(request.url.replace(path="/guide", query="", fragment=""))
        try:
            message_id = await self._need().send(sender, recipient, set_name, target)
        except ClicktrailError as error:
            return refuse(request, error, f"{_at(request)}#email")
        sent = RedirectResponse(f"/guide?email={message_id}#click", 303)
        keep(request, sent, SENT, message_id, _YEAR)
        return sent

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

    def _need(self) -> Sampler:
        if self._sampler is None:
            raise InvalidInput("nothing can be sent from here")
        return self._sampler


def _at(request: Request) -> str:
    """Return the guide's address, with the email that the form's page knew of."""
    sent = field(request, "email")
    return f"/guide?email={quote(sent, safe='')}" if sent else "/guide"
