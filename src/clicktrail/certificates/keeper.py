"""Sees that every name of ours has a certificate: orders, renews, and gives way to other nodes."""

import asyncio
import random
import secrets
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from cryptography import x509

from clicktrail.base.faults import Faults
from clicktrail.base.hostname import may_be_certified
from clicktrail.base.ids import now_us
from clicktrail.base.logs import get_logger
from clicktrail.base.redact import reason_of
from clicktrail.base.tasks import end
from clicktrail.certificates.accounts import Accounts, Terms
from clicktrail.certificates.authority import OrderFailed, new_key
from clicktrail.certificates.copies import Copies
from clicktrail.certificates.rehearsal import Resolve, rehearse, system_resolve
from clicktrail.certificates.shelf import Shelf, purpose
from clicktrail.certificates.threads import in_thread
from clicktrail.errors import ClicktrailError
from clicktrail.keys.vault import Vault
from clicktrail.store.certificates import CertificateStore, Challenge, State

log = get_logger(__name__)

FAULT = "certificates"


@dataclass(frozen=True, slots=True)
class Pace:
    """How often, and how long, in seconds."""

    look: float = 5.0
    """Between two looks at what is to be done."""
    hold: float = 60.0
    """How long a node that has died keeps others from its name."""
    failed: float = 300.0
    """After a failed order; doubled with each one, so that of the five an hour that Let's Encrypt
    has for a name, one is left."""
    elsewhere: float = 30.0
    """After a look that found the name to lead elsewhere; doubled too."""
    longest: float = 86400.0
    longest_elsewhere: float = 3600.0
    rehearsal: float = 10.0
    ask: float = 6 * 3600.0
    """Between two questions when to renew (RFC 9773 § 4.3.3)."""
    at_once: int = 4
    """Names at a time."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is ordered where.

    ``ports`` are those of the ways by which challenges come, by kind, the first preferred.
    ``rehearsed``: whether a name is looked at first, by the addresses that ``resolve`` tells.
    """

    terms: Terms
    key_type: str
    ports: dict[str, int]
    rehearsed: bool = True
    resolve: Resolve = system_resolve


class Keeper:
    """Runs in every process that serves certificates; one at a time has a name.

    ``names`` returns those that are ours, and ``store`` opens what nodes share; both may raise
    `ClicktrailError`, and are then tried again.
    """

    def __init__(
        self,
        wanted: Wanted,
        names: Callable[[], Awaitable[Iterable[str]]],
        store: Callable[[], Awaitable[CertificateStore]],
        vault: Vault,
        shelf: Shelf,
        copies: Copies,
        faults: Faults,
        pace: Pace = Pace(),
    ) -> None:
        self._wanted = wanted
        self._names = names
        self._open = store
        self._vault = vault
        self._shelf = shelf
        self._copies = copies
        self._faults = faults
        self._pace = pace
        self._accounts = Accounts(wanted.terms, vault)
        self._holder = secrets.token_hex(16)
        self._seen = 0
        self._working: dict[str, asyncio.Task[None]] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Serve what is known of before, and begin in the background."""
        self._shelf.put(self._copies.read())
        self._task = asyncio.create_task(self._run(), name="certificates")

    async def stop(self) -> None:
        """End; what is under way is given up, and others may take it at once."""
        await end(self._task)
        await end(*self._working.values())

    async def _run(self) -> None:
        while True:
            try:
                await self._look(await self._open())
            except ClicktrailError as error:
                self._faults.report(FAULT, reason_of(error))
            except Exception as error:  # a fault of ours must not end it
                log.exception("certificates cannot be looked after")
                self._faults.report(FAULT, f"{type(error).__name__}: see the log")
            else:
                self._faults.mend(FAULT)
            await asyncio.sleep(self._pace.look)

    async def _look(self, store: CertificateStore) -> None:
        # From a while before: another node's clock, and how long its transaction took.
        found = await store.issued_since(self._seen - 600_000_000)
        if new := self._shelf.put(found):
            await asyncio.to_thread(self._copies.write, new)
        self._seen = max([self._seen, *(each.issued_at for each in found)])
        names = sorted(name for name in set(await self._names()) if may_be_certified(name))
        due = await store.due(names, self._wanted.terms.directory)
        if await self._accounts.paused(store):
            return
        random.shuffle(due)  # other nodes begin elsewhere
        for name in due:
            if len(self._working) >= self._pace.at_once:
                return
            if name not in self._working:
                task = asyncio.create_task(self._have(name, store), name=f"certificate {name}")
                self._working[name] = task
                task.add_done_callback(partial(self._done, name))

    def _done(self, name: str, _: object) -> None:
        del self._working[name]

    async def _have(self, name: str, store: CertificateStore) -> None:
        try:
            state = await store.take(name, self._holder, self._pace.hold)
            if state is None:
                return  # another one has it
            work = asyncio.create_task(self._look_after(state, store))
            hold = asyncio.create_task(self._hold(name, store))
            try:
                await asyncio.wait((work, hold), return_when=asyncio.FIRST_COMPLETED)
                if work.done():
                    await work
                else:
                    log.warning("an order is given up: another node has the name", name=name)
            finally:
                await end(work, hold)
        except ClicktrailError as error:
            log.warning("a certificate cannot be looked after", name=name, reason=error)
        except Exception:
            log.exception("a certificate cannot be looked after", name=name)

    async def _hold(self, name: str, store: CertificateStore) -> None:
        """Keep others away; return when that cannot be."""
        while True:
            await asyncio.sleep(self._pace.hold / 4)
            with suppress(ClicktrailError):
                if await store.take(name, self._holder, self._pace.hold) is None:
                    return

    async def _look_after(self, state: State, store: CertificateStore) -> None:
        directory = self._wanted.terms.directory
        is_ours = state.directory == directory
        if state.due_at > now_us() and is_ours:  # another node was faster
            await store.put_off(state, self._holder, state.due_at, state.renew_at)
            return
        try:
            if is_ours and state.expires_at and not await self._is_to_renew(state, store):
                return
            kind = await self._way(state, store)
            await self._order(state, kind, store)
        except Elsewhere as error:
            wait = _backed_off(self._pace.elsewhere, state.failures, self._pace.longest_elsewhere)
            await self._fail(state, reason_of(error), wait, store)
        except OrderFailed as error:
            wait = _backed_off(self._pace.failed, state.failures, self._pace.longest)
            if error.account_gone:
                await self._accounts.forget(store)
                wait = self._pace.look
            if error.pause is not None:
                await self._accounts.pause(store, error.pause)
                wait = max(wait, error.pause)
            await self._fail(state, reason_of(error), wait, store)
        except asyncio.CancelledError:
            with suppress(ClicktrailError):
                await store.put_off(state, self._holder, state.due_at, state.renew_at)
            raise

    async def _fail(self, state: State, why: str, wait: float, store: CertificateStore) -> None:
        log.warning("no certificate", name=state.name, reason=why, again_in=round(wait))
        due_at, directory = now_us() + int(wait * 1e6), self._wanted.terms.directory
        await store.fail(state, self._holder, due_at, directory, why)

    async def _is_to_renew(self, state: State, store: CertificateStore) -> bool:
        """Ask the authority when a certificate is to be renewed (RFC 9773); say whether it is."""
        renew_at, now = state.renew_at, now_us()
        again = self._pace.ask
        if renew_at > now:
            try:
                authority = await self._accounts.authority(store)
                chain = await store.chain(state.name)
                when, left = await in_thread(lambda: authority.renewal(chain))
                # § 4.3.2: neither all the time nor never.
                again = min(max(left, 60.0), 86400.0)
                if when is not None:
                    renew_at = min(int(when * 1e6), state.expires_at)
            except OrderFailed as error:
                log.warning("when to renew is not known", name=state.name, reason=error)
        if renew_at <= now:
            return True
        due_at = min(renew_at, now + int(again * 1e6))
        await store.put_off(state, self._holder, due_at, renew_at)
        return False

    async def _way(self, state: State, store: CertificateStore) -> str:
        """Return the kind of challenge by which a name leads here. Raises `Elsewhere`."""
        kinds = list(self._wanted.ports)
        if not self._wanted.rehearsed:
            return kinds[state.failures % len(kinds)]
        try:
            addresses = await self._wanted.resolve(state.name)
        except OSError as error:
            raise Elsewhere(f"the name does not resolve: {error.strerror or error}") from None
        troubles = []
        for kind in kinds:
            made = Challenge(state.name, kind, secrets.token_urlsafe(32), secrets.token_urlsafe(32))
            await store.challenge(made)
            wait = self._pace.rehearsal
            trouble = await rehearse(made, addresses, self._wanted.ports[kind], wait)
            if not trouble:
                return kind
            troubles.append(trouble)
        raise Elsewhere(f"the name does not lead here: {'; '.join(troubles)}")

    async def _order(self, state: State, kind: str, store: CertificateStore) -> None:
        name = state.name
        authority = await self._accounts.authority(store)
        key = await in_thread(lambda: new_key(self._wanted.key_type))
        is_renewal = state.expires_at and state.directory == self._wanted.terms.directory
        predecessor = await store.chain(name) if is_renewal else ""
        ordered = await in_thread(lambda: authority.order(name, key, (kind,), predecessor))
        if ordered.body is not None:
            await store.challenge(
                Challenge(name, ordered.kind, ordered.token, ordered.key_authorization)
            )
        log.info("certificate ordered", name=name, by=ordered.kind or "an earlier challenge")
        chain = await in_thread(lambda: authority.complete(ordered))
        expires_at, renew_at = _times(chain)
        sealed = self._vault.seal(key, purpose(name))
        due_at = min(renew_at, now_us() + int(_about(self._pace.ask) * 1e6))
        kept = await store.keep(
            name, chain, sealed, self._wanted.terms.directory, (expires_at, renew_at, due_at)
        )
        await asyncio.to_thread(self._copies.write, self._shelf.put([kept]))
        log.info("certificate issued", name=name, renewed_in_days=_days_until(renew_at))


class Elsewhere(ClicktrailError):
    """A name does not lead here, as far as can be seen."""

    permanent = False


def _backed_off(first: float, failures: int, longest: float) -> float:
    return _about(min(first * 2.0 ** min(failures, 20), longest))


def _about(seconds: float) -> float:
    """Return nearly so many, so that names and nodes do not all come at once."""
    return seconds * random.uniform(0.75, 1.25)  # noqa: S311 - nobody gains by guessing it


def _times(chain: str) -> tuple[int, int]:
    """Return when a certificate expires, and when two thirds of its time are over: µs since 1970.

    Raises `OrderFailed`.
    """
    try:
        own = x509.load_pem_x509_certificate(chain.encode())
    except ValueError:
        raise OrderFailed("what the authority issued is no certificate") from None
    begins, ends = (at.timestamp() for at in (own.not_valid_before_utc, own.not_valid_after_utc))
    return int(ends * 1e6), int((begins + (ends - begins) * 2 / 3) * 1e6)


def _days_until(at: int) -> float:
    return round((at - now_us()) / 86400e6, 1)
