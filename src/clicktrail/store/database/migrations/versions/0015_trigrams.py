"""What emails are found by: the databases' own indexes of trigrams."""

from contextlib import suppress
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Make the indexes; the publisher fills them, the newest emails first."""
    connection = op.get_bind()
    if connection.dialect.name == "postgresql":
        _make_on_postgresql(connection)
    else:
        op.execute("PRAGMA secure_delete = ON")  # terms stand for addresses
        op.create_table(
            "message_numbers",
            sa.Column("number", sa.Integer, primary_key=True),
            sa.Column("message_id", sa.String(32), nullable=False, unique=True),
        )
        op.execute(
            "INSERT INTO message_numbers (message_id) SELECT message_id FROM message_contents"
            " ORDER BY message_id"
        )
        op.execute(
            "CREATE VIRTUAL TABLE message_index USING fts5(text, content = '', columnsize = 0,"
            " detail = none, tokenize = 'trigram case_sensitive 1')"
        )
    op.drop_table("message_terms")
    op.add_column(
        "unindexed", sa.Column("grouped", sa.SmallInteger, nullable=False, server_default="0")
    )
    # Those that the smarthost has not answered for are queued, and grouped, when it has.
    op.execute(
        "INSERT INTO unindexed (message_id, grouped) SELECT message_contents.message_id, 1"
        " FROM message_contents JOIN messages ON messages.id = message_contents.message_id"
        " WHERE messages.state <> 0 ON CONFLICT (message_id) DO NOTHING"
    )


def _make_on_postgresql(connection: Any) -> None:
    op.execute(
        'CREATE TABLE message_texts (message_id varchar(32) COLLATE "C" PRIMARY KEY,'
        ' text text COLLATE "C" NOT NULL, facets bigint[] NOT NULL)'
        " PARTITION BY RANGE (message_id)"
    )
    op.execute("CREATE TABLE message_texts_default PARTITION OF message_texts DEFAULT")
    op.execute("CREATE INDEX message_texts_facets ON message_texts USING gin (facets)")
    # It comes with PostgreSQL, and who may make tables may make it ("trusted"), where the
    # server's administrator has installed it.
    with suppress(sa.exc.DBAPIError), connection.begin_nested():
        connection.exec_driver_sql("CREATE EXTENSION IF NOT EXISTS pg_trgm")
        connection.exec_driver_sql(
            "CREATE INDEX message_texts_words ON message_texts USING gin (text gin_trgm_ops)"
        )
