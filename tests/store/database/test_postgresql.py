"""Several nodes on one PostgreSQL: side by side, and while it is away."""

import asyncio
import re
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, create_engine, inspect

from clicktrail.base.ids import new_id, now_us
from clicktrail.errors import InvalidInput, StoreUnavailable
from clicktrail.model import (
    Click,
    ConfigurationSet,
    Message,
    MessageState,
    Subscription,
    Verdict,
)
from clicktrail.store import Store
from clicktrail.store.clicks.clicks import LoggedClick
from clicktrail.store.clicks.outbox import Notification
from clicktrail.store.clicks.statistics import Dimensions
from clicktrail.store.clicks.streams import NewStreamEvent
from clicktrail.store.database import move
from clicktrail.store.database.connect import open_database
from clicktrail.store.database.move import Move
from clicktrail.store.people.suppression import SuppressionReason
from clicktrail.store.schema import metadata
from support.certificates import encrypt, make_certificate
from support.counting import counted
from support.jury import Correction
from support.opening import OPEN
from support.postgres import NEEDS_POSTGRES, Postgres
from support.service import PATIENCE

pytestmark = NEEDS_POSTGRES
DAY = 1_790_000_000_000_000  # 2026-09-21
HOUR = "2026-09-21T14"
KEY = ("news", "hook")
ARN = "arn:clicktrail:webhook:::http://hook.example/"
OTHERS = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"

Nodes = Callable[[int], Awaitable[list[Store]]]


@pytest.fixture
def url(postgres: Postgres) -> str:
    return postgres.migrated()


@pytest.fixture
async def nodes(url: str) -> AsyncIterator[Nodes]:
    """Opens one store, as so many nodes have it open."""
    opened: list[Store] = []

    async def open_some(number: int) -> list[Store]:
        opened.extend([await Store.open(url) for _ in range(number)])
        return opened

    yield open_some
    for store in opened:
        await store.close()


def click(number: int, message: str = "m" * 21, **more: object) -> LoggedClick:
    # Everybody adds to the same ten sets of counters, each in an order of its own.
    seen = Click(new_id(DAY), message, number % 7, f"https://a.example/{number % 11}", DAY, "", "")
    return LoggedClick(
        seen,
        Dimensions(HOUR, f"set-{number % 10}", "", "gmail"),
        tags=(("k", str(number % 5)),),
        outgoing=(
            NewStreamEvent("clicks", seen.event_id, b"{}", DAY),
            Notification(seen.event_id, *KEY, ARN, b"{}"),
        ),
        **more,  # type: ignore[arg-type]
    )


def test_several_nodes_may_make_the_tables_at_once(postgres: Postgres) -> None:
    url = postgres.url(postgres.fresh())
    nodes = [subprocess.Popen([sys.executable, "-c", OPEN, url]) for _ in range(3)]
    assert [node.wait(PATIENCE) for node in nodes] == [0] * 3


def is_no_part(name: str, *_: object) -> bool:
    of_index = (name or "").startswith("message_texts")
    return not of_index and re.fullmatch(r".*_(default|\d{8})", name or "") is None


def test_migrations_make_the_tables_of_the_schema_with_texts_as_bytes(url: str) -> None:
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.connect() as connection:
        opts = {"compare_type": True, "include_name": is_no_part}
        context = MigrationContext.configure(connection, opts=opts)
        assert compare_metadata(context, metadata) == []
        for table in metadata.tables:
            for column in inspect(connection).get_columns(table):
                if hasattr(column["type"], "collation"):
                    assert column["type"].collation == "C", (table, column["name"])
    engine.dispose()


async def test_a_database_of_a_newer_version_is_not_touched(postgres: Postgres, url: str) -> None:
    postgres.sql("UPDATE alembic_version SET version_num = '9999'", url.rpartition("/")[2])
    with pytest.raises(StoreUnavailable, match="newer version of Clicktrail"):
        await Store.open(url)


async def test_who_was_there_before_a_move_is_kept_out(
    postgres: Postgres, url: str, tmp_path: Path
) -> None:
    await (await Store.open(f"sqlite:///{tmp_path / 'clicktrail.db'}")).close()
    store = await Store.open(url)
    with pytest.raises(InvalidInput, match="is in use"):
        async with Move(tmp_path / "clicktrail.db", url):
            pass
    await store.configuration.create_set(ConfigurationSet("one"))  # nothing was begun
    await store.configuration.delete_set("one")
    # The server takes its connections away, as when it starts again.
    postgres.sql(f"SELECT pg_terminate_backend(pid, 10000) {OTHERS}", url.rpartition("/")[2])
    async with Move(tmp_path / "clicktrail.db", url) as move:
        for _ in range(2):
            with pytest.raises(StoreUnavailable, match="holds a part of a move") as raised:
                await store.configuration.create_set(ConfigurationSet("two"))
            assert not raised.value.permanent
        await move.run()
    await store.configuration.create_set(ConfigurationSet("three"))
    await store.close()


async def test_who_wants_no_email_moves_batch_by_batch(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(move, "BATCH", 3)
    source = await Store.open(f"sqlite:///{tmp_path / 'clicktrail.db'}")
    wishes = [
        Subscription(name, topic, f"{number}@x.example")
        for name in ("a", "b")
        for number in range(5)
        for topic in ("", "sport")
    ]
    await source.unsubscribed.put(wishes)
    listed = [(f"{number}@x.example", SuppressionReason.BOUNCE) for number in range(8)]
    await source.suppression.put_many(listed)
    await source.close()
    async with Move(tmp_path / "clicktrail.db", url) as moving:
        await moving.run()
    target = await Store.open(url)
    assert [each.subscription for each in await target.unsubscribed.page()] == wishes
    assert [(e.address, e.reason) for e in await target.suppression.page()] == listed
    assert await target.unsubscribed.unwilling("a", "", ["0@X.example"]) == ["0@X.example"]
    await target.close()


@pytest.mark.parametrize("url", ["postgresql://host", "postgresql://"])
def test_urls_without_a_database_are_refused(url: str) -> None:
    with pytest.raises(InvalidInput, match="postgresql://user:password@host/database"):
        open_database(url)


@pytest.mark.parametrize(
    ("rest", "why"),
    [
        ("host:port/db", "its port is not a number"),
        ("user:a@b:c@host/db", "its port is not a number (in a password, @ : / and ? are written"),
        ("host/db?passwort=x", "libpq has no parameter 'passwort': is 'password' meant?"),
        ("host/db?SSLMODE=require", "libpq has no parameter 'SSLMODE': is 'sslmode' meant?"),
        ("host/db?plugin=x", "libpq has no parameter 'plugin': see its parameter key words"),
        ("host/db?connect_timeout=x", "its parameter 'connect_timeout' is not a whole number"),
        ("host/db?sslmode=a&sslmode=b", "its parameter 'sslmode' is given more than once"),
        ("host/db?client_encoding=latin1", "leave its parameter 'client_encoding' out"),
        ("u:p%00@host/db", "no part of it may hold %00"),
        ("host/d%00b", "no part of it may hold %00"),
        ("host/db?user=%00", "no part of it may hold %00"),
        ("db..example/db", "'db..example' is no host name"),
        (f"/db?host=a,{'b' * 70}", f"'{'b' * 70}' is no host name"),
        ("host/db?port=x", "or a port is not a number"),
        ("/db?host=a:1&host=b:x", "or a port is not a number"),
    ],
)
def test_what_is_wrong_with_a_url_is_named(rest: str, why: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        open_database(f"postgresql://{rest}")
    assert str(raised.value).startswith("the store's URL cannot be used: ")
    assert why in str(raised.value)


def test_long_lists_of_hosts_and_folders_of_sockets_can_be_used() -> None:
    hosts = ",".join(f"database-number-{number}" for number in range(9))
    open_database(f"postgresql:///db?host={hosts},/var/run/{'x' * 80}")


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
async def test_a_database_that_cannot_keep_every_text_is_refused(
    postgres: Postgres, encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"in_{encoding.lower()}"
    postgres.sql(
        f"CREATE DATABASE {name} ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C'"
        " TEMPLATE template0"
    )
    with pytest.raises(StoreUnavailable, match=f"keeps texts in {encoding}: make it in UTF8"):
        await Store.open(postgres.url(name))
    monkeypatch.setenv("PGCLIENTENCODING", encoding)
    store = await Store.open(postgres.migrated())
    await store.users.create("кафе")
    assert await store.users.verify("кафе", "wrong") is False
    await store.close()


def test_nobody_is_asked_for_the_pass_phrase_of_a_key(tmp_path: Path) -> None:
    chain, key = make_certificate(tmp_path)
    encrypt(key)
    key.chmod(0o600)  # libpq takes no other
    script = """
import sys
from clicktrail.errors import StoreUnavailable
from clicktrail.store.database.connect import open_database
try:
    open_database(sys.argv[1]).prepare()
except StoreUnavailable as error:
    print(error)
"""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def offer_tls() -> None:
            with suppress(OSError):  # the end
                while True:
                    connection = server.accept()[0]
                    with connection:
                        connection.recv(8)  # PostgreSQL, "Message Formats": SSLRequest
                        connection.sendall(b"S")
                        connection.recv(1)

        thread = threading.Thread(target=offer_tls)
        thread.start()
        url = f"postgresql://127.0.0.1:{server.getsockname()[1]}/db?sslmode=require"
        done = subprocess.run(
            [sys.executable, "-c", script, f"{url}&sslcert={chain}&sslkey={key}"],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # without a terminal
        )
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
    assert f'could not load private key file "{key}"' in done.stdout
    assert done.stderr == ""


async def test_no_password_is_told_when_there_is_no_server(postgres: Postgres) -> None:
    url = postgres.url("nowhere").replace("postgres@", "postgres:secret@")
    with pytest.raises(StoreUnavailable, match="nowhere") as raised:
        await Store.open(url)
    assert "secret" not in str(raised.value)
    assert not raised.value.permanent


async def test_publishers_side_by_side_lose_and_double_nothing(nodes: Nodes) -> None:
    stores = await nodes(3)
    logged = [click(number) for number in range(300)]

    async def record(store: Store, number: int) -> int:
        # The others' order, and some of the others' clicks again.
        mine = logged[number * 100 :] + logged[: number * 100 + 50]
        if number == 1:
            mine.reverse()
        batches = [mine[start : start + 25] for start in range(0, len(mine), 25)]
        return sum([len(await store.clicks.record(batch)) for batch in batches])

    new = await asyncio.gather(*(record(s, n) for n, s in enumerate(stores)))
    store = stores[0]
    assert sum(new) == 300
    day = await counted(store)
    assert (day.clicks, day.unique_clicks) == (300, 7)
    assert sum(link.clicks for link in await store.pages.links()) == 300
    assert sum(tag.clicks for tag in await store.statistics.tags()) == 300
    read = await store.streams.read("clicks", 0, 1000)
    assert Counter(e.event_id for e in read) == Counter(e.click.event_id for e in logged)


async def test_a_correction_by_two_publishers_counts_once(nodes: Nodes) -> None:
    stores = await nodes(2)
    logged = [click(number) for number in range(100)]
    await stores[0].clicks.record(logged)
    now = Correction([replace(each, verdict=Verdict.MACHINE) for each in logged])
    await asyncio.gather(*(store.clicks.record([], now) for store in stores))
    day = await counted(stores[0])
    assert (day.clicks, day.human_clicks) == (100, 0)


async def test_an_answer_that_two_nodes_write_is_counted_once(nodes: Nodes) -> None:
    stores = await nodes(2)
    sent = [Message(new_id(DAY), DAY, "a@example.com", ("r@gmail.com",)) for _ in range(50)]
    await asyncio.gather(*(stores[0].messages.add(each) for each in sent))

    def finish(store: Store, message: Message) -> Awaitable[None]:
        return store.messages.finish(message.id, MessageState.SENT, ("r@gmail.com",), DAY)

    await asyncio.gather(*(finish(s, m) for m in sent for s in stores))
    day = await counted(stores[0])
    assert day.sent == 50


async def test_no_notification_is_claimed_by_two_publishers(nodes: Nodes) -> None:
    stores = await nodes(4)
    await stores[0].clicks.record([click(number) for number in range(400)])
    now = now_us()

    async def claim(store: Store) -> list[int]:
        found: list[int] = []
        while taken := await store.outbox.claim(KEY, ARN, now, now + 10**9, 7):
            found += [each.id for each in taken]
            assert {each.attempt for each in taken} == {1}
        return found

    claimed = await asyncio.gather(*(claim(store) for store in stores))
    assert Counter(id_ for some in claimed for id_ in some).most_common(1)[0][1] == 1
    # Whoever found nothing left it to those who held it: all is taken.
    assert sum(map(len, claimed)) == 400


async def test_a_reader_of_a_stream_never_misses_what_commits_late(nodes: Nodes) -> None:
    stores = await nodes(3)
    total = 3 * 40

    async def write(store: Store) -> None:
        for _ in range(40):
            await store.streams.append([NewStreamEvent("s", new_id(DAY), b"{}", DAY)] * 3)

    async def read() -> int:
        seen, after = 0, 0
        while seen < total * 3:
            for event in await stores[0].streams.read("s", after, 10):
                assert event.position > after
                seen, after = seen + 1, event.position
        return seen

    async with asyncio.timeout(PATIENCE):
        seen, *_ = await asyncio.gather(read(), *map(write, stores))
    assert seen == total * 3


async def test_the_same_name_made_by_two_nodes_is_there_once(nodes: Nodes) -> None:
    stores = await nodes(2)
    for number in range(10):
        made = [s.configuration.create_set(ConfigurationSet(f"s{number}")) for s in stores]
        ended = await asyncio.gather(*made, return_exceptions=True)
        assert sorted(type(each).__name__ for each in ended) == ["AlreadyExists", "NoneType"]


async def test_nothing_is_written_by_who_only_reads(url: str) -> None:
    database = open_database(url)

    def write(connection: Connection) -> None:
        connection.exec_driver_sql("DELETE FROM clicks")

    with pytest.raises(StoreUnavailable, match="for reading only"):
        await database.read(write)
    await database.close()


async def test_a_server_that_was_away_is_unavailable_and_comes_back() -> None:
    with Postgres() as server:
        store = await Store.open(server.url(server.fresh()))
        await store.configuration.create_set(ConfigurationSet("one"))
        server.stop()
        for call in (store.configuration.list_sets(), store.clicks.record([click(1)])):
            with pytest.raises(StoreUnavailable) as raised:
                await call
            assert not raised.value.permanent
        server.start()
        assert len(await store.clicks.record([click(2)])) == 1
        assert [each.name for each in await store.configuration.list_sets()] == ["one"]
        await store.close()
