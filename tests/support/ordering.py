"""Nodes that order certificates from Pebble, in this process."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509

from clicktrail.base.faults import Faults
from clicktrail.certificates.accounts import Terms
from clicktrail.certificates.challenges import Challenges
from clicktrail.certificates.copies import Copies
from clicktrail.certificates.keeper import Keeper, Pace, Wanted
from clicktrail.certificates.shelf import Shelf
from clicktrail.errors import StoreUnavailable
from clicktrail.keys.vault import Vault
from clicktrail.redirect.app import RedirectApp
from clicktrail.redirect.challenges import ChallengePages
from clicktrail.redirect.domains import DomainPages, OwnDomains
from clicktrail.redirect.server import Listener, Patience, RedirectServer
from clicktrail.settings.kinds import Address
from clicktrail.store import Store
from clicktrail.store.certificates import CertificateStore, State
from support.pebble import Pebble
from support.ports import Ports
from support.redirecting import RING
from support.service import PATIENCE

LONG_PATIENCE = 5 * PATIENCE
"""An order that failed, as on a busy machine, is made again after minutes."""
QUICK = Pace(look=0.05, hold=LONG_PATIENCE, failed=0.2, elsewhere=0.1, rehearsal=5)
"""Nothing is waited for where nothing comes: a look is a few milliseconds."""


class Unused:
    """A journal that nobody clicks into."""

    async def append(self, *clicks: object) -> None: ...


@dataclass
class Node:
    """A redirect with its keeper. ``shelf`` may be asked by handshakes."""

    keeper: Keeper
    faults: Faults
    tls: Address

    async def served(self, name: str, before: x509.Certificate | None = None) -> x509.Certificate:
        """Return the certificate of a name, as soon as another one is shown than before."""
        async with asyncio.timeout(LONG_PATIENCE):
            while True:
                found = await self.shown(name)
                if found is not None and found != before:
                    return found
                await asyncio.sleep(0.02)

    async def shown(self, name: str) -> x509.Certificate | None:
        """Return the certificate that is shown for a name."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with suppress(ssl.SSLError, ConnectionError):
            _, writer = await asyncio.open_connection(
                self.tls.host, self.tls.port, ssl=context, server_hostname=name
            )
            der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
            writer.transport.abort()
            return x509.load_der_x509_certificate(der)
        return None


@dataclass
class Town:
    """Nodes that share a store, and the ports that the authority comes to."""

    folder: Path
    store: Store
    ports: Ports = field(default_factory=lambda: Ports(2, "127.0.0.3"))
    names: list[str] = field(default_factory=lambda: ["click.shop.example"])
    vault: Vault = field(default_factory=lambda: Vault(bytes(64)))

    @property
    def certificates(self) -> CertificateStore:
        return self.store.certificates

    def pebble(self, **options: object) -> Pebble:
        http, tls = self.ports
        return Pebble(self.folder / "pebble", http, tls, *self.names, **options)  # type: ignore[arg-type]

    @asynccontextmanager
    async def node(
        self,
        pebble: Pebble,
        *,
        pace: Pace = QUICK,
        kinds: Sequence[str] = ("tls-alpn-01", "http-01"),
        rehearsed: bool = True,
        aside: bool = False,
        terms: Terms | None = None,
        store: Store | None = None,
        away: bool = False,
    ) -> AsyncIterator[Node]:
        """Run a node; ``aside``, at ports of its own, where the authority does not come.

        The store is not there where it is ``away``.
        """
        certificates = (store or self.store).certificates
        http, tls = (0, 0) if aside else self.ports
        challenges = Challenges(certificates.challenges)
        shelf = Shelf(self.vault, challenges)

        async def names() -> list[str]:
            return self.names

        async def opened() -> CertificateStore:
            if away:
                raise StoreUnavailable("the database is away")
            return certificates

        pages = ChallengePages(
            challenges.key_authorization,
            DomainPages(lambda: RING, None, OwnDomains((), names)),  # type: ignore[arg-type]
        )
        app = RedirectApp(RING.open, Unused(), pages=pages)  # type: ignore[arg-type]
        listeners = [
            Listener(Address("127.0.0.1", http)),
            Listener(Address("127.0.0.1", tls), names=shelf),
        ]
        server = RedirectServer(app, listeners, Patience(request=PATIENCE))
        await server.start()
        ways = dict(zip(("http-01", "tls-alpn-01"), self.ports, strict=True))
        wanted = Wanted(
            terms or Terms(pebble.directory, "me@example.com", pebble.ca),
            "ecdsa-p256",
            {kind: ways[kind] for kind in kinds},
            rehearsed,
            pebble.resolve,
        )
        faults = Faults()
        keeper = Keeper(wanted, names, opened, self.vault, shelf, Copies(self.folder), faults, pace)
        keeper.start()
        try:
            yield Node(keeper, faults, server.addresses[1])
        finally:
            await keeper.stop()
            await server.stop()

    async def state(self, name: str = "click.shop.example") -> State | None:
        """Return how it stands with a name."""
        found = {each.name: each for each in await self.certificates.states()}
        return found.get(name)

    async def until(
        self, holds: Callable[[State], bool], name: str = "click.shop.example"
    ) -> State:
        """Return how it stands with a name, as soon as it stands so."""
        async with asyncio.timeout(LONG_PATIENCE):
            while True:
                state = await self.state(name)
                if state is not None and holds(state):
                    return state
                await asyncio.sleep(0.05)

    async def issued(self, name: str = "click.shop.example") -> State:
        """Return how it stands with a name, when it has a certificate."""
        return await self.until(lambda state: state.expires_at > 0, name)

    async def is_due(self, name: str, renew_at: int = 1) -> None:
        """Let a certificate be looked at again."""
        state = await self.state(name)
        assert state is not None
        await self.certificates.put_off(state, "", 1, renew_at)
