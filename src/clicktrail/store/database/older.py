"""Old rows, a few at a time."""

from typing import Any

from sqlalchemy import Column, Connection, Select, Table, delete, select

from clicktrail.base.ids import first_id


def older(id_: Column[Any], before: int, limit: int) -> Select[tuple[Any]]:
    """Return a query for up to ``limit`` ids that were made before a time, the oldest first."""
    return select(id_).where(id_ < first_id(before)).order_by(id_).limit(limit)


def delete_older(connection: Connection, id_: Column[Any], before: int, limit: int) -> int:
    """Delete up to ``limit`` rows whose id was made before a time; return how many."""
    table = id_.table
    assert isinstance(table, Table)
    oldest = list(connection.scalars(older(id_, before, limit)))
    if oldest:
        connection.execute(delete(table).where(id_ <= oldest[-1]))
    return len(oldest)
