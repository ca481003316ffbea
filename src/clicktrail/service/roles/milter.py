"""The milter door: a mail server asks about each email, and sends it itself."""

from clicktrail.errors import SettingError
from clicktrail.ingress.milter.options import MilterOptions
from clicktrail.ingress.milter.server import MilterServer
from clicktrail.service.checks.opening import opening
from clicktrail.service.house import House
from clicktrail.service.parts.sending import acceptor_of
from clicktrail.service.parts.store import check_sealing, open_store
from clicktrail.settings.settings import Settings


def check(settings: Settings) -> None:
    """See that its settings can be used. Raises `SettingError`."""
    if settings["milter.listen"] is None:
        raise SettingError(
            "milter.listen is empty: say where the mail server finds the milter with"
            " --milter-listen unix:/path or --milter-listen host:port"
        )


async def build(house: House) -> None:
    """Start it. Raises `ClicktrailError`."""
    settings = house.settings
    store = await open_store(house)
    await check_sealing(house, store)
    server = MilterServer(
        MilterOptions.of(settings), acceptor_of(house, store), house.shared.milter
    )
    house.ends.append(server.stop)
    with opening(settings, "milter.listen"):
        await server.start()
    house.lines.append(f"milter     {server.address}")
