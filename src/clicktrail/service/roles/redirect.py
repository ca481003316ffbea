"""The redirect: logs clicks and sends people on.

It opens a store only where somebody asks of custom domains.
"""

from importlib import import_module

from clicktrail.doors.forwarded import Visitors
from clicktrail.journal.spool import SpooledJournal
from clicktrail.redirect.app import RedirectApp
from clicktrail.redirect.applinks import AppLinks
from clicktrail.redirect.domains import DomainPages, OwnDomains
from clicktrail.redirect.server import Listener, RedirectServer
from clicktrail.service.checks import check_certificate, check_folder
from clicktrail.service.checks.opening import opening
from clicktrail.service.house import House
from clicktrail.service.parts.journal import open_journal
from clicktrail.settings.settings import Settings


def check(settings: Settings) -> None:
    """See that its settings can be used. Raises `SettingError`."""
    check_certificate(settings, "redirect")
    check_folder(settings, "redirect.app_links")


async def build(house: House) -> None:
    """Start it. Raises `ClicktrailError`."""
    settings = house.settings
    journal = SpooledJournal(
        open_journal(settings, house.folder),
        house.folder / "spool",
        settings["journal.timeout"],
        settings["journal.queue"],
        house.metrics,
        house.faults,
    )
    journal.start()
    house.ends.append(journal.close)
    house.tries["journal"] = journal.try_journal
    house.tries["spool"] = journal.try_spool
    shared = settings.workers("redirect") > 1
    listeners = [Listener(settings["redirect.listen"], shared=shared)]
    if settings["redirect.tls_listen"]:
        pair = settings["redirect.tls_certificate"], settings["redirect.tls_key"]
        listeners.append(Listener(settings["redirect.tls_listen"], *pair, shared=shared))
    trusted = settings["redirect.trusted_proxies"]
    visitors = Visitors(trusted)
    pages = _domain_pages(house, visitors)
    app = RedirectApp(house.keys.open, journal, trusted, house.metrics, pages)
    server = RedirectServer(app, listeners, trusts=visitors.trusts)
    house.ends.append(server.stop)
    with opening(settings, "redirect.listen", "redirect.tls_listen"):
        await server.start()
    if settings["redirect.tls_certificate"]:
        house.reloads.append(("redirect.tls_certificate", server.reload))
    shown = [f"{s}://{a}" for s, a in zip(("http", "https"), server.addresses, strict=False)]
    house.lines.append(f"redirect   {' '.join(shown)}")


def _domain_pages(house: House, visitors: Visitors) -> DomainPages:
    async def custom_domains() -> list[str]:
        # With the first question: clicks need no store, so that nothing of it is loaded before.
        found: list[str] = await import_module("clicktrail.service.parts.store").custom_domains(
            house
        )
        return found

    settings, hosts = house.settings, house.settings.tracking_hosts
    domains = OwnDomains((hosts.http, hosts.https, *settings["redirect.domains"]), custom_domains)
    folder = settings["redirect.app_links"]
    return DomainPages(house.keys.ring, visitors, domains, AppLinks(folder) if folder else None)
