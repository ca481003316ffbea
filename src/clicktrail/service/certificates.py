"""Builds what keeps and serves certificates (`clicktrail.certificates`) for the redirect."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING

from clicktrail.base.hostname import host_name
from clicktrail.certificates.accounts import Terms
from clicktrail.certificates.authority import HTTP_01, TLS_ALPN_01, Binding
from clicktrail.certificates.challenges import Challenges
from clicktrail.certificates.copies import Copies
from clicktrail.certificates.keeper import Keeper, Wanted
from clicktrail.certificates.rehearsal import Resolve, system_resolve
from clicktrail.certificates.shelf import Shelf
from clicktrail.service.house import House
from clicktrail.service.parts.folder import followed_vault
from clicktrail.settings.kinds import Address
from clicktrail.settings.settings import Settings

if TYPE_CHECKING:
    from clicktrail.store.certificates import CertificateStore, Challenge

_RESOLVE_SECONDS = 10.0


class Certificates:
    """The certificates of this process: ``shelf`` serves them, ``challenges`` answers for them."""

    def __init__(self, house: House, names: Callable[[], Awaitable[Iterable[str]]]) -> None:
        async def store() -> "CertificateStore":
            # Not before it is needed: a redirect starts, and answers clicks, without a store.
            parts = import_module("clicktrail.service.parts.store")
            found: CertificateStore = (await parts.open_store(house)).certificates
            return found

        settings, vault = house.settings, followed_vault(house.folder)

        async def read() -> "Sequence[Challenge]":
            return await (await store()).challenges()

        self.challenges = Challenges(read)
        first = settings.tracking_hosts.https or settings.tracking_hosts.http
        self.shelf = Shelf(vault, self.challenges, host_name(first))
        copies = Copies(house.folder)
        self._keeper = Keeper(
            wanted(settings), names, store, vault, self.shelf, copies, house.faults
        )
        house.ends.append(self._keeper.stop)

    def start(self) -> None:
        """Begin to order, where something is to be ordered: when the challenges are answered."""
        self._keeper.start()


def wanted(settings: Settings) -> Wanted:
    """Return what the settings want to be ordered."""
    binding = None
    if settings["acme.eab_key_id"]:
        binding = Binding(settings["acme.eab_key_id"], settings["acme.eab_mac_key"])
    terms = Terms(
        settings["acme.directory"], settings["acme.email"], settings["acme.tls_ca"], binding
    )
    resolver = settings["acme.resolver"]
    return Wanted(
        terms,
        settings["acme.key_type"],
        _ports(settings),
        settings["acme.check"] == "yes",
        system_resolve if resolver is None else _resolve_by(resolver),
    )


def _ports(settings: Settings) -> dict[str, int]:
    """Return by which ways an authority can come, the first preferred.

    It comes to 443 and 80 (RFC 8737 § 3, RFC 8555 § 8.3); links that name other ports are of an
    installation whose authority does so too, as those of tests do.
    """
    hosts, chosen = settings.tracking_hosts, settings["acme.challenge"]
    ports = {TLS_ALPN_01: _port_of(hosts.https, 443), HTTP_01: _port_of(hosts.http, 80)}
    return ports if chosen == "auto" else {chosen: ports[chosen]}


def _port_of(host: str, usual: int) -> int:
    port = host.rpartition(":")[2]
    return int(port) if port.isdigit() and port != host else usual


def _resolve_by(server: Address) -> Resolve:
    async def resolve(name: str) -> Sequence[str]:
        import dns.asyncresolver  # noqa: PLC0415 - few have a server of their own
        import dns.exception  # noqa: PLC0415

        resolver = dns.asyncresolver.Resolver(configure=False)
        resolver.nameservers, resolver.port = [server.host], server.port
        found: list[str] = []
        for kind in ("A", "AAAA"):
            try:
                answer = await resolver.resolve(f"{name}.", kind, lifetime=_RESOLVE_SECONDS)
            except dns.resolver.NoAnswer:
                continue
            except dns.exception.DNSException as error:
                raise OSError(0, str(error)) from None
            found += [record.address for record in answer]
        if not found:
            raise OSError(0, "it has neither A nor AAAA")
        return found

    return resolve
