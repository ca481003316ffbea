"""What the redirect tells about its domains: which are ours, that it is us, and app links."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from urllib.parse import parse_qs

import msgspec

from clicktrail.base.hostname import host_name
from clicktrail.base.logs import get_logger
from clicktrail.doors.forwarded import Visitors
from clicktrail.errors import ClicktrailError, InvalidInput
from clicktrail.keys import probe
from clicktrail.keys.token import KeyRing
from clicktrail.redirect.applinks import AppLinks
from clicktrail.redirect.exchange import Exchange
from clicktrail.redirect.pages import (
    DOMAIN_IS_OURS,
    DOMAIN_IS_UNKNOWN,
    DOMAIN_NOT_OURS,
    Answer,
    json_object,
)
from clicktrail.settings.settings import Settings

ALLOWED_PATH = b"/domains/allowed"
_PROBE_PATH = probe.PATH.encode()

log = get_logger(__name__)


def fixed_domains(settings: Settings) -> list[str]:
    """Return the domains that the settings name."""
    hosts = settings.tracking_hosts
    return [hosts.http, hosts.https, *settings["redirect.domains"]]


class OwnDomains:
    """Knows the domains of this installation.

    ``fixed`` are those of the settings. ``read`` returns those of the configuration sets; where it
    raises a `ClicktrailError`, what it returned last still holds.
    """

    def __init__(self, fixed: Iterable[str], read: Callable[[], Awaitable[Iterable[str]]]) -> None:
        self._fixed = frozenset(filter(None, map(_name, fixed)))
        self._read = read
        self._last: frozenset[str] | None = None

    async def has(self, domain: str) -> bool:
        """Whether a domain is ours. Raises `ClicktrailError` where that cannot be known."""
        name = _name(domain)
        if name is None or name in self._fixed:
            return name is not None
        return name in await self._of_sets()

    async def all(self) -> frozenset[str]:
        """Return all domains that are ours. Raises `ClicktrailError` where they are not known."""
        return self._fixed | await self._of_sets()

    async def _of_sets(self) -> frozenset[str]:
        try:
            self._last = frozenset(filter(None, map(_name, await self._read())))
        except ClicktrailError as error:
            log.warning("the domains of configuration sets cannot be read", reason=error)
            if self._last is None:
                raise
        return self._last


class DomainPages:
    """Answers all paths that are about domains; others are not for it."""

    def __init__(
        self,
        ring: Callable[[], KeyRing],
        visitors: Visitors,
        domains: OwnDomains,
        app_links: AppLinks | None = None,
    ) -> None:
        self._ring = ring
        self._visitors = visitors
        self._domains = domains
        self._app_links = app_links
        self._asking: set[asyncio.Task[None]] = set()

    def handle(self, exchange: Exchange, path: bytes) -> bool:
        """Answer a ``GET`` or ``HEAD``, now or later; ``False`` for a path that is not ours."""
        if path == ALLOWED_PATH:
            self._start_asking(exchange)
            return True
        answer: Answer | None = None
        if path.startswith(_PROBE_PATH):
            answer = self._prove(exchange, path)
        elif self._app_links is not None:
            answer = self._app_links.answer(path, _host(exchange))
        if answer is None:
            return False
        give(exchange, answer)
        return True

    def _prove(self, exchange: Exchange, path: bytes) -> Answer | None:
        try:
            proof = probe.prove(self._ring(), path.decode("ascii"), time.time())
        except (UnicodeDecodeError, InvalidInput):
            return None
        if proof is None:
            return None
        host = (exchange.header(b"host") or b"").decode("latin-1")
        told = {"proof": proof, "host": host, "client": self._visitors.address(exchange)}
        return json_object(msgspec.json.encode(told))

    def _start_asking(self, exchange: Exchange) -> None:
        if any(exchange.header(name) is not None for name in (b"x-forwarded-for", b"forwarded")):
            # The proxy itself asks; this is somebody behind it, whom it does not concern.
            give(exchange, DOMAIN_NOT_OURS)
            return
        task = asyncio.create_task(self._answer_whether_ours(exchange))
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    async def _answer_whether_ours(self, exchange: Exchange) -> None:
        query = exchange.target.partition(b"?")[2].decode("latin-1")
        asked = parse_qs(query).get("domain", [])
        try:
            ours = len(asked) == 1 and await self._domains.has(asked[0])
        except Exception as error:
            if not isinstance(error, ClicktrailError):
                log.exception("whether a domain is ours cannot be told")
            give(exchange, DOMAIN_IS_UNKNOWN)
        else:
            give(exchange, DOMAIN_IS_OURS if ours else DOMAIN_NOT_OURS)


def give(exchange: Exchange, answer: Answer) -> None:
    """Answer a ``GET`` or ``HEAD``."""
    head, body = answer
    exchange.answer(head, body if exchange.method == b"GET" else b"")


def _host(exchange: Exchange) -> bytes:
    """Return which host a request is for, as the client wrote it."""
    if exchange.target.startswith(b"/"):
        return exchange.header(b"host") or b""
    # RFC 9112 § 3.2.2: with a target in absolute form, the Host header is ignored.
    return exchange.target.partition(b"://")[2].partition(b"/")[0]


def _name(domain: str) -> str | None:
    try:
        return host_name(domain)
    except InvalidInput:
        return None
