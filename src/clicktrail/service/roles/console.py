"""The console: pages for people, and the set-up guide."""

from importlib import import_module

from clicktrail.console.app import Console
from clicktrail.doors.asgi import AsgiServer, Limits
from clicktrail.doors.forwarded import Visitors
from clicktrail.errors import AlreadyExists
from clicktrail.model import Role
from clicktrail.service.checks.opening import opening
from clicktrail.service.house import House
from clicktrail.service.notices import Notices
from clicktrail.service.parts.samples import Samples, Trials
from clicktrail.service.parts.store import open_store
from clicktrail.settings.settings import Settings
from clicktrail.store import Store


def check(settings: Settings) -> None:
    """See that its settings can be used."""


async def build(house: House) -> None:
    """Start it. Raises `ClicktrailError`."""
    settings = house.settings
    store = await open_store(house)

    async def send_test(set_name: str, name: str) -> str:
        # What sends events is loaded with the first one: few pages need it.
        send = import_module("clicktrail.service.parts.destinations").send_test
        event_id: str = await send(settings, house.folder, store, set_name, name)
        return event_id

    visitors = Visitors(settings["console.trusted_proxies"])
    retry_for = settings["publish.retry_for"]

    notices = Notices(settings, house.folder, store)
    house.ends.append(notices.stop)
    trials = Trials(house)
    house.ends.append(trials.stop)
    samples = Samples(house, store)
    console = Console(
        *(store, samples, send_test, visitors, retry_for, notices, trials.render),
        leads_here=lambda url: house.keys.ring().leads_here(url),
    )
    limits = Limits(waiting=settings["console.max_live_pages"])
    server = AsgiServer(console.app, settings["console.listen"], limits, visitors.trusts)
    house.ends.append(server.stop)
    with opening(settings, "console.listen"):
        await server.start()

    async def end_live_pages() -> None:
        console.stop()

    house.ends.append(end_live_pages)
    house.lines.append(f"console    http://{server.address}")
    if not await store.accounts.any_ready():
        token = await first_link(store)
        house.lines.append(f"           to begin: http://{server.address}/welcome/{token}")


async def first_link(store: Store) -> str:
    """Return the token of a link that sets the first administrator's password."""
    try:
        return await store.accounts.create("admin", Role.ADMINISTRATOR)
    except AlreadyExists:
        return await store.accounts.new_link("admin")
