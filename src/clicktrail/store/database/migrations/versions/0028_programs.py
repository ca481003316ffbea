"""Clicks by program and device; those of before, as far as they themselves are kept.

A few thousand clicks are read at once, and what they add up to is a number of rows that does not
grow with them.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

import sqlalchemy as sa
from alembic import op

from clicktrail.base.ids import hour_of
from clicktrail.base.text.programs import program_of
from clicktrail.model.anonymous import is_anonymous, provider_in, read_anonymous, set_in
from clicktrail.store.database.bytewise import bytewise

revision = "0028"
down_revision = "0027"

_BATCH = 5000
_DIMENSIONS = ("configuration_set", "identity", "provider")
_KEYS = ("day", *_DIMENSIONS, "program", "shard")
_NUMBERS = ("clicks", "unique_clicks", "human_clicks")
_WRITTEN = 10_000
_CLICKS = (
    "SELECT c.event_id, c.message_id, c.clicked_at, c.verdict, {agent} AS agent, l.first_at,"
    " m.configuration_set, m.identity, m.provider FROM clicks c"
    " LEFT JOIN messages m ON m.id = c.message_id"
    " LEFT JOIN clicked_links l ON l.message_id = c.message_id AND l.link = c.link"
    " WHERE c.event_id > :last ORDER BY c.event_id LIMIT :most"
)


def upgrade() -> None:
    """Make the table, and fill it."""
    op.create_table(
        "program_counters",
        sa.Column("day", bytewise(sa.String, 10), primary_key=True),
        sa.Column("configuration_set", bytewise(sa.String, 64), primary_key=True),
        sa.Column("identity", bytewise(sa.String, 320), primary_key=True),
        sa.Column("provider", bytewise(sa.String, 32), primary_key=True),
        sa.Column("program", bytewise(sa.String, 64), primary_key=True),
        sa.Column("shard", sa.SmallInteger, primary_key=True, autoincrement=False),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in _NUMBERS),
        sqlite_with_rowid=False,
    )
    connection = op.get_bind()
    counts: defaultdict[tuple[Any, ...], list[int]] = defaultdict(lambda: [0, 0, 0])
    # Outside bytes that are damaged do not end the upgrade.
    on_sqlite = connection.dialect.name == "sqlite"
    agent = "CAST(c.user_agent AS BLOB)" if on_sqlite else "c.user_agent"
    clicks = sa.text(_CLICKS.format(agent=agent))
    sets = connection.execute(sa.text("SELECT name FROM configuration_sets")).scalars().all()
    last = ""
    while rows := connection.execute(clicks, {"last": last, "most": _BATCH}).all():
        for row in rows:
            where = _where(row, sets)
            day = hour_of(row.clicked_at)[:10]
            numbers = counts[day, *where, program_of(_text(row.agent))]
            numbers[0] += 1
            numbers[1] += row.clicked_at == row.first_at  # others of that link came later
            numbers[2] += row.verdict == "human"
        last = rows[-1].event_id
        if len(counts) > _WRITTEN:
            _write(connection, counts)
            counts.clear()
    _write(connection, counts)


def _text(kept: str | bytes) -> str:
    return kept if isinstance(kept, str) else kept.decode("utf-8", "replace")


def _where(row: Any, sets: Sequence[str]) -> Iterable[str]:
    if is_anonymous(row.message_id):  # there is no email of it
        with suppress(ValueError):
            origin = read_anonymous(row.message_id)
            return set_in(origin, sets), "", provider_in(origin)
    return [getattr(row, name) or "" for name in _DIMENSIONS]


def _write(connection: sa.Connection, counts: dict[tuple[Any, ...], list[int]]) -> None:
    columns = (*_KEYS, *_NUMBERS)
    added = ", ".join(f"{name} = program_counters.{name} + excluded.{name}" for name in _NUMBERS)
    statement = sa.text(
        f"INSERT INTO program_counters ({', '.join(columns)})"  # noqa: S608 - our own names
        f" VALUES ({', '.join(f':{name}' for name in columns)})"
        f" ON CONFLICT ({', '.join(_KEYS)}) DO UPDATE SET {added}"
    )
    rows = [
        dict(zip(columns, (*key, 0, *numbers), strict=True))
        for key, numbers in sorted(counts.items())
    ]
    if rows:
        connection.execute(statement, rows)
