"""What every table is registered with, whichever module it is in.

Ids and event ids sort by the time they were made (`base.ids`), so as primary keys they grow
at the end: a click costs the same with ten million stored. Times are microseconds since 1970 UTC.
Where "none" must be part of a primary key it is ``""``.
"""

from sqlalchemy import BigInteger, Integer, MetaData

metadata = MetaData()

derived = MetaData()
"""Tables that one kind of database has and that are made anew from the others: indexes."""

# SQLite numbers rows by itself only where the column's type is exactly INTEGER.
Serial = BigInteger().with_variant(Integer(), "sqlite")
