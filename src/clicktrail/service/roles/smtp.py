"""The SMTP door: takes emails in, and hands them on."""

from clicktrail.ingress.smtp.auth import SignIn, UsersAndKeys
from clicktrail.ingress.smtp.options import SmtpOptions
from clicktrail.ingress.smtp.server import SmtpServer
from clicktrail.service.checks import check_certificate
from clicktrail.service.checks.opening import opening
from clicktrail.service.checks.smarthost import check_own, check_smarthost
from clicktrail.service.house import House
from clicktrail.service.parts.folder import followed_vault
from clicktrail.service.parts.sending import acceptor_of, smarthost_of
from clicktrail.service.parts.store import check_sealing, open_store
from clicktrail.settings.settings import Settings
from clicktrail.store.people.access_keys import SealedKeys


def check(settings: Settings) -> None:
    """See that its settings can be used. Raises `SettingError`."""
    check_certificate(settings, "smtp")
    check_smarthost(settings)
    check_own(settings)


async def build(house: House) -> None:
    """Start it. Raises `ClicktrailError`."""
    settings = house.settings
    store = await open_store(house)
    await check_sealing(house, store)
    smarthost = smarthost_of(house)
    assert smarthost is not None, "check_roles has looked"
    keys = SealedKeys(store.access_keys, followed_vault(house.folder), store.configuration)
    configuration = store.configuration
    sign_in = SignIn(
        UsersAndKeys(store.users, keys), house.shared.throttle, lambda: configuration.seen.version
    )
    server = SmtpServer(SmtpOptions.of(settings), acceptor_of(house, store), smarthost, sign_in)
    house.ends.append(server.stop)
    with opening(settings, "smtp.listen", "smtp.tls_listen"):
        await server.start()
    if settings["smtp.tls_certificate"]:
        house.reloads.append(("smtp.tls_certificate", server.reload))
    listens = f"{server.address}"
    if server.tls_address is not None:
        listens += f" and {server.tls_address} (TLS)"
    house.lines.append(f"smtp       {listens} → {settings.shown('smarthost.url')}")
