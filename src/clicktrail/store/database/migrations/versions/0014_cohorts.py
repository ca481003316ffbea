"""Tracked emails, and those of them that a person clicked: by hour, day, link tag and mailing.

They are counted from what there is: rows of emails and of clicked links, and for tags and mailings
the contents of emails that are still kept. A thousand emails are read at once.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from alembic import op

from clicktrail.base.ids import hour_of
from clicktrail.model import Link, Message
from clicktrail.store.mail.grouping import mailings_of

revision = "0014"
down_revision = "0013"

_BATCH = 1000
_MOST_TAGS = 200
_SENT = 1
_DIMENSIONS = ("configuration_set", "identity", "provider")
_Counts = defaultdict[tuple[Any, ...], list[int]]


class _Link(msgspec.Struct, array_like=True):
    index: int
    url: str
    tags: list[tuple[str, str]]
    part: int = 0
    offset: int = 0


class _Content(msgspec.Struct, array_like=True):
    """As contents were kept then; what follows is not read."""

    source: str
    source_ip: str | None
    headers: list[tuple[str, str]]
    tags: dict[str, list[str]]
    links: list[_Link]


def upgrade() -> None:
    """Make the columns and the table, and fill them."""
    for table in ("counters", "hour_counters", "tag_counters"):
        for name in ("tracked", "clicked"):
            added = sa.Column(name, sa.BigInteger, nullable=False, server_default="0")
            op.add_column(table, added)
    op.create_table(
        "mailing_counts",
        sa.Column("digest", sa.LargeBinary, primary_key=True),
        sa.Column("shard", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("clicked", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    connection = op.get_bind()
    # Hours before that were forgotten, and stay so.
    first_hour = connection.scalar(sa.text("SELECT min(hour) FROM hour_counters")) or "U"
    for emails in _emails(connection):
        _count(connection, emails, first_hour)


def _emails(connection: sa.Connection) -> Iterator[Sequence[Any]]:
    """Yield emails that may be tracked, in the order of their ids."""
    query = sa.text(
        "SELECT m.*, c.content, u.message_id AS waiting FROM messages m"
        " LEFT JOIN message_contents c ON c.message_id = m.id"
        " LEFT JOIN unindexed u ON u.message_id = m.id"
        " WHERE m.reason = '' AND m.id > :last ORDER BY m.id LIMIT :most"
    )
    last = ""
    while rows := connection.execute(query, {"last": last, "most": _BATCH}).all():
        yield rows
        last = rows[-1].id


def _count(connection: sa.Connection, emails: Sequence[Any], first_hour: str) -> None:
    days, hours, tags, mailings, refused = (_counts() for _ in range(5))
    people = _people(connection, emails[0].id, emails[-1].id)
    for row in emails:
        content = _content_of(row)
        if content and not content.links:
            continue
        clicked = people.get(row.id, set())
        groups = _mailings(row, content) if content else []
        if row.state != _SENT:  # so far they counted as emails of their mailings
            if row.waiting is None:
                for digest in groups:
                    refused[digest,][0] += 1
            continue
        hour, where = hour_of(row.accepted_at), tuple(getattr(row, d) for d in _DIMENSIONS)
        _add(days[hour[:10], *where], bool(clicked))
        if hour >= first_hour:
            _add(hours[hour, *where], bool(clicked))
        for tag, places in _indexes(content.links if content else ()).items():
            _add(tags[hour[:10], *where, *tag], bool(clicked & places))
        for digest in groups if clicked else ():
            mailings[digest,][1] += 1
    _upsert(connection, "counters", ("day", *_DIMENSIONS), days)
    _upsert(connection, "hour_counters", ("hour", *_DIMENSIONS), hours)
    _upsert(connection, "tag_counters", ("day", *_DIMENSIONS, "tag", "value"), tags)
    _upsert(connection, "mailing_counts", ("digest",), mailings)
    if refused:
        fewer = sa.text("UPDATE mailings SET sent = sent - :n WHERE digest = :digest")
        connection.execute(fewer, [{"digest": d, "n": n} for (d,), (n, _) in refused.items()])


def _people(connection: sa.Connection, first: str, last: str) -> dict[str, set[int]]:
    """Return which links of emails people clicked."""
    query = sa.text(
        "SELECT message_id, link FROM clicked_links"
        " WHERE message_id BETWEEN :first AND :last AND human_clicks > 0"
    )
    found: defaultdict[str, set[int]] = defaultdict(set)
    for id_, link in connection.execute(query, {"first": first, "last": last}):
        found[id_].add(link)
    return found


def _content_of(row: Any) -> _Content | None:
    """Return what is kept of an email; ``None`` where it is gone, or damaged."""
    try:
        return msgspec.msgpack.decode(row.content, type=_Content) if row.content else None
    except msgspec.MsgspecError:
        return None


def _mailings(row: Any, content: _Content) -> list[bytes]:
    made = Message(
        id=row.id,
        accepted_at=row.accepted_at,
        source="",
        recipients=(),
        configuration_set=row.configuration_set or None,
        headers=tuple(content.headers),
        tags=content.tags,
        links=tuple(Link(e.index, e.url, tuple(e.tags), e.part, e.offset) for e in content.links),
    )
    return [key.digest for key in mailings_of(made)]


def _indexes(links: Iterable[_Link]) -> dict[tuple[str, str], set[int]]:
    """Return which links have each tag."""
    found: dict[tuple[str, str], set[int]] = {}
    for link in links:
        for name, value in link.tags[:_MOST_TAGS]:
            if (name, value) in found or len(found) < _MOST_TAGS:
                found.setdefault((name, value), set()).add(link.index)
    return found


def _counts() -> _Counts:
    return defaultdict(lambda: [0, 0])


def _add(counts: list[int], clicked: bool) -> None:
    counts[0] += 1
    counts[1] += clicked


def _upsert(connection: sa.Connection, table: str, keys: tuple[str, ...], counts: _Counts) -> None:
    numbers = ("clicked",) if table == "mailing_counts" else ("tracked", "clicked")
    zeros = {
        "counters": ("sent", "clicks", "unique_clicks", "human_clicks"),
        "hour_counters": ("sent", "clicks", "unique_clicks", "human_clicks"),
        "tag_counters": ("clicks", "unique_clicks", "human_clicks"),
    }.get(table, ())
    columns = (*keys, *numbers, "shard", *zeros)
    values = (*(f":{name}" for name in (*keys, *numbers)), "0", *("0" for _ in zeros))
    added = ", ".join(f"{name} = {table}.{name} + excluded.{name}" for name in numbers)
    statement = sa.text(
        f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join(values)})"  # noqa: S608
        f" ON CONFLICT ({', '.join(keys)}, shard) DO UPDATE SET {added}"
    )
    rows = [
        dict(zip((*keys, "tracked", "clicked"), (*key, *both), strict=True))
        for key, both in sorted(counts.items())
    ]
    if rows:
        connection.execute(statement, rows)
