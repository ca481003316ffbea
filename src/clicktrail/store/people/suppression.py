"""The suppression list: addresses that get no email, and why (SES: "account-level suppression").

It is asked about each email, once for all emails that arrive meanwhile.
"""

import csv
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice

from sqlalchemy import BindParameter, Connection, bindparam, delete, select, update

from clicktrail.base.batch import Batcher
from clicktrail.base.ids import now_us
from clicktrail.base.redact import reason_of
from clicktrail.base.text.digest import digest_of
from clicktrail.errors import InvalidInput, NotFound
from clicktrail.rules.recipients import checked_recipient, readable, recipient_key
from clicktrail.store.configuration_rows import bump
from clicktrail.store.database.bulk import BulkInsert
from clicktrail.store.database.core import Database, storable
from clicktrail.store.finding.looking import Looked, look
from clicktrail.store.tables import suppressed_destinations as table

_AT_ONCE = 500
"""Addresses that one statement asks for."""


class SuppressionReason(StrEnum):
    """Why an address is on the list."""

    BOUNCE = "BOUNCE"
    """Its mail server says that there is nobody."""
    COMPLAINT = "COMPLAINT"
    """Its owner has called an email spam."""
    UNSUBSCRIBE = "UNSUBSCRIBE"
    """Its owner wants no more emails. Not of SES."""


@dataclass(frozen=True, slots=True)
class Suppressed:
    """An address on the list."""

    address: str
    """As `recipient_key` spells it."""
    reason: SuppressionReason
    updated_at: int


@dataclass(slots=True)
class _Question:
    addresses: tuple[str, ...]
    answer: dict[str, SuppressionReason] = field(default_factory=dict)


class SuppressionList:
    """Reads and changes the list. Every method may raise `StoreUnavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._asking = Batcher(self._ask)

    async def among(self, addresses: Iterable[str]) -> dict[str, SuppressionReason]:
        """Return those of some addresses that are on the list, as they were given."""
        question = _Question(tuple(addresses))
        await self._asking.put(question)
        return question.answer

    async def put(self, address: str, reason: SuppressionReason) -> None:
        """Put an address on the list; one that is there gets the reason. Raises `InvalidInput`."""
        await self.put_many([(address, reason)])

    async def put_many(self, entries: Iterable[tuple[str, SuppressionReason]]) -> None:
        """Put addresses on the list, all or none, some thousand at most. Raises `InvalidInput`."""
        named = {checked_recipient(address): reason for address, reason in entries}
        await self._database.write(lambda connection: suppress(connection, named))

    async def take(self, entries: "Entries") -> int:
        """Put all entries on the list, some at a time; return how many. Raises `InvalidInput`."""
        taken = 0
        while some := list(islice(entries, _AT_ONCE)):
            await self.put_many(some)
            taken += len(some)
        return taken

    async def get(self, address: str) -> Suppressed:
        """Return what is known of an address. Raises `NotFound`, `InvalidInput`."""
        query = select(table).where(table.c.digest == digest_of(checked_recipient(address)))
        row = await self._database.read(lambda connection: connection.execute(query).first())
        if row is None:
            raise _missing(address)
        return Suppressed(checked_recipient(address), _reason_of(row.reason), row.updated_at)

    async def remove(self, address: str) -> None:
        """Take an address off the list. Raises `NotFound`, `InvalidInput`."""
        statement = delete(table).where(table.c.digest == digest_of(checked_recipient(address)))
        if not await self._database.write(lambda c: c.execute(statement).rowcount):
            raise _missing(address)

    async def page(
        self,
        after: str = "",
        limit: int = 1000,
        reasons: Collection[SuppressionReason] = (),
        since: int | None = None,
        until: int | None = None,
    ) -> list[Suppressed]:
        """Return up to ``limit`` entries with an address after one, in the order of addresses.

        Only those with one of the reasons, where some are given, and last put there at these
        times, both included. Persons who were erased are on the list without an address: not here.
        """
        query = select(table).where(table.c.address > storable(after))
        query = query.order_by(table.c.address).limit(limit)
        if reasons:
            query = query.where(table.c.reason.in_([each.value for each in reasons]))
        if since is not None:
            query = query.where(table.c.updated_at >= since)
        if until is not None:
            query = query.where(table.c.updated_at <= until)
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return [Suppressed(r.address, _reason_of(r.reason), r.updated_at) for r in rows]

    async def search(
        self, part: str, after: str, limit: int, reason: SuppressionReason | None = None
    ) -> Looked[Suppressed]:
        """Return up to ``limit`` entries whose address has a part, after an address, in order.

        Only those with the reason, where one is given.
        """
        only = [table.c.reason == reason.value] if reason else []
        query = select(table)
        rows, following = await self._database.read(
            lambda c: look(c, query, table.c.address, part, only, after, limit)
        )
        found = [Suppressed(r.address, _reason_of(r.reason), r.updated_at) for r in rows]
        return Looked(found, following)

    async def _ask(self, batch: list[_Question]) -> None:
        digests = {
            address: digest_of(recipient_key(address)) for q in batch for address in q.addresses
        }
        wanted = sorted(set(digests.values()))

        def work(connection: Connection) -> dict[bytes, str]:
            found: dict[bytes, str] = {}
            for start in range(0, len(wanted), _AT_ONCE):
                rows = connection.execute(_AMONG, {"digests": wanted[start : start + _AT_ONCE]})
                found.update((bytes(row.digest), row.reason) for row in rows)
            return found

        found = await self._database.read(work)
        for question in batch:
            for address in question.addresses:
                if (reason := found.get(digests[address])) is not None:
                    question.answer[address] = _reason_of(reason)


def _reason_of(text: str) -> SuppressionReason:
    """Return a reason that is kept; a damaged one lets no email through either."""
    return SuppressionReason(text) if text in _REASONS else SuppressionReason.COMPLAINT


_REASONS = frozenset(SuppressionReason)


def suppress(
    connection: Connection, named: Mapping[str, SuppressionReason], erased: Collection[str] = ()
) -> None:
    """Put addresses (`recipient_key`) on the list, within a transaction; any text may be one.

    Nobody reads those of ``erased``, which are some of them.
    """
    now = now_us()
    rows = [
        (digest_of(key), "" if key in erased else readable(key), reason.value, now)
        for key, reason in sorted(named.items())
    ]
    is_first = connection.scalar(select(table.c.reason).limit(1)) is None
    _PUT.run(connection, rows)
    if is_first and rows:  # until then no process asks
        bump(connection)


def erase_suppressed(connection: Connection, address: str) -> int:
    """Leave nothing readable of an address on the list, within a transaction; return how many.

    The entry stays: it is the person's own wish to get no email.
    """
    digest = digest_of(recipient_key(address))
    statement = update(table).where(table.c.digest == digest, table.c.address != "")
    return connection.execute(statement.values(address="")).rowcount


class Entries(Iterator[tuple[str, SuppressionReason]]):
    """The entries of a CSV file: ``address,REASON`` a line, as SES takes and exports them.

    Lines that are none are left out: ``left_out`` counts them, ``wrong`` tells of the first. Lines
    without a reason have that of ``reason``. Raises `InvalidInput` for what is no CSV at all.
    """

    MOST_TOLD = 5

    def __init__(self, lines: Iterable[str], reason: SuppressionReason) -> None:
        self.left_out = 0
        self.wrong: list[str] = []
        self._rows = csv.reader(lines)
        self._reason = reason

    def __next__(self) -> tuple[str, SuppressionReason]:
        try:
            for row in self._rows:
                address, given, *_ = (*(cell.strip() for cell in row), "", "")
                number = self._rows.line_num
                if not address or (number == 1 and "@" not in address):  # names of columns
                    continue
                try:
                    return entry_of(address, given or self._reason)
                except InvalidInput as error:
                    self.left_out += 1
                    if len(self.wrong) < self.MOST_TOLD:
                        self.wrong.append(f"line {number}: {error}")
        except (csv.Error, UnicodeDecodeError) as error:
            number = self._rows.line_num + 1
            raise InvalidInput(
                f"line {number} is no line of a CSV file in UTF-8: {reason_of(error)}"
            ) from None
        raise StopIteration


def entry_of(address: str, reason: str) -> tuple[str, SuppressionReason]:
    """Return an entry as `put_many` takes it, of texts. Raises `InvalidInput`."""
    return checked_recipient(address), reason_named(reason)


def reason_named(text: str) -> SuppressionReason:
    """Return a reason by its name, in any letter case. Raises `InvalidInput`."""
    try:
        return SuppressionReason(text.strip().upper())
    except ValueError:
        raise InvalidInput(
            f"{text[:50]!a} is no reason: use {', '.join(SuppressionReason)}"
        ) from None


def _missing(address: str) -> NotFound:
    return NotFound(f"{address[:320]!a} is not on the suppression list")


_PUT = BulkInsert(
    table,
    finish=lambda statement: statement.on_conflict_do_update(
        index_elements=["digest"],
        set_={name: statement.excluded[name] for name in ("address", "reason", "updated_at")},
    ),
)
_digests: BindParameter[Sequence[bytes]] = bindparam("digests", expanding=True)
_AMONG = select(table.c.digest, table.c.reason).where(table.c.digest.in_(_digests))
