"""The store on PostgreSQL (15 or newer), which any number of nodes share.

Writes of several processes run side by side (READ COMMITTED). What would go wrong then is dealt
with where it is written: rows that are read and then changed are locked (``FOR UPDATE``), rows of
counters are written in the order of their keys, and `clicktrail.store.turns` names what must go
one after the other. Who loses all the same, by a deadlock or by the same new key, begins again.
"""

import random
import time
from collections.abc import Callable
from contextlib import suppress

import psycopg
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError, SQLAlchemyError

from clicktrail.errors import InvalidInput, StoreUnavailable
from clicktrail.ids import now_us
from clicktrail.store.database import Database, T, Work
from clicktrail.store.migrate import NEWEST, upgrade
from clicktrail.store.partitions import make_ahead
from clicktrail.store.turns import MIGRATING, take_turn

TRIES = 20
"""How often a write is begun that others get in the way of."""

_AGAIN = frozenset(
    {
        "40001",  # serialization_failure
        "40P01",  # deadlock_detected
        "23503",  # foreign_key_violation: what was looked up a moment ago was deleted since
        "23505",  # unique_violation: it was not there a moment ago
    }
)
"""SQLSTATE codes (PostgreSQL, appendix A) of what may not happen again."""

_READERS, _WRITERS = 4, 4
_PAUSE_SECONDS = 0.01

# libpq, "Parameter Key Words": a server that is silent is given up, also in the middle of a call.
_CONNECT = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
    "application_name": "clicktrail",
}


class PostgresDatabase(Database):
    """Opens the database of a URL such as ``postgresql://user:password@host/database``.

    Parameters of libpq may follow: ``?sslmode=verify-full``. Raises `InvalidInput` for a URL that
    cannot be used.
    """

    def __init__(self, url: str) -> None:
        made = _url_of(url)
        name = made.set(query={}).render_as_string(hide_password=True)
        super().__init__(
            name.replace("+psycopg", "", 1),
            _engine(made, _READERS, reading=True),
            _engine(made, _WRITERS, reading=False),
            _READERS,
            _WRITERS,
        )

    def prepare(self) -> None:
        """Bring the database, which must be there, to the newest schema. Blocks.

        Raises `StoreUnavailable`.
        """
        try:
            with self._writer.begin() as connection:
                if _revision(connection) != NEWEST:
                    # Held by the node that migrates; the others wait, and find nothing to do.
                    take_turn(connection, MIGRATING)
                    if _revision(connection) != NEWEST:
                        upgrade(connection, self.name)
            # Where somebody is in the way, rows of today go to the default partition for now.
            with suppress(OperationalError), self._writer.begin() as connection:
                make_ahead(connection, now_us())
        except SQLAlchemyError as error:
            reason = str(getattr(error, "orig", None) or error).strip()
            raise StoreUnavailable(f"the database {self.name} cannot be used: {reason}") from error

    async def flush(self) -> bool:
        """Do nothing: VACUUM, which PostgreSQL runs by itself, removes what was deleted."""
        return True

    def _write(self, work: Work[T]) -> T:
        return _again(lambda: super(PostgresDatabase, self)._write(work))


def _again(run: Callable[[], T]) -> T:
    for number in range(1, TRIES):
        try:
            return run()
        except DBAPIError as error:
            if not isinstance(error.orig, psycopg.Error) or error.orig.sqlstate not in _AGAIN:
                raise
            # By chance, so that those who met do not meet again.
            time.sleep(random.random() * _PAUSE_SECONDS * number)  # noqa: S311
    return run()


def _revision(connection: Connection) -> str | None:
    if connection.scalar(text("SELECT to_regclass('alembic_version')")) is None:
        return None
    found = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return None if found is None else str(found)


def _url_of(url: str) -> URL:
    try:
        made = make_url(url)
    except (ArgumentError, ValueError):
        made = None
    if made is None or made.drivername != "postgresql" or not made.database:
        raise InvalidInput(
            "the store's URL cannot be used: expected postgresql://user:password@host/database"
        )
    return made.set(drivername="postgresql+psycopg")


def _engine(url: URL, connections: int, *, reading: bool) -> Engine:
    engine = create_engine(
        url,
        pool_size=connections,
        max_overflow=0,
        # A connection that broke while nobody used it is noticed before it is used: the store is
        # back as soon as the server is.
        pool_pre_ping=True,
        isolation_level="REPEATABLE READ" if reading else "READ COMMITTED",
        connect_args={k: v for k, v in _CONNECT.items() if k not in url.query},
    )
    event.listen(engine, "connect", _plan_for_values)
    if reading:
        event.listen(engine, "begin", _read_only)
    return engine


def _plan_for_values(connection: psycopg.Connection, _: object) -> None:
    # A plan for any value of its parameters would look at every day. Not as an option of the
    # connection: PgBouncer knows none.
    connection.execute("SET plan_cache_mode = force_custom_plan")
    connection.commit()


def _read_only(connection: Connection) -> None:
    connection.exec_driver_sql("SET TRANSACTION READ ONLY")
