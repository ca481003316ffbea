"""Rules of a configuration set for links and recipients."""

import sqlalchemy as sa
from alembic import op

from clicktrail.store.database.bytewise import bytewise

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    """Add the column."""
    added = sa.Column("rules", bytewise(sa.Text), nullable=False, server_default="{}")
    op.add_column("configuration_sets", added)
