"""The redirect: logs clicks and sends people on.

It opens a store only where somebody asks of custom domains.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from clicktrail.doors.forwarded import Visitors
from clicktrail.errors import SettingError
from clicktrail.journal.spool import SpooledJournal
from clicktrail.keys.orders import OrdersCopy
from clicktrail.redirect.app import Pages, RedirectApp
from clicktrail.redirect.applinks import AppLinks
from clicktrail.redirect.challenges import ChallengePages
from clicktrail.redirect.domains import DomainPages, OwnDomains, fixed_domains
from clicktrail.redirect.orders import Following
from clicktrail.redirect.pages.public import PublicPages
from clicktrail.redirect.server import Listener, RedirectServer
from clicktrail.service.checks import check_authorities, check_certificate, check_folder
from clicktrail.service.checks.opening import opening
from clicktrail.service.house import House
from clicktrail.service.parts.journal import open_journal
from clicktrail.settings.settings import Settings

if TYPE_CHECKING:
    from clicktrail.service.certificates import Certificates


def check(settings: Settings) -> None:
    """See that its settings can be used. Raises `SettingError`."""
    check_certificate(settings, "redirect")
    check_folder(settings, "redirect.app_links")
    check_folder(settings, "redirect.pages")
    if settings["redirect.pages"] is not None:
        PublicPages(settings["redirect.pages"])  # what cannot be used of it is told now
    check_authorities(settings, "acme")
    if not settings["acme.email"]:
        return
    if find_spec("acme") is None:
        raise SettingError("acme.email needs an ACME library: pip install 'clicktrail[acme]'")
    if settings.text("journal.url") and not settings.text("store.url"):
        raise SettingError(
            "acme.email is set, and several nodes share a journal, but no store: an authority would"
            " ask one node for what another one knows. Set store.url on each, or leave https to"
            " what stands in front of them (tracking.https_host)"
        )
    # Before this process is forked: its workers share it.
    import_module("clicktrail.service.certificates")


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
    trusted = settings["redirect.trusted_proxies"]
    visitors = Visitors(trusted)
    domains = _own_domains(house)
    pages: Pages = _domain_pages(house, visitors, domains)
    certificates = _certificates(house, domains) if settings["acme.email"] else None
    if certificates is not None:
        pages = ChallengePages(certificates.challenges.key_authorization, pages)
    public = PublicPages(settings["redirect.pages"], settings["redirect.home"])
    app = RedirectApp(house.keys.open, journal, trusted, house.metrics, pages, public)
    if settings["redirect.pages"]:
        house.reloads.append(("redirect.pages", public.reload))
    following = Following(OrdersCopy(house.folder), app.follow)
    following.start()
    house.ends.append(following.stop)
    house.tries["orders"] = following.check
    server = RedirectServer(app, _listeners(settings, certificates), trusts=visitors.trusts)
    house.ends.append(server.stop)
    with opening(settings, "redirect.listen", "redirect.tls_listen"):
        await server.start()
    if certificates is not None:
        certificates.start()
    if settings["redirect.tls_certificate"]:
        house.reloads.append(("redirect.tls_certificate", server.reload))
    shown = [f"{s}://{a}" for s, a in zip(("http", "https"), server.addresses, strict=False)]
    house.lines.append(f"redirect   {' '.join(shown)}")
    if certificates is not None:
        by = urlsplit(settings["acme.directory"]).netloc
        house.lines.append(f"           certificates by {by}, whose terms of service are agreed to")


def _listeners(settings: Settings, certificates: "Certificates | None") -> list[Listener]:
    shared = settings.workers("redirect") > 1
    listeners = [Listener(settings["redirect.listen"], shared=shared)]
    if settings["redirect.tls_listen"]:
        pair = settings["redirect.tls_certificate"], settings["redirect.tls_key"]
        names = None if certificates is None else certificates.shelf
        listeners.append(Listener(settings["redirect.tls_listen"], *pair, shared, names))
    return listeners


def _certificates(house: House, domains: OwnDomains) -> "Certificates":
    made: Certificates = import_module("clicktrail.service.certificates").Certificates(
        house, domains.all
    )
    return made


def _own_domains(house: House) -> OwnDomains:
    async def custom_domains() -> list[str]:
        # With the first question: clicks need no store, so that nothing of it is loaded before.
        found: list[str] = await import_module("clicktrail.service.parts.store").custom_domains(
            house
        )
        return found

    return OwnDomains(fixed_domains(house.settings), custom_domains)


def _domain_pages(house: House, visitors: Visitors, domains: OwnDomains) -> DomainPages:
    folder = house.settings["redirect.app_links"]
    return DomainPages(house.keys.ring, visitors, domains, AppLinks(folder) if folder else None)
