"""Counters that several writers add to at once; on PostgreSQL, tables by day."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

_BY_DAY = {
    "messages": "id",
    "message_contents": "message_id",
    "message_html": "message_id",
    "message_terms": "message_id",
    "clicks": "event_id",
    "clicked_links": "message_id",
    "delivered": "event_id",
}


def upgrade() -> None:
    """Make the tables anew with the new column, or in parts, and move what is in them."""
    _again("counters", *_dimensions("day"), _shard(), _number("sent"), *_counts())
    hours = (*_dimensions("hour"), _shard(), _number("sent"), *_counts())
    _again("hour_counters", *hours, was={"hour": "day"})
    digest, url = sa.Column("digest", sa.LargeBinary, primary_key=True), _text("url")
    _again("link_counters", *_dimensions("day"), digest, _shard(), url, *_counts())
    tag = (_text("tag", primary_key=True), _text("value", primary_key=True))
    _again("tag_counters", *_dimensions("day"), *tag, _shard(), *_counts())
    digest, url = sa.Column("digest", sa.LargeBinary, primary_key=True), _text("url")
    link = sa.Column("link", sa.Integer, primary_key=True, autoincrement=False)
    _again("mailing_links", digest, link, _shard(), url, *_counts())
    if op.get_bind().dialect.name == "postgresql":
        for name, column in _BY_DAY.items():
            _divide(name, column)


def _again(name: str, *columns: sa.Column[Any], was: Mapping[str, str] | None = None) -> None:
    """Make a table with the columns; what it holds so far is of shard 0.

    ``was`` are the former names of those that were called otherwise.
    """
    sources = {"shard": "0", **(was or {})}
    op.rename_table(name, f"{name}_before")
    op.create_table(f"{name}_now", *columns, sqlite_with_rowid=False)
    new = ", ".join(column.name for column in columns)
    old = ", ".join(sources.get(column.name, column.name) for column in columns)
    op.execute(f"INSERT INTO {name}_now ({new}) SELECT {old} FROM {name}_before")  # noqa: S608
    op.drop_table(f"{name}_before")
    op.rename_table(f"{name}_now", name)
    if op.get_bind().dialect.name == "postgresql":
        op.execute(f"ALTER INDEX {name}_now_pkey RENAME TO {name}_pkey")


def _divide(name: str, column: str) -> None:
    """Make a table in parts by its ids; the days are made by `partitions`.

    What is there already stays in the default part, until it is too old.
    """
    op.execute(f"ALTER TABLE {name} RENAME TO {name}_default")
    op.execute(f"ALTER INDEX {name}_pkey RENAME TO {name}_default_pkey")
    op.execute(
        f"CREATE TABLE {name} (LIKE {name}_default INCLUDING ALL) PARTITION BY RANGE ({column})"
    )
    op.execute(f"ALTER TABLE {name} ATTACH PARTITION {name}_default DEFAULT")


def _text(name: str, **more: Any) -> sa.Column[Any]:
    return sa.Column(name, _bytewise(sa.Text), nullable=False, **more)


def _bytewise(kind: type[sa.String], size: int | None = None) -> sa.types.TypeEngine[str]:
    """Return a kind of text that compares byte by byte (revision 0007)."""
    return kind(size).with_variant(kind(size, collation="C"), "postgresql")


def _dimensions(time: str) -> list[sa.Column[Any]]:
    sizes = {time: 16 if time == "hour" else 10}
    sizes |= {"configuration_set": 64, "identity": 320, "provider": 32}
    return [
        sa.Column(name, _bytewise(sa.String, size), primary_key=True)
        for name, size in sizes.items()
    ]


def _shard() -> sa.Column[Any]:
    return sa.Column("shard", sa.SmallInteger, primary_key=True, autoincrement=False)


def _number(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger, nullable=False)


def _counts() -> list[sa.Column[Any]]:
    return [_number(name) for name in ("clicks", "unique_clicks", "human_clicks")]
