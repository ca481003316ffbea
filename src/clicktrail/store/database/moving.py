"""Keeps a PostgreSQL database that is being filled apart from those that are in use.

A table of the move's own, `MARK`, is there from the move's first step to its last, also while
nobody moves. Who may write has an advisory lock in common with others (PostgreSQL § 13.3.5) for as
long as he is connected, and looks for the mark only then; who sets it has the lock alone for that
moment. So nobody who writes was there before the mark and stays.
"""

from sqlalchemy import Connection
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import OperationalError

from clicktrail.errors import InvalidInput, StoreBeingMoved
from clicktrail.store.database.turns import USING, take_turn

MARK = "clicktrail_move"
SOURCE = f"SELECT source FROM {MARK}"  # noqa: S608 - a name of ours
"""Tells which file is being moved."""

_WAIT_MILLISECONDS = 2000
"""The server takes a moment to see that a connection was closed."""


def begin_to_use(connection: DBAPIConnection, name: str) -> None:
    """See that a new connection may write to its database, until it is closed.

    ``name`` is the database's. Raises `StoreBeingMoved` where it holds a part of a store.
    """
    cursor = connection.cursor()
    cursor.execute(f"SELECT pg_advisory_lock_shared({USING})")
    connection.commit()  # what was committed while it waited is seen in a new transaction
    cursor.execute("SELECT to_regclass(%s)", (MARK,))
    moved = cursor.fetchone() != (None,)
    row = None
    if moved:
        cursor.execute(SOURCE)
        row = cursor.fetchone()
    cursor.close()
    connection.commit()
    if moved:
        raise StoreBeingMoved(
            f"the database {name} holds a part of a move from {row[0] if row else 'a file'}: let"
            " `clicktrail migrate` end, or run it again"
        )


def keep_others_out(connection: Connection, name: str) -> None:
    """See that nobody else may write, until the transaction ends. Raises `InvalidInput`."""
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = {_WAIT_MILLISECONDS}")
    try:
        take_turn(connection, USING)
    except OperationalError as error:
        if getattr(error.orig, "sqlstate", None) != "55P03":  # lock_not_available
            raise
        raise InvalidInput(
            f"{name} is in use: stop every node and command that has it as store.url, then move"
        ) from None
