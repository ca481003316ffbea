"""On PostgreSQL texts compare byte by byte, whatever the database's language.

Ids sort by time only so. Columns of later migrations must say ``COLLATE "C"`` themselves.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Change every column with texts."""
    connection = op.get_bind()
    if connection.dialect.name != "postgresql":
        return
    found = sa.inspect(connection)
    for table in found.get_table_names():
        changes = [
            f'ALTER COLUMN "{column["name"]}" TYPE'
            f' {column["type"].compile(connection.dialect)} COLLATE "C"'
            for column in found.get_columns(table)
            if isinstance(column["type"], sa.String)
        ]
        if changes and table != "alembic_version":
            op.execute(f'ALTER TABLE "{table}" {", ".join(changes)}')
