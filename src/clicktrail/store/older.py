"""Deletes old rows, a few at a time."""

from typing import Any

from sqlalchemy import Column, Connection, Table, delete, select

from clicktrail.ids import new_id

_TIME_PART = 8  # characters of an id that are time (`clicktrail.ids`)


def delete_older(connection: Connection, id_: Column[Any], before: int, limit: int) -> int:
    """Delete up to ``limit`` rows whose id was made before a time; return how many."""
    table = id_.table
    assert isinstance(table, Table)
    old = id_ < new_id(before)[:_TIME_PART]
    oldest = list(connection.scalars(select(id_).where(old).order_by(id_).limit(limit)))
    if oldest:
        connection.execute(delete(table).where(id_ <= oldest[-1]))
    return len(oldest)
