"""Many rows in few statements."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest
from sqlalchemy import (
    Connection,
    Engine,
    bindparam,
    create_engine,
    event,
    func,
    literal,
    select,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.sql.dml import Insert

from clicktrail.store.clicks.tables import clicked_links
from clicktrail.store.database.bulk import BulkInsert, ByIds
from clicktrail.store.people.tables import smtp_users
from clicktrail.store.schema import metadata


@pytest.fixture
def connection() -> Iterator[Connection]:
    engine: Engine = create_engine("sqlite://")
    metadata.create_all(engine)
    with engine.begin() as connection:
        yield connection
    engine.dispose()


def ignoring(statement: sqlite.Insert | object) -> Insert:
    assert isinstance(statement, sqlite.Insert)
    return statement.on_conflict_do_nothing().returning(clicked_links.c.message_id)


@pytest.mark.parametrize("count", [0, 1, 3, 4, 37, 255, 256, 700])
def test_every_row_arrives_whatever_their_number(connection: Connection, count: int) -> None:
    rows = [(f"message {n}", n) for n in range(count)]
    assert BulkInsert(clicked_links, ("message_id", "link")).run(connection, rows) == []
    columns = clicked_links.c.message_id, clicked_links.c.link
    assert sorted(connection.execute(select(*columns)).all()) == sorted(rows)


def test_seven_hundred_rows_take_few_statements_of_few_kinds(connection: Connection) -> None:
    texts: list[str] = []
    event.listen(connection, "before_cursor_execute", lambda *a: texts.append(a[2]))
    BulkInsert(clicked_links, ("message_id", "link")).run(
        connection, [("m", n) for n in range(700)]
    )
    assert len(texts) <= 20
    assert len(set(texts)) <= 4


def test_rows_that_are_there_are_left_out_of_what_is_returned(connection: Connection) -> None:
    inserting = BulkInsert(clicked_links, ("message_id", "link"), finish=ignoring)
    assert len(inserting.run(connection, [("a", n) for n in range(50)])) == 50
    again = inserting.run(connection, [("a", 49), ("b", 1), ("a", 0), ("b", 1)])
    assert again == [("b",)]


def test_some_columns_can_be_given_in_the_order_of_the_table(connection: Connection) -> None:
    rows = [("one", b"\0hash", 1)]
    BulkInsert(smtp_users, ("name", "password", "created_at")).run(connection, rows)
    assert connection.execute(select(smtp_users)).all() == rows
    with pytest.raises(ValueError, match="cannot be repeated"):
        BulkInsert(smtp_users, ("password", "name", "created_at")).run(connection, rows)


def test_the_driver_takes_the_largest_statement() -> None:
    with closing(sqlite3.connect(":memory:")) as raw:
        most = raw.getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER)
    assert most >= 256 * max(len(table.columns) for table in metadata.tables.values())


@pytest.mark.parametrize("count", [0, 1, 3, 4, 37, 512, 700])
def test_rows_are_found_by_their_ids_whatever_their_number(
    connection: Connection, count: int
) -> None:
    rows = [(f"message {n}", n % 2) for n in range(1000)]
    BulkInsert(clicked_links, ("message_id", "link")).run(connection, rows)
    message_id, link = clicked_links.c.message_id, clicked_links.c.link
    wanted = ByIds(
        select(literal("before"), func.aggregate_strings(message_id, ";"), link)
        .where(
            link == 1, message_id.in_(bindparam("ids", expanding=True)), link > bindparam("least")
        )
        .group_by(message_id)
    )
    ids = [f"message {n}" for n in range(count)]
    expected = [("before", f"message {n}", 1) for n in range(count) if n % 2]
    assert sorted(wanted.run(connection, ids, least=0)) == sorted(expected)
    assert wanted.run(connection, ids, least=1) == []


def test_a_statement_without_ids_is_refused(connection: Connection) -> None:
    with pytest.raises(ValueError, match="cannot be used with many ids"):
        ByIds(select(clicked_links.c.link)).run(connection, ["a"])
