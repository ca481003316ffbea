"""Certificates of tracking domains, which all nodes share, and who is about to order one.

All times are microseconds since 1970, of the clock of the machine that writes them.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection, and_, delete, or_, select, update

from clicktrail.base.ids import now_us
from clicktrail.store.database.bulk import BulkInsert
from clicktrail.store.database.core import Database, storable
from clicktrail.store.tables import acme_accounts, acme_challenges, certificates

CHALLENGE_SECONDS = 900
"""So long a challenge is answered: the order that it belongs to has ended by then."""

_LONGEST = 500
"""Characters of a problem that are kept."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A certificate: ``chain`` is PEM, ``sealed`` its key's, by the vault."""

    name: str
    chain: str
    sealed: bytes
    issued_at: int
    expires_at: int


class Health(StrEnum):
    """How a certificate is."""

    VALID = "valid"
    EXPIRING = "expiring"
    """It should have been renewed: of the time that was left for that, half is over."""
    EXPIRED = "expired"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class State:
    """How it stands with a name: ``expires_at`` is 0 where there is no certificate yet."""

    name: str
    directory: str
    expires_at: int
    renew_at: int
    due_at: int
    failures: int
    problem: str

    def health(self, now: int) -> Health:
        """Return how its certificate is at a time."""
        if not self.expires_at:
            return Health.MISSING
        if self.expires_at <= now:
            return Health.EXPIRED
        is_late = self.expires_at - now < (self.expires_at - self.renew_at) / 2
        return Health.EXPIRING if self.renew_at and is_late else Health.VALID


@dataclass(frozen=True, slots=True)
class Account:
    """An account at an authority: its sealed key, and its URL once it is made there."""

    sealed: bytes
    url: str
    paused_until: int


@dataclass(frozen=True, slots=True)
class Challenge:
    """What an authority looks for (RFC 8555 § 8.1): ``kind`` is ``http-01`` or ``tls-alpn-01``."""

    name: str
    kind: str
    token: str
    key_authorization: str


class CertificateStore:
    """Certificates by name. Every method may raise `StoreUnavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # Certificates

    async def issued_since(self, at: int) -> list[Kept]:
        """Return the certificates that were issued then and later."""
        c = certificates.c
        query = select(c.name, c.chain, c.key, c.issued_at, c.expires_at)
        query = query.where(c.issued_at >= at, c.expires_at > 0)
        return await self._database.read(
            lambda connection: [Kept(*row) for row in connection.execute(query)]
        )

    async def states(self, names: Iterable[str] | None = None) -> list[State]:
        """Return how it stands with names, by name; with all that were ever looked at, if none are
        given."""
        query = select(*(certificates.c[each] for each in _STATE)).order_by(certificates.c.name)
        found = await self._database.read(
            lambda connection: [State(*row) for row in connection.execute(query)]
        )
        if names is None:
            return found
        known = {each.name: each for each in found}
        return [known.get(name) or State(name, "", 0, 0, 0, 0, "") for name in sorted(set(names))]

    async def keep(
        self, name: str, chain: str, sealed: bytes, directory: str, times: tuple[int, int, int]
    ) -> Kept:
        """Keep a new certificate, and leave the name.

        ``times``: when it expires, is renewed, and is looked at next.
        """
        expires_at, renew_at, due_at = times
        kept = Kept(name, chain, sealed, now_us(), expires_at)
        await self._set(
            name,
            None,  # whoever has the name now: it is a certificate
            chain=chain,
            key=sealed,
            directory=directory,
            issued_at=kept.issued_at,
            expires_at=expires_at,
            renew_at=renew_at,
            due_at=due_at,
            failures=0,
            problem="",
            holder="",
            held_until=0,
        )
        return kept

    async def put_off(self, state: State, holder: str, due_at: int, renew_at: int) -> None:
        """Leave a name whose certificate stays, until it is due again."""
        await self._set(
            state.name, holder, due_at=due_at, renew_at=renew_at, holder="", held_until=0
        )

    async def fail(
        self, state: State, holder: str, due_at: int, directory: str, problem: str
    ) -> None:
        """Leave a name for which nothing could be done, until it is due again."""
        await self._set(
            state.name,
            holder,
            failures=state.failures + 1,
            due_at=due_at,
            # A certificate of another authority, which is still served, is one to be renewed.
            renew_at=state.renew_at if state.directory == directory else 0,
            directory=directory,
            problem=storable(problem[:_LONGEST]),
            holder="",
            held_until=0,
        )

    async def _set(self, name: str, by: str | None, /, **values: object) -> None:
        statement = update(certificates).where(certificates.c.name == name).values(values)
        if by is not None:  # else it is another one's by now
            statement = statement.where(certificates.c.holder == by)
        answered = delete(acme_challenges).where(acme_challenges.c.name == name)

        def work(connection: Connection) -> None:
            if connection.execute(statement).rowcount:
                connection.execute(answered)

        await self._database.write(work)

    # Whose turn it is

    async def due(self, names: Collection[str], directory: str) -> list[str]:
        """Return those of the names that are to be looked at now, and that nobody holds.

        What was last done with another directory is, whatever came of it.
        """
        c, now = certificates.c, now_us()
        rests = and_(c.due_at > now, c.directory == directory)
        query = select(c.name).where(or_(rests, c.held_until > now))
        resting = await self._database.read(lambda connection: set(connection.scalars(query)))
        return [name for name in names if name not in resting]

    async def take(self, name: str, holder: str, seconds: float) -> State | None:
        """Take a name for so long, where nobody holds it; return how it stands with it."""
        c, now = certificates.c, now_us()
        taking = (
            update(certificates)
            .where(c.name == name, or_(c.held_until <= now, c.holder == holder))
            .values(holder=holder, held_until=now + int(seconds * 1e6))
        )
        query = select(*(c[each] for each in _STATE)).where(c.name == name)

        def work(connection: Connection) -> State | None:
            _NEW.run(connection, [(name,)])
            if not connection.execute(taking).rowcount:
                return None
            return State(*connection.execute(query).one())

        return await self._database.write(work)

    async def chain(self, name: str) -> str:
        """Return a certificate's chain (PEM); empty where there is none."""
        query = select(certificates.c.chain).where(certificates.c.name == name)
        return await self._database.read(lambda connection: connection.scalar(query) or "")

    # Accounts

    async def account(self, directory: str) -> Account | None:
        """Return the account at an authority."""
        c = acme_accounts.c
        query = select(c.key, c.url, c.paused_until).where(c.directory == directory)

        def work(connection: Connection) -> Account | None:
            row = connection.execute(query).first()
            return None if row is None else Account(*row)

        return await self._database.read(work)

    async def begin_account(self, directory: str, sealed: bytes) -> None:
        """Keep the key of an account that is to be made, where no node has kept one before."""
        await self._database.write(lambda c: _ACCOUNT.run(c, [(directory, sealed, "", 0)]))

    async def set_account(self, directory: str, url: str) -> None:
        """Note that an account is made."""
        statement = update(acme_accounts).where(acme_accounts.c.directory == directory)
        made = statement.values(url=url)
        await self._database.write(lambda connection: connection.execute(made).rowcount)

    async def pause(self, directory: str, until: int) -> None:
        """Note that an authority takes no orders until then."""
        statement = update(acme_accounts).where(acme_accounts.c.directory == directory)
        paused = statement.values(paused_until=until)
        await self._database.write(lambda connection: connection.execute(paused).rowcount)

    # Challenges

    async def challenge(self, challenge: Challenge) -> None:
        """Keep what is to be answered in a name, until that is left."""
        row = (*(getattr(challenge, each) for each in Challenge.__slots__), now_us())
        await self._database.write(lambda connection: _CHALLENGE.run(connection, [row]))

    async def challenges(self) -> list[Challenge]:
        """Return all that is to be answered now."""
        c = acme_challenges.c
        query = select(c.name, c.kind, c.token, c.key_authorization)
        query = query.where(c.made_at > now_us() - CHALLENGE_SECONDS * 1_000_000)
        return await self._database.read(
            lambda connection: [Challenge(*row) for row in connection.execute(query)]
        )


_STATE = ("name", "directory", "expires_at", "renew_at", "due_at", "failures", "problem")
_NEW = BulkInsert(certificates, ("name",), finish=lambda s: s.on_conflict_do_nothing())
_ACCOUNT = BulkInsert(acme_accounts, finish=lambda s: s.on_conflict_do_nothing())
_CHALLENGE = BulkInsert(
    acme_challenges,
    finish=lambda s: s.on_conflict_do_update(
        index_elements=[acme_challenges.c.name],
        set_={c.name: s.excluded[c.name] for c in acme_challenges.columns if not c.primary_key},
    ),
)
