"""Versions of mailings, and URLs by what they lead to."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from clicktrail.store.database.bytewise import bytewise
from clicktrail.store.mail.pages import digest_of, page_of

revision = "0017"
down_revision = "0016"

_BATCH = 1000
_KEYS = ("day", "configuration_set", "identity", "provider", "digest", "shard")


def upgrade() -> None:
    """Make the table and the columns; what was clicked before is of no version."""
    op.create_table(
        "mailing_versions",
        sa.Column("digest", sa.LargeBinary, primary_key=True),
        sa.Column("version", sa.LargeBinary, primary_key=True),
        sa.Column("sent", sa.BigInteger, nullable=False),
        sa.Column("last_at", sa.BigInteger, nullable=False),
        sa.Column("message_id", bytewise(sa.String, 32), nullable=False),
        sqlite_with_rowid=False,
    )
    op.rename_table("mailing_links", "mailing_links_before")
    op.create_table(
        "mailing_links_now",
        sa.Column("digest", sa.LargeBinary, primary_key=True),
        sa.Column("version", sa.LargeBinary, primary_key=True),
        sa.Column("link", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("shard", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("url", bytewise(sa.Text), nullable=False),
        *(
            sa.Column(name, sa.BigInteger, nullable=False)
            for name in ("clicks", "unique_clicks", "human_clicks")
        ),
        sqlite_with_rowid=False,
    )
    numbers = "link, shard, url, clicks, unique_clicks, human_clicks"
    connection = op.get_bind()
    connection.execute(
        sa.text(
            f"INSERT INTO mailing_links_now (digest, version, {numbers})"  # noqa: S608
            f" SELECT digest, :none, {numbers} FROM mailing_links_before"
        ),
        {"none": b""},
    )
    op.drop_table("mailing_links_before")
    op.rename_table("mailing_links_now", "mailing_links")
    if connection.dialect.name == "postgresql":
        op.execute("ALTER INDEX mailing_links_now_pkey RENAME TO mailing_links_pkey")
    page = sa.Column("page", sa.LargeBinary, nullable=False, server_default="")
    op.add_column("link_counters", page)
    _fill(connection)


def _fill(connection: sa.Connection) -> None:
    table = sa.table("link_counters", *map(sa.column, (*_KEYS, "url", "page")))
    keys = [table.c[name] for name in _KEYS]
    query = sa.select(*keys, table.c.url).order_by(*keys).limit(_BATCH)
    key = [table.c[name] == sa.bindparam(f"of_{name}") for name in _KEYS]
    update = sa.update(table).where(*key).values(page=sa.bindparam("is_page", type_=sa.LargeBinary))
    rows: Any = connection.execute(query).all()
    while rows:
        values = [
            {
                **{f"of_{name}": getattr(row, name) for name in _KEYS},
                "is_page": digest_of([page_of(row.url)]),
            }
            for row in rows
        ]
        connection.execute(update, values)
        rows = connection.execute(query.where(sa.tuple_(*keys) > tuple(rows[-1][:-1]))).all()
