"""Configuration sets and their event destinations: made, changed, explained in plain words."""

from collections.abc import Awaitable, Callable
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from clicktrail.base.arn import Kind, parse_arn, stream_arn, webhook_arn
from clicktrail.console.doorman import field, fields
from clicktrail.console.views import Views
from clicktrail.errors import ClicktrailError, InvalidInput, NotFound
from clicktrail.model import ConfigurationSet, EventDestination, EventType, HttpsPolicy, Waiting
from clicktrail.store import Store

PRODUCED = (EventType.CLICK, EventType.SEND)
"""Event types that are produced; others are kept as API clients gave them."""


SendTest = Callable[[str, str], Awaitable[str]]
"""Sends a test event to a configuration set's destination; returns its id, or raises
`ClicktrailError`."""


def outcome(found: ConfigurationSet) -> list[str]:
    """Return what happens to emails of a configuration set, in plain words."""
    told = [d.name for d in found.subscribers(EventType.CLICK)]
    sends = [d.name for d in found.subscribers(EventType.SEND)]
    said = []
    if told:
        said.append(f"Clicks are counted, and each is sent to {_listed(told)}.")
    elif found.engagement:
        said.append("Clicks are counted, nothing is sent.")
    else:
        said.append("Clicks are not tracked: links stay as they are.")
    if sends:
        said.append(f"Each email sent on is told to {_listed(sends)}.")
    if found.click_tracking:
        where = found.redirect_domain or "the tracking host of this installation"
        secure = "always https" if found.https_policy is HttpsPolicy.REQUIRE else "as the link was"
        said.append(f"Tracking links lead over {where}, {secure}.")
        if found.keep_html:
            said.append("The HTML of each email is kept, for click maps.")
        if not found.track_visible_urls:
            said.append("Links whose text is their own URL are left alone.")
    return said


class Configurations:
    """Pages of configuration sets."""

    def __init__(self, store: Store, views: Views, send_test: SendTest | None = None) -> None:
        self._send_test = send_test
        self._store = store
        self._configuration = store.configuration
        self._views = views

    async def list(self, request: Request) -> Response:
        """Show all; make a new one."""
        name = message = ""
        if request.method == "POST":
            name = field(request, "name")
            try:
                await self._configuration.create_set(ConfigurationSet(name))
            except ClicktrailError as error:
                message = str(error)
            else:
                return RedirectResponse(address_of(name), 303)
        sets = [(found, outcome(found)[0]) for found in await self._configuration.list_sets()]
        return self._views.page(
            request,
            "configurations.html",
            400 if message else 200,
            sets=sets,
            name=name,
            message=message,
        )

    async def show(self, request: Request) -> Response:
        """Show one; change its statistics settings and its tracking links."""
        name = request.path_params["name"]
        found = await self._configuration.get_set(name)
        if request.method != "POST":
            return await self._page(request, found)
        try:
            await self._configuration.update_set(
                name,
                engagement=field(request, "engagement") == "on",
                redirect_domain=field(request, "redirect_domain") or None,
                https_policy=_policy(field(request, "https_policy")),
                keep_html=field(request, "keep_html") == "on",
                track_visible_urls=field(request, "leave_visible_urls") != "on",
            )
        except InvalidInput as error:
            return await self._page(request, found, 400, str(error))
        return RedirectResponse(address_of(name), 303)

    async def delete(self, request: Request) -> Response:
        """Delete one."""
        await self._configuration.delete_set(request.path_params["name"])
        return RedirectResponse("/configurations", 303)

    async def add_destination(self, request: Request) -> Response:
        """Add an event destination."""
        name = request.path_params["name"]
        found = await self._configuration.get_set(name)
        try:
            await self._configuration.add_destination(name, _destination(request, None))
        except NotFound:
            raise
        except ClicktrailError as error:
            return await self._page(request, found, 400, new_message=str(error))
        return RedirectResponse(f"{address_of(name)}#destinations", 303)

    async def destination(self, request: Request) -> Response:
        """Show an event destination and how it has been doing; change it."""
        owner, found = await self._found_destination(request)
        if request.method != "POST":
            return await self._destination_page(request, owner, found)
        try:
            await self._configuration.update_destination(owner.name, _destination(request, found))
        except InvalidInput as error:
            return await self._destination_page(request, owner, found, 400, str(error))
        return RedirectResponse(f"{address_of(owner.name)}#destinations", 303)

    async def test(self, request: Request) -> Response:
        """Send a test event straight to an event destination, and say what came of it."""
        owner, found = await self._found_destination(request)
        if self._send_test is None:
            raise NotFound("nothing can be sent from here")
        try:
            event_id = await self._send_test(owner.name, found.name)
        except ClicktrailError as error:
            return await self._destination_page(request, owner, found, test_failed=str(error))
        said = f"It has taken the test event {event_id}."
        return await self._destination_page(request, owner, found, tested=said)

    async def _found_destination(
        self, request: Request
    ) -> tuple[ConfigurationSet, EventDestination]:
        name, wanted = request.path_params["name"], request.path_params["destination"]
        owner = await self._configuration.get_set(name)
        found = next((d for d in owner.destinations if d.name == wanted), None)
        if found is None:
            raise NotFound(f"configuration set {name!r} has no event destination {wanted!r}")
        return owner, found

    async def _destination_page(
        self,
        request: Request,
        owner: ConfigurationSet,
        found: EventDestination,
        status: int = 200,
        message: str = "",
        *,
        tested: str = "",
        test_failed: str = "",
    ) -> Response:
        return self._views.page(
            request,
            "destination.html",
            status,
            owner=owner,
            found=found,
            kind=parse_arn(found.arn),
            types=_type_choices(found),
            state=(await self._states(owner.name)).get(found.name),
            message=message,
            tested=tested,
            test_failed=test_failed,
        )

    async def remove_destination(self, request: Request) -> Response:
        """Remove an event destination."""
        name = request.path_params["name"]
        await self._configuration.remove_destination(name, request.path_params["destination"])
        return RedirectResponse(f"{address_of(name)}#destinations", 303)

    async def _page(
        self,
        request: Request,
        found: ConfigurationSet,
        status: int = 200,
        message: str = "",
        new_message: str = "",
    ) -> Response:
        states = await self._states(found.name)
        identities = await self._configuration.list_identities()
        return self._views.page(
            request,
            "configuration.html",
            status,
            found=found,
            outcome=outcome(found),
            destinations=[(d, parse_arn(d.arn), states.get(d.name)) for d in found.destinations],
            bound=[i.name for i in identities if i.configuration_set == found.name],
            policies=list(HttpsPolicy),
            message=message,
            new_message=new_message,
        )

    async def _states(self, set_name: str) -> dict[str, Waiting]:
        waiting = await self._store.outbox.waiting()
        return {each.destination: each for each in waiting if each.configuration_set == set_name}


def address_of(set_name: str) -> str:
    """Return the page of a configuration set."""
    return f"/configurations/{quote(set_name, safe='')}"


def _destination(request: Request, known: EventDestination | None) -> EventDestination:
    """Return the destination that a form describes. Raises `InvalidInput`."""
    name = known.name if known else field(request, "name")
    kind, target = field(request, "kind"), field(request, "target")
    if kind == Kind.STREAM:
        arn = stream_arn(target)
    elif kind == Kind.WEBHOOK:
        arn = webhook_arn(target)
    else:
        arn = parse_arn(target).text
    kept = {t for t in known.types if t not in PRODUCED} if known else set()
    types = {t for t in PRODUCED if t.value in fields(request, "types")}
    return EventDestination(name, arn, frozenset(types | kept), field(request, "enabled") == "on")


def _type_choices(found: EventDestination) -> list[tuple[EventType, bool]]:
    return [(each, each in found.types) for each in PRODUCED]


def _policy(text: str) -> HttpsPolicy:
    try:
        return HttpsPolicy(text)
    except ValueError:
        raise InvalidInput(f"{text!r} is no HTTPS policy: use OPTIONAL or REQUIRE") from None


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
