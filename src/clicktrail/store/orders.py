"""What redirects are told beside what links hold (`clicktrail.model.Orders`)."""

import re
from collections.abc import Callable, Iterable, Iterator
from enum import IntEnum

from sqlalchemy import Connection, delete, func, insert, select, update

from clicktrail.base import weburl
from clicktrail.base.ids import is_id, new_id, now_us, pack_id
from clicktrail.errors import InvalidInput, NotFound
from clicktrail.keys.packing import MAX_URL
from clicktrail.model import LinkChange, Orders
from clicktrail.model.orders import ListTopics, digest_of
from clicktrail.store.database.bulk import BulkInsert
from clicktrail.store.database.core import Database, storable
from clicktrail.store.people.contact_rows import load_list
from clicktrail.store.people.person import Person
from clicktrail.store.people.tables import contact_lists
from clicktrail.store.tables import (
    configuration_sets,
    link_changes,
    orders_version,
    untracked_messages,
)

MOST = 10_000
"""Changes that hold at a time: every redirect has them in memory."""
MOST_UNTRACKED = 2_000_000
"""Emails that redirects know not to log clicks of, the newest: 8 bytes each. Of others, publishers
leave clicks out."""
MOST_LISTS = 10_000
"""Contact lists whose topics redirects know; who leaves another one leaves it as a whole."""
TITLE_LIMIT = 100
"""Characters of a topic's name that people are shown."""
BECAUSE_LIMIT = 1000
"""Characters."""
_AT_ONCE = 500
"""URLs that one statement asks for: databases take some ten thousand values, emails have more."""


class Part(IntEnum):
    """A part of what redirects are told, which has a version of its own."""

    CHANGES = 1
    UNTRACKED = 2
    LISTS = 3


class OrderStore:
    """Reads and changes them. Every method may raise `StoreUnavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def newer(self, known: str) -> Orders | None:
        """Return what is new now; ``None`` where that is the version that is known."""

        def work(connection: Connection) -> Orders | None:
            there = {row.id: row.version for row in connection.execute(_VERSIONS)}
            if Part.CHANGES in there:  # before parts had their own, it was that of both
                there.setdefault(Part.UNTRACKED, there[Part.CHANGES])
            if Part.LISTS not in there and connection.scalar(_LISTS.limit(1)):
                there[Part.LISTS] = "0"  # they are older than orders
            version = " ".join(there.get(part.value, "") for part in Part) if there else ""
            if version == known:
                return None
            # A node of before knows fewer parts.
            changes_known, untracked_known, lists_known, *_ = (*known.split(" "), None, None)
            changes = untracked = lists = None
            if not known or there.get(Part.CHANGES, "") != changes_known:
                holding = select(link_changes).where(link_changes.c.undone_at == 0)
                newest = holding.order_by(link_changes.c.id.desc())
                changes = tuple(_changes(connection.execute(newest)))
            if there.get(Part.UNTRACKED, "") != untracked_known:
                ids = connection.scalars(_UNTRACKED)
                digests = {digest_of(pack_id(id_)) for id_ in ids if is_id(id_)}
                untracked = b"".join(sorted(digests))
            if there.get(Part.LISTS, "") != lists_known:
                lists = tuple(_lists(connection))
            return Orders(version, changes, untracked, lists)

        return await self._database.read(work)

    async def replace(
        self,
        url: str,
        destination: str,
        *,
        by: str,
        configuration_set: str = "",
        since: int = 0,
        leads_here: Callable[[str], bool] | None = None,
    ) -> LinkChange:
        """Lead all links to a URL elsewhere. Raises `InvalidInput`, `NotFound`.

        Only links in emails of a ``configuration_set`` where one is named, and accepted ``since`` a
        time in microseconds since 1970 UTC. ``by`` is who wants it. ``leads_here`` tells which URLs
        are links of this installation (`KeyRing.leads_here`): they lead nobody anywhere else.
        """
        to = _checked(destination)
        made = _made(url, to, configuration_set, since, by)
        _check_way(made.url, to, leads_here)
        return await self._database.write(lambda connection: _add(connection, made))

    async def block(
        self, url: str, because: str, *, by: str, configuration_set: str = "", since: int = 0
    ) -> LinkChange:
        """Lead all links to a URL nowhere; ``because`` is what people are told. See `replace`."""
        because = " ".join(because.split())
        if not because or len(because) > BECAUSE_LIMIT:
            raise InvalidInput(
                f"say in 1 to {BECAUSE_LIMIT} characters why the link is blocked: who clicks it"
                " reads that"
            )
        made = _made(url, None, configuration_set, since, by, storable(because))
        return await self._database.write(lambda connection: _add(connection, made))

    async def undo(self, change_id: str, by: str) -> LinkChange:
        """End a change: links lead where they did before it. Raises `NotFound`."""
        which = link_changes.c.id == storable(change_id)
        now = {"undone_at": now_us(), "undone_by": storable(by)}

        def work(connection: Connection) -> LinkChange:
            ending = update(link_changes).where(which, link_changes.c.undone_at == 0).values(now)
            if not connection.execute(ending).rowcount:
                raise NotFound(
                    f"there is no change {change_id!r} of links that holds: see `clicktrail link"
                    " changes`"
                )
            renew(connection, Part.CHANGES)
            [undone] = _changes(connection.execute(select(link_changes).where(which)))
            return undone

        return await self._database.write(work)

    async def changes(self, urls: Iterable[str] | None = None) -> list[LinkChange]:
        """Return all changes, the newest first, also those that were undone.

        With ``urls``, those of links to these.
        """
        query = select(link_changes).order_by(link_changes.c.id.desc())
        wanted = None if urls is None else {storable(url) for url in urls}
        if wanted is not None and len(wanted) <= _AT_ONCE:
            query = query.where(link_changes.c.url.in_(wanted))
        found = await self._database.read(lambda c: list(_changes(c.execute(query))))
        return found if wanted is None else [each for each in found if each.url in wanted]


_VERSIONS = select(orders_version.c.id, orders_version.c.version)
_LISTS = select(contact_lists).where(contact_lists.c.topics != "[]").order_by(contact_lists.c.name)
_UNTRACKED = (
    select(untracked_messages.c.message_id)
    .order_by(untracked_messages.c.message_id.desc())
    .limit(MOST_UNTRACKED)
)


def _lists(connection: Connection) -> Iterator[ListTopics]:
    for row in connection.execute(_LISTS.limit(MOST_LISTS)):
        topics = load_list(row).topics
        if len(topics) > 1:
            shown = ((each.name, each.display_name[:TITLE_LIMIT]) for each in topics)
            yield ListTopics(row.name, tuple(shown))


def renew(connection: Connection, part: Part) -> None:
    """Tell all redirects, within a transaction, that a part of what they are told has changed."""
    _RENEW.run(connection, [(part.value, new_id())])


def erase_changes(person: Person, connection: Connection) -> int:
    """Delete changes that name an erased person, within a transaction; return how many.

    Such links lead where they did: nobody else has them, and they may not lead to an erased URL.
    """
    rows = connection.execute(select(link_changes)).all()
    named = [
        row.id
        for row in rows
        if any(person.is_in(text) for text in (row.url, row.destination or "", row.because))
    ]
    for id_ in named:
        connection.execute(delete(link_changes).where(link_changes.c.id == id_))
    if named:
        renew(connection, Part.CHANGES)  # redirects have copies
    return len(named)


_RENEW = BulkInsert(
    orders_version,
    finish=lambda s: s.on_conflict_do_update(
        index_elements=[orders_version.c.id], set_={"version": s.excluded.version}
    ),
)


_WEB = re.compile("https?:", re.IGNORECASE)
"""How all tracked URLs begin: what has no scheme is tracked as http (behaviour § 2)."""


def _made(
    url: str, to: str | None, configuration_set: str, since: int, by: str, because: str = ""
) -> LinkChange:
    at = now_us()
    url, by = storable(weburl.stripped(url)), storable(by)
    if not _WEB.match(url) or len(url.encode()) > MAX_URL:
        raise InvalidInput(
            "give the URL of the links, as the emails have it, which begins with http:// or"
            f" https://: not {url[:300]!r}"
        )
    return LinkChange(new_id(at), url, to, because, configuration_set, since, at, by)


def _add(connection: Connection, made: LinkChange) -> LinkChange:
    name = made.configuration_set
    named = select(configuration_sets.c.name).where(configuration_sets.c.name == storable(name))
    if name and connection.scalar(named) is None:
        raise NotFound(f"there is no configuration set {name!r}")
    holding = select(func.count()).where(link_changes.c.undone_at == 0)
    if (connection.scalar(holding) or 0) >= MOST:
        raise InvalidInput(f"{MOST} changes of links hold already: undo some")
    values = {field: getattr(made, field) for field in made.__struct_fields__}
    connection.execute(insert(link_changes).values(values))
    renew(connection, Part.CHANGES)
    return made


def _check_way(url: str, to: str, leads_here: Callable[[str], bool] | None) -> None:
    """Raise `InvalidInput` for a change by which links would lead in a circle, or as before.

    Changes do not chain (`clicktrail.redirect.changes`), so others cannot: of two links that each
    lead where the other did, each leads there at once.
    """
    before, after = weburl.serialized(url) or url, weburl.serialized(to) or to
    if before == after:
        raise InvalidInput(
            f"links to {url[:300]} cannot be changed to lead to themselves: to have them lead there"
            " again, undo their change (clicktrail link changes)"
        )
    if leads_here is None:
        return
    if leads_here(after):
        raise InvalidInput(
            f"{to[:300]} is a tracking link of this installation: whoever clicks would come back"
            " here, in a circle perhaps, and be counted as somebody else. Give the URL that it"
            " leads to (clicktrail link open)"
        )
    if leads_here(before):
        raise InvalidInput(
            f"{url[:300]} is a tracking link: give the URL that it leads to (clicktrail link open),"
            " of which all links are changed"
        )


def _changes(rows: Iterable[object]) -> Iterable[LinkChange]:
    for row in rows:
        yield LinkChange(*(getattr(row, field) for field in LinkChange.__struct_fields__))


def _checked(destination: str) -> str:
    """Return a URL of http(s) as it is kept. Raises `InvalidInput`."""
    url = storable(weburl.stripped(destination))
    written = weburl.serialized(url)
    if written is None or not written.startswith(("http://", "https://")):
        raise InvalidInput(
            f"{destination[:300]!r} is no URL of http or https: expected https://example.com/page"
        )
    if len(url.encode()) > MAX_URL:
        raise InvalidInput(f"links can lead to URLs of at most {MAX_URL} bytes")
    # As a browser would read it, with its scheme and slashes whole.
    return url if url.lower().startswith(("http://", "https://")) else written
