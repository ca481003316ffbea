"""Which database a URL stands for."""

from clicktrail.errors import InvalidInput
from clicktrail.store.database import Database
from clicktrail.store.sqlite import SqliteDatabase


def open_database(url: str) -> Database:
    """Return the database of a URL: ``sqlite:////path/to/file.db`` or ``postgresql://…``.

    Nothing is connected to yet. Raises `InvalidInput` for a URL of another kind, and where
    the driver is missing.
    """
    if url.startswith("postgresql://"):
        try:
            from clicktrail.store.postgresql import PostgresDatabase  # noqa: PLC0415 - its driver
        except ImportError as error:
            raise InvalidInput(
                f"a store on PostgreSQL needs a library ({error}):"
                " pip install 'clicktrail[postgresql]'"
            ) from None
        return PostgresDatabase(url)
    return SqliteDatabase(url)
