"""The composition root: builds the parts from the settings, connects them, starts and stops them.

The only place that knows which part gets which. A process loads the parts of its own roles alone:
that is half of the memory of all roles together.
"""

# ruff: noqa: PLC0415 - that is why the parts are imported where they are built

import asyncio
import gc
import secrets
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from clicktrail.errors import ClicktrailError, InvalidInput, SettingError
from clicktrail.journal.sqlite import SqliteJournal
from clicktrail.keyfile import KeyFile
from clicktrail.metrics import Metrics
from clicktrail.settings import Settings
from clicktrail.vault import Vault
from clicktrail.wired_destinations import build_destinations, secret_of, send_test
from clicktrail.wired_nodes import (
    are_several,
    call_roll,
    check_keys,
    describe,
    node_name,
    stream_options,
)

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from clicktrail.ingress.accept import Acceptor
    from clicktrail.ingress.sesv2 import Operation
    from clicktrail.journal import Journal
    from clicktrail.monitor import Problems
    from clicktrail.redirect.domains import DomainPages
    from clicktrail.redirect.visitor import Visitors
    from clicktrail.relay.maildir import MaildirSmarthost
    from clicktrail.relay.smarthost import SmtpSmarthost
    from clicktrail.rollcall import RollCall
    from clicktrail.store import Store
    from clicktrail.wired_samples import Samples

ROLES = ("publisher", "redirect", "api", "console", "smtp")
"""In the order in which they start; they stop in the opposite one."""


_PARTS = {
    "publisher": ("clicktrail.store", "clicktrail.publish.publisher", "clicktrail.publish.deliver"),
    "redirect": ("clicktrail.redirect.app", "clicktrail.redirect.server"),
    "api": (
        "clicktrail.store",
        "clicktrail.ingress.api",
        "clicktrail.ingress.send_email",
        "clicktrail.publish.rendering_failure",
        "clicktrail.relay",
        "clicktrail.asgi",
    ),
    "console": ("clicktrail.store", "clicktrail.console.app", "clicktrail.asgi"),
    "smtp": ("clicktrail.store", "clicktrail.ingress.smtp", "clicktrail.relay"),
}
"""Modules that roles need; with them what these import."""


def load_parts(roles: Sequence[str]) -> None:
    """Import what roles need, so that the processes forked from this one share it."""
    for role in roles:
        for name in _PARTS[role]:
            import_module(name)
    gc.collect()


def check_roles(settings: Settings, roles: Sequence[str]) -> list[str]:
    """Return the roles in the order in which they start. Raises `InvalidInput`, `SettingError`."""
    for role in roles:
        if role not in ROLES:
            raise InvalidInput(f"there is no role {role!r}: use one of {', '.join(ROLES)}")
    if "smtp" in roles and not settings.text("smarthost.url"):
        raise SettingError(
            "smarthost.url is empty: say where emails go with --smarthost smtp://host:port,"
            " or --smarthost maildir:PATH to try things"
        )
    return [role for role in ROLES if role in roles]


def data_folder(settings: Settings) -> Path:
    """Return the data folder; it is made where there is none. Raises `SettingError`."""
    try:
        settings.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise SettingError(
            f"data = {str(settings.data)!r} cannot be used: expected a folder ({error.strerror})"
        ) from None
    return settings.data


def store_url(settings: Settings) -> str:
    """Return the URL of the store: the one set, else that of a file in the data folder.

    Raises `SettingError`.
    """
    folder = data_folder(settings)
    return settings.text("store.url") or f"sqlite:///{folder.absolute() / 'clicktrail.db'}"


def key_file(folder: Path) -> KeyFile:
    """Return the key ring's file in a data folder; made with a first key where there is none."""
    file = KeyFile(folder / "keys.json")
    file.create_if_missing()
    return file


def vault(folder: Path) -> Vault:
    """Return the vault of a data folder; its key is made where there is none."""
    return Vault.of_file(folder / "vault-key")


def open_journal(settings: Settings, folder: Path) -> "Journal":
    """Return the journal that the settings name. Raises `SettingError`."""
    if not settings["journal.url"]:
        return SqliteJournal(folder / "journal.db")
    if find_spec("nats") is None:
        raise SettingError("journal.url needs NATS's library: pip install 'clicktrail[nats]'")
    from clicktrail.journal.jetstream import JetStreamJournal

    return JetStreamJournal(stream_options(settings))


def api_body_limit(settings: Settings) -> int:
    """Return the largest request of the API, in bytes: the largest email as base64, and a bit."""
    largest: int = settings["smtp.max_size"]
    return largest * 3 // 2 + 65_536


async def first_link(store: "Store") -> str:
    """Return the token of a link that sets the first administrator's password."""
    from clicktrail.errors import AlreadyExists
    from clicktrail.store.accounts import Role

    try:
        return await store.accounts.create("admin", Role.ADMINISTRATOR)
    except AlreadyExists:
        return await store.accounts.new_link("admin")


class Watch:
    """What a node has once, beside its roles: the operator's port, and its place among other nodes.

    ``problems`` tells what of the service is not ready. A node that only redirects needs no store.
    """

    def __init__(
        self,
        settings: Settings,
        roles: Sequence[str],
        registry: "CollectorRegistry",
        problems: "Callable[[], Problems]",
    ) -> None:
        self._settings = settings
        self._roles = roles
        self._registry = registry
        self._problems = problems
        self._ends: list[Callable[[], Awaitable[None]]] = []
        self._roll: RollCall | None = None

    @staticmethod
    def is_wanted(settings: Settings) -> bool:
        """Whether there is anything for it to do."""
        return settings["metrics.listen"] is not None or are_several(settings)

    @property
    def lines(self) -> list[str]:
        """What it tells when it is started."""
        settings, address = self._settings, self._settings["metrics.listen"]
        found = [] if address is None else [f"metrics    http://{address}/metrics"]
        if are_several(settings):
            found.append(f"node       {node_name(settings, data_folder(settings), self._roles)}")
        return found

    async def start(self) -> None:
        """Start. Raises `ClicktrailError`; what was started is stopped by `stop`."""
        settings, address = self._settings, self._settings["metrics.listen"]
        if not self.is_wanted(settings):
            return
        folder = data_folder(settings)
        store = None
        if list(self._roles) != ["redirect"]:
            from clicktrail.store import Store

            store = await Store.open(store_url(settings))
            self._ends.append(store.close)
        self._roll = await call_roll(settings, folder, self._roles, store, self._ends)
        if address is None:
            return
        from clicktrail.monitor import Monitor

        monitor = Monitor(address, self._registry, store, folder, self._all_problems)
        try:
            await monitor.start()
        except OSError as error:
            raise ClicktrailError(
                f"metrics.listen = {address} cannot be used: {error.strerror or error};"
                " choose another address, or nothing"
            ) from None
        self._ends.append(monitor.stop)

    async def stop(self) -> None:
        """Stop what was started, the last first."""
        while self._ends:
            await self._ends.pop()()

    def _all_problems(self) -> "Problems":
        found = dict(self._problems())
        if self._roll is not None and self._roll.problem:
            found["keys"] = self._roll.problem
        return found


class Service:
    """Some roles in this process. ``lines`` tells where they listen, after `start`."""

    def __init__(self, settings: Settings, roles: Sequence[str]) -> None:
        self._settings = settings
        self._roles = roles
        self._folder = data_folder(settings)
        self._keys = key_file(self._folder)
        self._ends: list[Callable[[], Awaitable[None]]] = []
        self._store: Store | None = None
        self._smarthost: SmtpSmarthost | MaildirSmarthost | None = None
        self._opening = asyncio.Lock()
        self.lines: list[str] = []
        self.metrics = Metrics()

    async def start(self) -> None:
        """Start all roles. Raises `ClicktrailError`; what was started is stopped by `stop`."""
        builders = {
            "publisher": self._start_publisher,
            "redirect": self._start_redirect,
            "api": self._start_api,
            "console": self._start_console,
            "smtp": self._start_smtp,
        }
        for role in self._roles:
            try:
                await builders[role]()
            except OSError as error:
                raise ClicktrailError(f"{role} cannot start: {error}") from None

    async def stop(self) -> None:
        """Stop what was started, the last first: nothing that has begun is lost."""
        while self._ends:
            await self._ends.pop()()

    async def _open_store(self) -> "Store":
        """Return the store that the roles of this process share."""
        from clicktrail.store import Store

        if self._store is None:
            self._store = await Store.open(store_url(self._settings))
            self._ends.append(self._store.close)
        return self._store

    async def _start_publisher(self) -> None:
        from clicktrail.publish.deliver import Deliverer, Retry
        from clicktrail.publish.networks import known_machines
        from clicktrail.publish.privacy import Privacy
        from clicktrail.publish.publisher import Publisher
        from clicktrail.publish.retention import Periods, Retention
        from clicktrail.publish.visitor_verdict import Judge

        settings = self._settings
        store = await self._open_store()
        journal = open_journal(settings, self._folder)
        self._ends.append(journal.close)
        retry = Retry(
            settings["publish.retry_first"],
            settings["publish.retry_most"],
            settings["publish.retry_for"],
        )
        destinations = build_destinations(settings, self._folder)
        self._ends += [each.close for each in destinations.values()]
        timeout = settings["webhook.timeout"]
        deliverer = Deliverer(store, destinations, retry, timeout=timeout)
        privacy = Privacy(settings["privacy.ip"], settings["privacy.user_agent"])
        judge = Judge(known_machines(settings["machine.networks_file"]))
        publisher = Publisher(journal, store, deliverer, privacy, self.metrics, judge)
        await publisher.start()
        self._ends.append(publisher.stop)
        if settings["journal.url"]:
            from clicktrail.journal.nodes import Registrar

            registrar = Registrar(stream_options(settings), store.nodes)
            await registrar.start()
            self._ends.append(registrar.stop)
        periods = Periods(
            settings["retention.messages"],
            settings["retention.clicks"],
            settings["retention.events"],
            origins=settings["retention.origins"],
        )
        retention = Retention(store, periods)
        await retention.start()
        self._ends.append(retention.stop)
        self.lines.append("publisher  counts clicks and notifies")

    async def _start_redirect(self) -> None:
        from clicktrail.journal.spool import SpooledJournal
        from clicktrail.redirect.app import RedirectApp
        from clicktrail.redirect.server import Listener, RedirectServer
        from clicktrail.redirect.visitor import Visitors

        settings = self._settings
        journal = SpooledJournal(
            open_journal(settings, self._folder),
            self._folder / "spool",
            settings["journal.timeout"],
            settings["journal.queue"],
            self.metrics,
        )
        journal.start()
        self._ends.append(journal.close)
        listeners = [Listener(settings["redirect.listen"])]
        if settings["redirect.tls_listen"]:
            certificate, key = settings["redirect.tls_certificate"], settings["redirect.tls_key"]
            listeners.append(Listener(settings["redirect.tls_listen"], certificate, key))
        trusted = settings["redirect.trusted_proxies"]
        pages = self._domain_pages(Visitors(trusted))
        app = RedirectApp(self._keys.open, journal, trusted, self.metrics, pages)
        server = RedirectServer(app, listeners)
        self._ends.append(server.stop)
        await server.start()
        schemes = ("http", "https")
        shown = [f"{s}://{a}" for s, a in zip(schemes, server.addresses, strict=False)]
        self.lines.append(f"redirect   {' '.join(shown)}")

    def _domain_pages(self, visitors: "Visitors") -> "DomainPages":
        from clicktrail.redirect.applinks import AppLinks
        from clicktrail.redirect.domains import DomainPages, OwnDomains

        settings = self._settings
        hosts = settings.tracking_hosts
        domains = OwnDomains(
            (hosts.http, hosts.https, *settings["redirect.domains"]), self._custom_domains
        )
        folder = settings["redirect.app_links"]
        return DomainPages(self._keys.ring, visitors, domains, AppLinks(folder) if folder else None)

    async def _custom_domains(self) -> list[str]:
        # Opened with the first question only: clicks need no store, so a redirect starts without.
        async with self._opening:
            store = await self._open_store()
        sets = (await store.configuration.current()).sets.values()
        return [each.redirect_domain for each in sets if each.redirect_domain]

    async def _start_api(self) -> None:
        from clicktrail.asgi import AsgiServer
        from clicktrail.ingress.api import SesV2, create_api
        from clicktrail.ingress.sigv4 import SigV4Authenticator
        from clicktrail.store.access_keys import SealedKeys

        settings = self._settings
        store = await self._open_store()
        await self._check_keys(store)
        token = secret_of(
            settings["api.token"],
            self._folder / "api-token",
            lambda: secrets.token_urlsafe(32),
        )
        operations = await self.operations()
        keys = SealedKeys(store.access_keys, vault(self._folder))
        ses = SesV2(SigV4Authenticator(keys), operations, api_body_limit(settings))
        server = AsgiServer(create_api(store.streams, token, ses), settings["api.listen"])
        self._ends.append(server.stop)
        await server.start()
        self.lines.append(f"api        http://{server.address}")

    async def operations(self) -> "list[Operation]":
        """Return all that the SES v2 API does, at work on the parts of this process."""
        from clicktrail.ingress.metric_data import MetricData
        from clicktrail.ingress.sesv2_identities import IdentityOperations
        from clicktrail.ingress.sesv2_sets import SetOperations
        from clicktrail.ingress.sesv2_tags import TagOperations

        store = await self._open_store()
        return [
            *SetOperations(store.configuration).rows(),
            *IdentityOperations(store, vault(self._folder)).rows(),
            *TagOperations(store.configuration).rows(),
            *MetricData(store.statistics).rows(),
            *(await self._sending(store)),
        ]

    async def _sending(self, store: "Store") -> "list[Operation]":
        """Return SendEmail, which goes the way of the SMTP door."""
        from clicktrail.ingress.send_email import EmailSender, SendOptions
        from clicktrail.publish.rendering_failure import RenderingFailures

        settings = self._settings
        sender = EmailSender(
            SendOptions(settings.hostname, settings["smtp.max_size"]),
            self._acceptor(store),
            self._open_smarthost(),
            store.configuration,
            RenderingFailures(store),
        )
        self._ends.append(sender.stop)
        return sender.rows()

    async def _check_keys(self, store: "Store") -> None:
        if are_several(self._settings):
            node = describe(self._settings, self._folder, self._roles, self._keys)
            await check_keys(node, store)

    def _acceptor(self, store: "Store") -> "Acceptor":
        from clicktrail.ingress.accept import Acceptor

        settings = self._settings
        return Acceptor(
            store,
            self._keys,
            settings.tracking_hosts,
            settings.hostname,
            self.metrics,
            settings["machine.honeypot"],
            settings["identities.required"],
            vault=vault(self._folder),
        )

    def _open_smarthost(self) -> "SmtpSmarthost | MaildirSmarthost | None":
        """Return the smarthost that the roles of this process share; `None` without one."""
        from clicktrail.relay import open_smarthost

        if self._smarthost is None and self._settings.text("smarthost.url"):
            self._smarthost = open_smarthost(self._settings)
            self._ends.append(self._smarthost.close)
        return self._smarthost

    def _samples(self, store: "Store") -> "Samples":
        from clicktrail.wired_samples import Samples

        def parts() -> "tuple[Acceptor, SmtpSmarthost | MaildirSmarthost | None]":
            return self._acceptor(store), self._open_smarthost()

        return Samples(self._settings, parts)

    async def _start_console(self) -> None:
        from clicktrail.asgi import AsgiServer
        from clicktrail.console.app import Console

        store = await self._open_store()
        console = Console(
            store, self._samples(store), partial(send_test, self._settings, self._folder, store)
        )
        server = AsgiServer(console.app, self._settings["console.listen"])
        self._ends.append(server.stop)
        await server.start()

        async def end_live_pages() -> None:
            console.stop()

        self._ends.append(end_live_pages)
        self.lines.append(f"console    http://{server.address}")
        if not await store.accounts.any_ready():
            token = await first_link(store)
            self.lines.append(f"           to begin: http://{server.address}/welcome/{token}")

    async def _start_smtp(self) -> None:
        from clicktrail.ingress.smtp import SmtpOptions, SmtpServer
        from clicktrail.ingress.smtp_auth import UsersAndKeys
        from clicktrail.store.access_keys import SealedKeys

        settings = self._settings
        store = await self._open_store()
        await self._check_keys(store)
        smarthost = self._open_smarthost()
        assert smarthost is not None, "check_roles has looked"
        acceptor = self._acceptor(store)
        passwords = UsersAndKeys(store.users, SealedKeys(store.access_keys, vault(self._folder)))
        server = SmtpServer(SmtpOptions.of(settings), acceptor, smarthost, passwords)
        self._ends.append(server.stop)
        await server.start()
        self.lines.append(f"smtp       {server.address} → {settings.text('smarthost.url')}")
