"""What waits to be sorted into PostgreSQL's indexes of trigrams takes less of each day."""

from alembic import op

from clicktrail.store.database.partitions import limit_pending

revision = "0031"
down_revision = "0030"


def upgrade() -> None:
    """Set it for the days that are there; what waits is sorted in with the next emails."""
    if op.get_bind().dialect.name == "postgresql":
        limit_pending(op.get_bind(), "message_texts")
