"""Which database a URL stands for."""

from clicktrail.errors import InvalidInput
from clicktrail.store.database.core import Database
from clicktrail.store.database.sqlite import SqliteDatabase


def open_database(url: str, *, moving: bool = False) -> Database:
    """Return the database of a URL: ``sqlite:////path/to/file.db`` or ``postgresql://…``.

    Nothing is connected to yet. Only the move itself (``moving``) may use one that holds a part of
    a move. Raises `InvalidInput` for a URL of another kind, and where the driver is missing.
    """
    if url.startswith("postgresql://"):
        try:
            from clicktrail.store.database.postgresql import PostgresDatabase  # noqa: PLC0415 - its driver
        except ImportError as error:
            raise InvalidInput(
                f"a store on PostgreSQL needs a library ({error}):"
                " pip install 'clicktrail[postgresql]'"
            ) from None
        return PostgresDatabase(url, moving=moving)
    return SqliteDatabase(url)
