"""Text columns of migrations, as `clicktrail.store.database.metadata` has them."""

from typing import Any

import sqlalchemy as sa


def bytewise(kind: type[sa.String], size: int | None = None) -> Any:
    """Return a type of texts that PostgreSQL compares by their bytes, as SQLite does."""
    return kind(size).with_variant(kind(size, collation="C"), "postgresql")
