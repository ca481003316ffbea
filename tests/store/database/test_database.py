"""The database file: made, upgraded and shared by several processes."""

import asyncio
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, create_engine, func, select

from clicktrail.errors import InvalidInput, StoreUnavailable
from clicktrail.model import ConfigurationSet
from clicktrail.store import Store
from clicktrail.store.clicks.tables import clicks
from clicktrail.store.database import migrate as migrating
from clicktrail.store.database.bulk import rows_of
from clicktrail.store.database.connect import open_database
from clicktrail.store.database.core import storable
from clicktrail.store.schema import metadata
from clicktrail.store.tables import account_options, configuration_sets
from support.opening import OPEN
from support.service import PATIENCE


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a folder" / "click?trail#%20.db"


def test_several_processes_may_make_it_at_once(path: Path) -> None:
    url = f"sqlite:///{path}"
    processes = [subprocess.Popen([sys.executable, "-c", OPEN, url]) for _ in range(4)]
    assert [process.wait(PATIENCE) for process in processes] == [0] * 4
    assert path.stat().st_mode & 0o777 == 0o600


def is_no_index(name: str | None, *_: object) -> bool:
    return not (name or "").startswith(("message_index", "message_numbers"))


async def test_migrations_make_the_tables_of_the_schema(path: Path) -> None:
    await (await Store.open(f"sqlite:///{path}")).close()
    engine = create_engine(URL.create("sqlite", database=str(path)))
    with engine.connect() as connection:
        # The index of emails has tables of its own.
        opts = {"compare_type": True, "include_name": is_no_index}
        context = MigrationContext.configure(connection, opts=opts)
        assert compare_metadata(context, metadata) == []
    engine.dispose()
    with closing(sqlite3.connect(path)) as connection:
        made = dict(connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'"))
    for table in metadata.sorted_tables:
        without = table.dialect_options["sqlite"]["with_rowid"] is False
        assert ("WITHOUT ROWID" in made[table.name]) is without, table.name
    assert made["outbox"].count("AUTOINCREMENT") == 1


def test_the_newest_revision_is_the_one_that_is_looked_for() -> None:
    script = ScriptDirectory(str(Path(migrating.__file__).parent / "migrations"))
    assert script.get_current_head() == migrating.NEWEST


async def test_a_database_of_a_newer_version_is_not_touched(path: Path) -> None:
    await (await Store.open(f"sqlite:///{path}")).close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreUnavailable, match="newer version of Clicktrail"):
        await Store.open(f"sqlite:///{path}")


async def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("these are notes, not a database " * 100)
    with pytest.raises(StoreUnavailable, match=r"notes\.txt"):
        await Store.open(f"sqlite:///{path}")
    assert path.read_text().startswith("these are notes")


@pytest.mark.parametrize("url", ["", "sqlite://", "sqlite:///", "mysql://host/db", "/a/path"])
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(InvalidInput, match="expected sqlite:"):
        open_database(url)


async def test_writes_of_several_processes_wait_for_one_another(path: Path) -> None:
    url = f"sqlite:///{path}"
    stores = [await Store.open(url) for _ in range(3)]

    async def create(store: Store, number: int) -> None:
        for count in range(20):
            await store.configuration.create_set(ConfigurationSet(f"set-{number}-{count}"))

    await asyncio.gather(*(create(store, number) for number, store in enumerate(stores)))
    assert len(await stores[0].configuration.list_sets()) == 60
    for store in stores:
        await store.close()


async def test_a_locked_database_is_unavailable_and_comes_back(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clicktrail.store.database.sqlite.BUSY_SECONDS", 0.05)
    monkeypatch.setattr("clicktrail.store.database.sqlite._PRAGMAS", ("busy_timeout = 50",))
    store = await Store.open(f"sqlite:///{path}")
    with closing(sqlite3.connect(path, isolation_level=None)) as blocker:
        blocker.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="locked") as raised:
            await store.configuration.create_set(ConfigurationSet("news"))
        assert not raised.value.permanent
        blocker.execute("ROLLBACK")
    await store.configuration.create_set(ConfigurationSet("news"))
    await store.close()


async def test_what_raises_inside_a_write_is_undone(path: Path) -> None:
    await (await Store.open(f"sqlite:///{path}")).close()
    database = open_database(f"sqlite:///{path}")
    row = {c.name: "x" if c.type.python_type is str else 1 for c in clicks.columns}

    def write_and_fail(connection: Connection) -> None:
        connection.execute(clicks.insert(), row)
        raise LookupError

    with pytest.raises(LookupError):
        await database.write(write_and_fail)
    assert await database.read(lambda c: c.execute(clicks.select()).all()) == []
    await database.close()


async def test_it_is_durable_and_shared(path: Path) -> None:
    await (await Store.open(f"sqlite:///{path}")).close()
    database = open_database(f"sqlite:///{path}")
    for work in (database.read, database.write):
        for pragma, expected in (
            ("journal_mode", "wal"),
            ("synchronous", 2),
            ("foreign_keys", 1),
            ("secure_delete", 1),  # not only where SQLite was built so
        ):
            found = await work(lambda c, p=pragma: c.exec_driver_sql(f"PRAGMA {p}").scalar())  # type: ignore[misc]
            assert found == expected
    await database.close()


async def test_flushing_leaves_nothing_in_the_log_unless_somebody_reads(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clicktrail.store.database.sqlite.FLUSH_MILLISECONDS", 10)
    store = await Store.open(f"sqlite:///{path}")
    database = open_database(f"sqlite:///{path}")
    log = path.with_name(path.name + "-wal")
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM configuration_sets").fetchall()
        await store.configuration.create_set(ConfigurationSet("news"))
        assert not await database.flush()
        assert log.stat().st_size > 0
        await store.configuration.create_set(ConfigurationSet("more"))  # nobody is held up
        reader.execute("COMMIT")
        assert await database.flush()
        assert log.stat().st_size == 0
    await store.close()
    await database.close()


async def test_a_read_sees_one_state_while_others_write(path: Path) -> None:
    store = await Store.open(f"sqlite:///{path}")
    database = open_database(f"sqlite:///{path}")
    written = threading.Event()
    began = threading.Event()
    query = select(func.count()).select_from(configuration_sets)

    def count_twice(connection: Connection) -> tuple[int | None, int | None]:
        first = connection.scalar(query)
        began.set()
        assert written.wait(PATIENCE)
        return first, connection.scalar(query)

    counting = asyncio.create_task(database.read(count_twice))
    await asyncio.to_thread(began.wait, PATIENCE)
    await store.configuration.create_set(ConfigurationSet("news"))
    written.set()
    assert await counting == (0, 0)
    assert await database.read(lambda c: c.scalar(query)) == 1
    await store.close()
    await database.close()


async def test_who_gets_no_turn_to_write_is_told_and_can_try_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await Store.open(f"sqlite:///{path}")
    other = open_database(f"sqlite:///{path}")
    began, release = threading.Event(), threading.Event()

    def hold(_: Connection) -> bool:
        began.set()
        return release.wait(PATIENCE)

    holding = asyncio.create_task(other.write(hold))
    await asyncio.to_thread(began.wait, PATIENCE)
    with monkeypatch.context() as patch:
        patch.setattr("clicktrail.store.database.core.WAIT_SECONDS", 0.05)
        with pytest.raises(StoreUnavailable, match="busy") as raised:
            await store.configuration.create_set(ConfigurationSet("one"))
    assert not raised.value.permanent
    assert await store.configuration.list_sets() == []  # reading goes on
    release.set()
    assert await holding
    await store.configuration.create_set(ConfigurationSet("two"))
    await other.close()
    await store.close()


async def test_a_closed_store_is_unavailable(path: Path) -> None:
    store = await Store.open(f"sqlite:///{path}")
    await store.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        await store.configuration.list_sets()
    with pytest.raises(StoreUnavailable, match="closed"):
        await store.configuration.create_set(ConfigurationSet("news"))


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("plain", "plain"),
        ("Ж😀", "Ж😀"),
        ("a\0b", "a\ufffdb"),
        ("\udcd0\udc96", "Ж"),
        ("\udcff", "\ufffd"),
        ("\ud800x", "\ufffdx"),
    ],
)
def test_texts_are_made_storable(text: str, stored: str) -> None:
    assert storable(text) == stored


async def test_damaged_text_is_read_as_far_as_it_can_be_and_a_damaged_key_is_told(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    database = open_database(f"sqlite:///{path}")
    database.prepare()

    async def run(statement: str) -> None:
        await database.write(lambda connection: connection.exec_driver_sql(statement).rowcount)

    async def found() -> list[str]:
        return [row.options async for rows in rows_of(database, account_options, 2) for row in rows]

    await run("INSERT INTO account_options VALUES ('a', CAST(X'78FF797A' AS TEXT)), ('b', '{}')")
    assert await found() == ["x\ufffdyz", "{}"]
    assert await found() == ["x\ufffdyz", "{}"]
    assert caplog.text.count("text in the database is damaged") == 1
    assert "yz" not in caplog.text
    await run("UPDATE account_options SET name = CAST(X'62FF' AS TEXT) WHERE name = 'b'")
    with pytest.raises(StoreUnavailable, match="a key of the table account_options is damaged"):
        await found()
    await database.close()
