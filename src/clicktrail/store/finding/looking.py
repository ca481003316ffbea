"""Looking through long lists by a part of an address: so many rows at a time, by an index."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import ColumnElement, Connection, Row, Select

from clicktrail.store.database.core import storable

T = TypeVar("T")

LOOKED_AT = 10_000
"""Rows that one look goes through, however few of them are found."""


@dataclass(frozen=True, slots=True)
class Looked(Generic[T]):
    """What was found, and the address after which to go on: ``""`` where the list has ended."""

    found: list[T]
    following: str


def look(
    connection: Connection,
    query: Select[tuple[Any, ...]],
    address: ColumnElement[str],
    part: str,
    only: Sequence[ColumnElement[bool]],
    after: str,
    limit: int,
) -> tuple[list[Row[Any]], str]:
    """Return up to ``limit`` rows of a list in the order of ``address``, and where to go on.

    They have ``part`` in it, in any letter case, and ``only`` holds for them. An index must have
    the rows of ``query`` in that order. Rows without an address are not here.
    """
    query = query.where(address > storable(after)).order_by(address)
    last = ""
    if part or only:
        end = query.with_only_columns(address).offset(LOOKED_AT - 1).limit(1)
        last = connection.scalar(end) or ""
        query = query.where(*only)
        if part:
            query = query.where(address.icontains(storable(part), autoescape=True))
        if last:
            query = query.where(address <= last)
    rows = list(connection.execute(query.limit(limit + 1)))
    if len(rows) > limit:
        last = rows[limit - 1]._mapping["address"]
    return rows[:limit], last
