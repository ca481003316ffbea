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
        links, headers, pairs = _contents(row)
        if row.content is not None and not links:
            continue
        clicked = people.get(row.id, set())
        groups = _mailings(row, links, headers, pairs)
        if row.state != _SENT:  # so far they counted as emails of their mailings
            if row.waiting is None:
                for digest in groups:
                    refused[digest,][0] += 1
            continue
        hour, where = hour_of(row.accepted_at), tuple(getattr(row, d) for d in _DIMENSIONS)
        _add(days[hour[:10], *where], bool(clicked))
        if hour >= first_hour:
            _add(hours[hour, *where], bool(clicked))
        for tag, places in _indexes(links).items():
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


def _contents(row: Any) -> tuple[list[Any], list[Any], dict[str, list[str]]]:
    if row.content is None:
        return [], [], {}
    _, _, headers, tags, links, *_ = msgspec.msgpack.decode(row.content)
    return links, headers, tags


def _mailings(row: Any, links: list[Any], headers: list[Any], tags: Any) -> list[bytes]:
    made = Message(
        id=row.id,
        accepted_at=row.accepted_at,
        source="",
        recipients=(),
        configuration_set=row.configuration_set or None,
        headers=tuple((name, value) for name, value in headers),
        tags=tags,
        links=tuple(Link(*link) for link in links),
    )
    return [key.digest for key in mailings_of(made)]


def _indexes(links: Iterable[Any]) -> dict[tuple[str, str], set[int]]:
    """Return which links have each tag."""
    found: dict[tuple[str, str], set[int]] = {}
    for index, _, tags, *_ in links:
        for name, value in tags[:_MOST_TAGS]:
            if (name, value) in found or len(found) < _MOST_TAGS:
                found.setdefault((name, value), set()).add(index)
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
