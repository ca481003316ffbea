"""The console's routes: which page is where, and who may see it."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from clicktrail.console.clicks.changes import LinkChanges
from clicktrail.console.clicks.live import Live
from clicktrail.console.configurations import Configurations
from clicktrail.console.deadletters import DeadLetters
from clicktrail.console.destinations import Destinations, SendTest
from clicktrail.console.entry.doorman import FORM_LIMIT, LONG_FORM, Doorman
from clicktrail.console.entry.drafts import Drafts
from clicktrail.console.entry.entrance import Entrance
from clicktrail.console.guide import Guide, Sampler
from clicktrail.console.identities import Identities
from clicktrail.console.mailings import MailingPages
from clicktrail.console.mailtemplates import Render, TemplatePages
from clicktrail.console.messages import Messages
from clicktrail.console.numbers.mailinglist import MailingList
from clicktrail.console.numbers.overview import Notices, Overview
from clicktrail.console.people.contacts import ContactPages
from clicktrail.console.people.lists import ListPages
from clicktrail.console.people.suppressed import SuppressedPages
from clicktrail.console.people.wishes import Wishes
from clicktrail.console.views import SECURITY, Views
from clicktrail.doors.forwarded import Visitors
from clicktrail.errors import ClicktrailError, InvalidInput, StoreUnavailable
from clicktrail.store import Store

STATIC = Path(__file__).parent / "static"

Handler = Callable[[Request], Awaitable[Response]]


async def _none() -> Sequence[str]:
    return ()


class Console:
    """The console over a store. ``app`` is the ASGI application; call `stop` before its server's.

    ``PUBLIC`` are the paths that need no session; all others lead to the sign-in page without one.
    """

    PUBLIC = ("/sign-in", "/welcome/{token}", "/static", "/healthz")

    def __init__(
        self,
        store: Store,
        sampler: Sampler | None = None,
        send_test: SendTest | None = None,
        visitors: Visitors | None = None,
        retry_for: float = 86400,
        notices: Notices = _none,
        render: Render | None = None,
        leads_here: Callable[[str], bool] | None = None,
    ) -> None:
        """``sampler`` does the guide's steps, ``send_test`` sends test events, ``render`` tries
        templates.

        ``visitors`` tells whose a request is behind proxies, ``retry_for`` how long notifications
        are tried, in seconds. ``notices`` tells what people should look after, ``leads_here`` which
        URLs are tracking links of this installation.
        """
        views = Views()
        doorman = Doorman(store.accounts, views)
        entrance = Entrance(store.accounts, views, visitors or Visitors(()))
        guide = Guide(store, views, sampler)
        overview = Overview(store, views, guide, notices)
        sets = Configurations(store, views)
        destinations = Destinations(store, views, send_test)
        identities = Identities(store, views)
        messages = Messages(store, views)
        templates = TemplatePages(store, views, render)
        mailings = MailingPages(store, views)
        mailing_list = MailingList(store, views)
        changes = LinkChanges(store, leads_here)
        lists, contacts = ListPages(store, views), ContactPages(store, views)
        wishes = Wishes(store, views)
        suppressed = SuppressedPages(store, views)
        dead = DeadLetters(store, views, retry_for)
        self._live = Live(store, views)

        def page(path: str, handler: Handler, *methods: str) -> Route:
            return Route(path, doorman.guarded(handler), methods=list(methods or ("GET",)))

        def public(path: str, handler: Handler, *methods: str) -> Route:
            return Route(path, doorman.open_to_all(handler), methods=list(methods))

        def form(
            path: str, handler: Handler, *, limit: int = FORM_LIMIT, changes: bool = True
        ) -> Route:
            guarded = doorman.guarded(handler, limit=limit, changes=changes)
            return Route(path, guarded, methods=["POST"])

        # Names that people give have no words of ours beside them: one segment is the other's
        # name, or a word, never either.
        one_set = "/configurations/{name}"
        one_destination = one_set + "/destinations/{destination}"
        one_template = "/templates/{name}"
        one_list = "/contact-lists/{list}"
        routes = [
            public("/sign-in", entrance.sign_in, "GET", "POST"),
            public("/welcome/{token}", entrance.welcome, "GET", "POST"),
            form("/sign-out", entrance.sign_out, changes=False),
            page("/", overview.show),
            page("/guide", guide.show),
            page("/guide/click", guide.click),
            form("/guide/skip", guide.skip),
            form("/guide/smarthost", guide.smarthost),
            form("/guide/identity", guide.identity),
            form("/guide/set", guide.configuration_set),
            form("/guide/email", guide.email),
            page("/statistics.csv", overview.download),
            page("/configurations", sets.list),
            form("/configurations", sets.create),
            page(one_set, sets.show),
            form(one_set, sets.change),
            form(one_set + "/rules", sets.change_rules),
            form(one_set + "/delete", sets.delete),
            form(one_set + "/destinations", destinations.add),
            page(one_destination, destinations.show),
            form(one_destination, destinations.change),
            form(one_destination + "/test", destinations.test),
            form(one_destination + "/delete", destinations.remove),
            page("/identities", identities.list),
            form("/identities", identities.create),
            page("/identities/{identity}", identities.show),
            form("/identities/{identity}", identities.bind),
            form("/identities/{identity}/senders", identities.restrict),
            form("/identities/{identity}/delete", identities.delete),
            page("/messages", messages.list),
            page("/messages/{id}", messages.show),
            page("/messages/{id}/map", messages.map),
            page("/templates", templates.list),
            form("/templates", templates.create, limit=LONG_FORM),
            page(one_template, templates.show),
            form(one_template, templates.change, limit=LONG_FORM),
            form(one_template + "/render", templates.render, limit=LONG_FORM, changes=False),
            page(one_template + "/preview", templates.preview),
            form(one_template + "/delete", templates.delete),
            page("/mailings", mailing_list.list),
            page("/comparison", mailing_list.compare),
            page("/mailings/{digest}", mailings.show),
            page("/mailings/{digest}/map", mailings.map),
            form("/mailings/{digest}/links", changes.make),
            form("/mailings/{digest}/links/undo", changes.undo),
            page("/mailings/{digest}/clicked", mailings.clicked),
            page("/mailings/{digest}/clicked.csv", mailings.download),
            page("/contact-lists", lists.list),
            form("/contact-lists", lists.create),
            page(one_list, lists.show),
            form(one_list, lists.change),
            form(one_list + "/topics", lists.put_topic),
            form(one_list + "/topics/remove", lists.remove_topic),
            form(one_list + "/delete", lists.delete),
            form(one_list + "/contacts", contacts.add),
            page(one_list + "/contact", contacts.show),
            form(one_list + "/contact", contacts.change),
            form(one_list + "/contact/delete", contacts.delete),
            page("/suppression", suppressed.show),
            form("/suppression", suppressed.add),
            form("/suppression/remove", suppressed.remove),
            form("/suppression/import", suppressed.import_list, limit=LONG_FORM),
            page("/do-not-track", wishes.show),
            form("/do-not-track", wishes.add),
            form("/do-not-track/remove", wishes.remove),
            page("/live", self._live.show),
            page("/live/events", self._live.events),
            page("/dead-letters", dead.list),
            form("/dead-letters/replay", dead.replay),
            Route("/healthz", _health),
            Mount("/static", StaticFiles(directory=STATIC), name="static"),
        ]

        async def problem(request: Request, error: Exception) -> Response:
            status = error.status_code if isinstance(error, HTTPException) else 500
            if not hasattr(request.state, "account"):  # at no page of ours: who asks, all the same
                with suppress(StoreUnavailable):
                    await doorman.recognise(request)
            return views.problem(request, status, _MESSAGES.get(status, _MESSAGES[500]))

        async def refused(request: Request, error: Exception) -> Response:
            status = 400 if isinstance(error, InvalidInput) else 404
            status = 503 if isinstance(error, StoreUnavailable) else status
            return views.problem(request, status, str(error))

        self.app = Starlette(
            routes=routes,
            middleware=[Middleware(_Headers)],
            exception_handlers={
                HTTPException: problem,
                ClicktrailError: refused,
                ClientDisconnect: _hung_up,
                Exception: problem,
            },
        )
        self.app.state.drafts = Drafts()

    def stop(self) -> None:
        """End the answers that last: live pages."""
        self._live.stop()


_MESSAGES = {
    404: "There is nothing at this address.",
    405: "This page cannot be used that way.",
    500: "Something went wrong on our side. The log of the service tells more.",
}


async def _hung_up(_: Request, __: Exception) -> Response:
    return Response(status_code=400)  # nobody reads it


async def _health(_: Request) -> Response:
    return Response("ok\n", media_type="text/plain")


class _Headers:
    """Gives every answer the security headers, files and redirects as well."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._headers = [(k.lower().encode(), v.encode()) for k, v in SECURITY.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                known = {name for name, _ in message["headers"]}
                more = [pair for pair in self._headers if pair[0] not in known]
                if b"cache-control" not in known and not scope["path"].startswith("/static/"):
                    more.append((b"cache-control", b"no-store"))
                message = {**message, "headers": [*message["headers"], *more]}
            await send(message)

        await self._app(scope, receive, send_with_headers)
