"""Event destinations of a configuration set: added, changed, tried, removed."""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

from clicktrail.base.arn import Kind, parse_arn, stream_arn, webhook_arn
from clicktrail.console.forms import answer, field, fields, path_of
from clicktrail.console.views import Views
from clicktrail.errors import NotFound
from clicktrail.model import PRODUCED, ConfigurationSet, EventDestination, Waiting
from clicktrail.store import Store

SendTest = Callable[[str, str], Awaitable[str]]
"""Sends a test event to a configuration set's destination; returns its id, or raises
`ClicktrailError`."""


class Destinations:
    """Pages of event destinations."""

    def __init__(self, store: Store, views: Views, send_test: SendTest | None = None) -> None:
        self._send_test = send_test
        self._store = store
        self._configuration = store.configuration
        self._views = views

    async def show(self, request: Request) -> Response:
        """Show one, and how it has been doing."""
        owner, found = await self._found(request)
        return self._views.page(
            request,
            "destination.html",
            owner=owner,
            found=found,
            kind=parse_arn(found.arn),
            types=[(each.value, each in found.types) for each in sorted(PRODUCED)],
            state=(await states_of(self._store, owner.name)).get(found.name),
        )

    async def add(self, request: Request) -> Response:
        """Add one to a configuration set."""
        set_name = request.path_params["name"]

        async def work() -> str:
            made = _destination(request, None)
            await self._configuration.add_destination(set_name, made)
            return f"Added {made.name}."

        return await answer(request, work, path_of("configurations", set_name) + "#destinations")

    async def change(self, request: Request) -> Response:
        """Change one."""

        async def work() -> str:
            owner, found = await self._found(request)
            changed = _destination(request, found)
            await self._configuration.update_destination(owner.name, changed)
            return "Saved."

        return await answer(request, work, f"{_address(request)}#settings")

    async def test(self, request: Request) -> Response:
        """Send a test event straight to it, and say what came of it."""

        async def work() -> str:
            owner, found = await self._found(request)
            if self._send_test is None:
                raise NotFound("nothing can be sent from here")
            event_id = await self._send_test(owner.name, found.name)
            return f"It has taken the test event {event_id}."

        return await answer(request, work, f"{_address(request)}#test")

    async def remove(self, request: Request) -> Response:
        """Remove one."""
        set_name, name = request.path_params["name"], request.path_params["destination"]

        async def work() -> str:
            await self._configuration.remove_destination(set_name, name)
            return f"Removed {name}."

        then = path_of("configurations", set_name) + "#destinations"
        return await answer(request, work, f"{_address(request)}#remove", then)

    async def _found(self, request: Request) -> tuple[ConfigurationSet, EventDestination]:
        name, wanted = request.path_params["name"], request.path_params["destination"]
        owner = await self._configuration.get_set(name)
        found = next((d for d in owner.destinations if d.name == wanted), None)
        if found is None:
            raise NotFound(f"configuration set {name!r} has no event destination {wanted!r}")
        return owner, found


async def states_of(store: Store, set_name: str) -> dict[str, Waiting]:
    """Return how the destinations of a configuration set have been doing, by their names."""
    waiting = await store.outbox.waiting()
    return {each.destination: each for each in waiting if each.configuration_set == set_name}


def _address(request: Request) -> str:
    owner, name = request.path_params["name"], request.path_params["destination"]
    return path_of("configurations", owner, "destinations", name)


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
    # Types that never come are kept as API clients gave them.
    kept = {t for t in known.types if t not in PRODUCED} if known else set()
    types = {t for t in PRODUCED if t.value in fields(request, "types")}
    return EventDestination(name, arn, frozenset(types | kept), field(request, "enabled") == "on")
