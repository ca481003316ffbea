"""The store on PostgreSQL (15 or newer), which any number of nodes share.

Writes of several processes run side by side (READ COMMITTED). What would go wrong then is dealt
with where it is written: rows that are read and then changed are locked (``FOR UPDATE``), rows of
counters are written in the order of their keys, and `turns` names what must go
one after the other. Who loses all the same, by a deadlock or by the same new key, begins again.
"""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from difflib import get_close_matches

import psycopg
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError, SQLAlchemyError

from clicktrail.base.ids import now_us
from clicktrail.base.redact import reason_of, redact
from clicktrail.errors import InvalidInput, StoreUnavailable
from clicktrail.store.database.core import Database, T, Work
from clicktrail.store.database.migrate import NEWEST, upgrade
from clicktrail.store.database.moving import begin_to_use
from clicktrail.store.database.partitions import make_ahead
from clicktrail.store.database.turns import MIGRATING, take_turn

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

_ADVICE = {
    "25006": "it is for reading only: a standby, or default_transaction_read_only is on",
    "42501": "its user may not do that: make it the owner of the database and its tables",
    "42P01": "its tables are gone: put a backup back, or make new ones by a restart",
    "53100": "its disk is full",
}
"""What to do about errors, by SQLSTATE, of which psycopg says no more than a name."""

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
    "client_encoding": "utf8",  # whatever PGCLIENTENCODING says
    # For a key that is encrypted (``sslkey``): without one, OpenSSL asks on the terminal, and
    # nobody is there.
    "sslpassword": "not given",
}

_SEVERAL = ("host", "port")
"""Parameters that may be given more than once, for several servers."""


class PostgresDatabase(Database):
    """Opens the database of a URL such as ``postgresql://user:password@host/database``.

    Parameters of libpq may follow: ``?sslmode=verify-full``. Raises `InvalidInput` for a URL that
    cannot be used. ``moving`` is for who fills it (`move`).
    """

    def __init__(self, url: str, *, moving: bool = False) -> None:
        made = _url_of(url)
        name = made.set(query={}).render_as_string(hide_password=True)
        reader = _engine(made, _READERS, reading=True)
        writer = _engine(made, _WRITERS, reading=False)
        super().__init__(name.replace("+psycopg", "", 1), reader, writer, _READERS, _WRITERS)
        if not moving:
            event.listen(writer, "connect", self._begin_to_use)

    def prepare(self) -> None:
        """Bring the database, which must be there, to the newest schema. Blocks.

        Raises `StoreUnavailable`, also where it holds a part of a move.
        """
        try:
            with self._writer.begin() as connection:
                if (encoding := connection.scalar(text("SHOW server_encoding"))) != "UTF8":
                    raise StoreUnavailable(
                        f"the database {self.name} keeps texts in {encoding}: make it in UTF8"
                        " (createdb --encoding=UTF8 --template=template0)"
                    )
                if _revision(connection) != NEWEST:
                    # Held by the node that migrates; the others wait, and find nothing to do.
                    take_turn(connection, MIGRATING)
                    if _revision(connection) != NEWEST:
                        upgrade(connection, self.name)
            # Where somebody is in the way, rows of today go to the default partition for now.
            with suppress(OperationalError), self._writer.begin() as connection:
                make_ahead(connection, now_us())
        except SQLAlchemyError as error:
            why = " ".join(_reason(error).replace(r"\x09", " ").split())  # libpq's has two lines
            raise StoreUnavailable(f"the database {self.name} cannot be used: {why}") from error

    async def flush(self) -> bool:
        """Do nothing: VACUUM, which PostgreSQL runs by itself, removes what was deleted."""
        return True

    def _why(self, error: Exception) -> str:
        return _reason(error)

    def _begin_to_use(self, connection: DBAPIConnection, _: object) -> None:
        try:
            begin_to_use(connection, self.name)
        except BaseException:
            connection.close()  # nobody else will
            raise

    def _write(self, work: Work[T]) -> T:
        return _again(lambda: super(PostgresDatabase, self)._write(work))


def _reason(error: Exception) -> str:
    own = getattr(error, "orig", None)
    advice = _ADVICE.get(own.sqlstate or "") if isinstance(own, psycopg.Error) else None
    return advice or reason_of(error)


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
    except ArgumentError:
        made = None
    except ValueError:  # the one thing that it makes a number of
        raise _unusable(
            "its port is not a number (in a password, @ : / and ? are written %40 %3A %2F %3F)"
        ) from None
    if made is None or made.drivername != "postgresql" or not made.database:
        raise _unusable("expected postgresql://user:password@host/database")
    _check_parameters(made.query)
    _check_parts(made)
    return made.set(drivername="postgresql+psycopg")


def _check_parts(made: URL) -> None:
    """See that libpq reads what is written: for it, a text ends with a NUL."""
    parts = [made.username, made.password, made.host, made.database]
    parts += [each for value in made.query.values() for each in _all_of(value)]
    if any(each and "\0" in each for each in parts):
        raise _unusable("no part of it may hold %00")
    hosts = ",".join((made.host or "", *_all_of(made.query.get("host", ())))).split(",")
    for host in hosts:
        try:
            if not host.startswith(("/", "@")):  # a folder with its socket
                host.encode("idna")  # as the system's resolver is asked
        except UnicodeError:
            raise _unusable(f"{redact(host)!r} is no host name") from None


def _all_of(value: str | Sequence[str]) -> Sequence[str]:
    return (value,) if isinstance(value, str) else value


def _check_parameters(given: Mapping[str, str | Sequence[str]]) -> None:
    """See that libpq has these parameters: of another, psycopg does not say what it was."""
    known = {option.keyword.decode() for option in psycopg.pq.Conninfo.get_defaults()}
    for name, value in given.items():
        if name not in known:
            close = get_close_matches(name.lower(), known, 1)
            instead = f"is {close[0]!r} meant?" if close else "see its parameter key words"
            raise _unusable(f"libpq has no parameter {redact(name)!r}: {instead}")
        if name == "client_encoding":
            raise _unusable("leave its parameter 'client_encoding' out: it is always UTF8")
        if not isinstance(value, str) and name not in _SEVERAL:
            raise _unusable(f"its parameter {name!r} is given more than once")
    try:
        int(str(given.get("connect_timeout", 0)))  # libpq tells of the others itself
    except ValueError:
        raise _unusable("its parameter 'connect_timeout' is not a whole number") from None


def _unusable(why: str) -> InvalidInput:
    return InvalidInput(f"the store's URL cannot be used: {why}")


def _engine(url: URL, connections: int, *, reading: bool) -> Engine:
    try:
        engine = create_engine(
            url,
            hide_parameters=True,
            pool_size=connections,
            max_overflow=0,
            # A connection that broke while nobody used it is noticed before it is used: the store
            # is back as soon as the server is.
            pool_pre_ping=True,
            isolation_level="REPEATABLE READ" if reading else "READ COMMITTED",
            connect_args={k: v for k, v in _CONNECT.items() if k not in url.query},
        )
    except ArgumentError:
        raise _unusable(
            "its parameters 'host' and 'port' do not go together, or a port is not a number:"
            " expected host=a,b&port=1,2"
        ) from None
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
