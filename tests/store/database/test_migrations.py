"""What an older version kept is there after an upgrade."""

import asyncio
import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, create_engine, text

import clicktrail.store.database.migrate
from clicktrail.base.ids import new_id
from clicktrail.model import Click, Link, Message, MessageState, Reason, Verdict, Where
from clicktrail.model.anonymous import anonymous_origin
from clicktrail.publish.retention import Periods, Retention
from clicktrail.store import Store
from clicktrail.store.clicks.clicks import LoggedClick
from clicktrail.store.clicks.cohorts import tags_of
from clicktrail.store.clicks.statistics import Dimensions
from clicktrail.store.clicks.statistics import digest as digest_of
from clicktrail.store.finding.texts import Query
from clicktrail.store.integrity import Found, look_at
from clicktrail.store.mail.grouping import mailings_of
from support.older import unpack_contents
from support.postgres import NEEDS_POSTGRES, Postgres

FOLDER = Path(clicktrail.store.database.migrate.__file__).parent / "migrations"
AT = 1_790_000_000_000_000


def fill(connection: Connection, message_id: str) -> None:
    """Put in what revision 0005 kept of an email with three clicks on one link."""

    def run(statement: str, **values: object) -> None:
        connection.execute(text(statement), values)

    run(
        "INSERT INTO messages VALUES (:id, :at, 1, 'news', '', '', 'Google', '')",
        id=message_id,
        at=AT,
    )
    links = ((0, "https://example.com", (), 0, 0),)
    content = msgspec.msgpack.encode(("a@b.example", None, (("Subject", "Hello"),), {}, links, ()))
    recipients = msgspec.msgpack.encode(("reader@gmail.com",))
    run(
        "INSERT INTO message_contents VALUES (:id, :recipients, :content)",
        id=message_id,
        recipients=recipients,
        content=content,
    )
    for number, verdict in enumerate(("human", "machine", "human")):
        run(
            "INSERT INTO clicks VALUES"
            " (:event, :id, 0, :at, :verdict, '', '', '', 'https://example.com')",
            event=new_id(AT + number),
            id=message_id,
            at=AT + number,
            verdict=verdict,
        )
    run("INSERT INTO clicked_links VALUES (:id, 0), (:id, 7)", id=message_id)


def upgraded_to(url: str, revision: str, fill: Callable[[Connection], None]) -> None:
    """Make a database of an older revision."""
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        fill(connection)
    engine.dispose()


async def test_emails_and_clicks_of_before_are_found_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "clicktrail.db"
    message_id = new_id(AT)
    upgraded_to(f"sqlite:///{path}", "0005", lambda connection: fill(connection, message_id))
    store = await Store.open(f"sqlite:///{path}")
    assert await store.search.index(10) == 1
    [found] = (await store.search.find(Query.parse("hello reader@gmail.com"), 10)).rows
    assert found.id == message_id
    places, _ = await store.trail.links(message_id)
    link = places[0]
    assert (link.clicks, link.human_clicks, link.first_at, link.last_at) == (3, 2, AT, AT + 2)
    assert places[7].clicks == 1, "its clicks themselves were forgotten"
    assert (await store.configuration.list_sets()) == []
    await store.close()


async def test_an_upgraded_store_is_well_and_its_former_index_goes_by_itself(
    tmp_path: Path,
) -> None:
    path = tmp_path / "clicktrail.db"

    def former() -> list[str]:
        with closing(sqlite3.connect(path)) as connection:
            names = connection.execute("SELECT name FROM sqlite_master WHERE name GLOB '*_index_*'")
            return [name for (name,) in names if not name.startswith("message_index_")]

    upgraded_to(f"sqlite:///{path}", "0005", lambda connection: fill(connection, new_id(AT)))
    store = await Store.open(f"sqlite:///{path}")
    assert former()
    assert look_at(path) == Found()
    await Retention(store, Periods(*[0] * 6)).apply(AT)
    assert former() == []
    await store.close()


async def test_damaged_contents_and_clicks_of_before_do_not_end_the_upgrade(tmp_path: Path) -> None:
    path = tmp_path / "clicktrail.db"
    message_id = new_id(AT)

    def older(connection: Connection) -> None:
        fill(connection, message_id)
        connection.execute(text("UPDATE message_contents SET content = :d"), {"d": b"\x93\xa1a"})
        agent = "CAST(X'7A2046697265666F782F31FF' AS TEXT)"  # "z Firefox/1", and a byte
        connection.execute(text(f"UPDATE clicks SET user_agent = {agent}"))

    upgraded_to(f"sqlite:///{path}", "0005", older)
    store = await Store.open(f"sqlite:///{path}")
    places, _ = await store.trail.links(message_id)
    assert places[0].clicks == 3
    [program] = await store.statistics.groups("program")
    assert (program.name, program.clicks) == ("Firefox", 3)
    await store.close()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=NEEDS_POSTGRES)])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database without tables."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'clicktrail.db'}"
    server: Postgres = request.getfixturevalue("postgres")
    return server.url(server.fresh())


async def test_what_was_counted_before_there_were_shards_and_days_is_still_there(
    empty: str,
) -> None:
    message_id, digest = new_id(AT), digest_of("https://u")

    def fill(connection: Connection) -> None:
        values = {"id": message_id, "event": new_id(AT), "at": AT, "digest": digest}
        for statement in (
            "messages VALUES (:id, :at, 1, 'news', '', '', 'Google', '')",
            "clicks VALUES (:event, :id, 0, :at, 'human', '', '', '', 'https://example.com')",
            "counters VALUES ('2026-09-21', 'news', '', 'Google', 5, 4, 3, 2)",
            "hour_counters VALUES ('2026-09-21T14', 'news', '', 'Google', 5, 4, 3, 2)",
            "link_counters VALUES ('2026-09-21', 'news', '', '', :digest, 'https://u', 4, 3, 2)",
            "tag_counters VALUES ('2026-09-21', 'news', '', '', 'k', 'v', 4, 3, 2)",
            "mailing_links VALUES (:digest, 0, 'https://u', 4, 3, 2)",
        ):
            connection.execute(text(f"INSERT INTO {statement}"), values)

    upgraded_to(empty, "0007", fill)
    store = await Store.open(empty)
    for count in (4, 5):
        statistics = store.statistics
        [day], [hour] = await statistics.daily(), await statistics.hourly()
        assert (day.day, day.sent, day.clicks) == ("2026-09-21", 5, count)
        assert (hour.day, hour.sent, hour.clicks) == ("2026-09-21T14", 5, count)
        [link], [tag] = await store.pages.links(), await statistics.tags()
        assert (link.url, link.clicks, tag.value, tag.clicks) == ("https://u", count, "v", count)
        [place] = await store.mailings.links(digest)
        assert (place.clicks, place.unique_clicks, place.human_clicks) == (count, count - 1, 2)
        assert len(await store.browse.newest_clicks(10)) == count - 3
        click = Click(new_id(AT + 1), message_id, 0, "https://u", AT, "", "")
        where = Dimensions("2026-09-21T14", "news", "", "")
        logged = LoggedClick(click, where, (("k", "v"),), Verdict.MACHINE, mailings=(digest,))
        await store.clicks.record([logged])
    await store.close()


def without_trigrams(connection: Connection) -> None:
    """Undo revision 0015."""
    on_sqlite = connection.dialect.name == "sqlite"
    for table in ("message_index", "message_numbers") if on_sqlite else ("message_texts",):
        connection.execute(text(f"DROP TABLE {table}"))
    connection.execute(text("ALTER TABLE unindexed DROP COLUMN grouped"))
    connection.execute(text("CREATE TABLE message_terms (term bigint, message_id text)"))


async def test_emails_that_a_person_clicked_are_counted_as_if_they_had_been(empty: str) -> None:
    """A store of now is made one of before, and upgraded: its numbers are the same."""
    store = await Store.open(empty)
    await many_emails(store, random.Random(3))
    expected = await numbers(store)
    assert sum(each.clicked for each in expected[1]) > 100
    refused = {m.digest: m.sent + 7 for m in expected[-1] if m.configuration_set}
    await store.close()

    def older(connection: Connection) -> None:
        without_trigrams(connection)
        unpack_contents(connection)
        for table in ("counters", "hour_counters", "tag_counters"):
            for column in ("tracked", "clicked"):
                connection.execute(text(f"ALTER TABLE {table} DROP COLUMN {column}"))
        old = "digest, link, shard, url, clicks, unique_clicks, human_clicks"
        for statement in (
            "ALTER TABLE configuration_sets DROP COLUMN rules",
            "DROP TABLE dictionaries",
            "DROP TABLE program_counters",
            "DROP TABLE crowds",
            "DROP TABLE crowd_findings",
            "DROP TABLE mailing_counts",
            "DROP TABLE opens",
            "DROP TABLE open_counters",
            "ALTER TABLE configuration_sets DROP COLUMN engagement_opens",
            "DROP TABLE mailing_versions",
            "ALTER TABLE link_counters DROP COLUMN page",
            "ALTER TABLE configuration_sets DROP COLUMN settle",
            "ALTER TABLE clicks DROP COLUMN destination",
            "DROP TABLE link_changes",
            "DROP TABLE orders_version",
            "DROP TABLE do_not_track",
            "DROP TABLE untracked_messages",
            "DROP TABLE suppressed_destinations",
            "DROP TABLE account_options",
            "DROP TABLE unsubscribes",
            "DROP TABLE unsubscribe_counters",
            "DROP TABLE contact_lists",
            "DROP TABLE contacts",
            "DROP TABLE contact_topics",
            "DROP TABLE email_templates",
            "ALTER TABLE identities DROP COLUMN senders",
            f"CREATE TABLE was AS SELECT {old} FROM mailing_links",
            "DROP TABLE mailing_links",
            "ALTER TABLE was RENAME TO mailing_links",
        ):
            connection.execute(text(statement))
        # Those that were refused counted as emails of their mailing.
        for digest, sent in refused.items():
            values = {"n": sent, "digest": digest}
            connection.execute(text("UPDATE mailings SET sent = :n WHERE digest = :digest"), values)
        connection.execute(text("UPDATE alembic_version SET version_num = '0013'"))

    engine = create_engine(empty.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:
        older(connection)
    engine.dispose()
    store = await Store.open(empty)
    assert await numbers(store) == expected
    await store.close()


async def test_clicks_of_anonymous_sets_are_counted_by_program_in_their_set(empty: str) -> None:
    origin = anonymous_origin("news", "anna@gmail.com", AT).text

    def fill(connection: Connection) -> None:
        click = {"event": new_id(AT), "id": origin, "at": AT}
        for statement in (
            "configuration_sets (name, engagement, https_policy, created_at)"
            " VALUES ('shop', true, 'OPTIONAL', :at), ('news', true, 'OPTIONAL', :at)",
            "clicks VALUES (:event, :id, 0, :at, 'human', '', '', '', 'https://example.com')",
            "clicked_links VALUES (:id, 0)",
        ):
            connection.execute(text(f"INSERT INTO {statement}"), click)

    upgraded_to(empty, "0005", fill)
    store = await Store.open(empty)
    news = Where(configuration_set="news", provider="Google")
    [counted] = await store.statistics.groups("program", news)
    assert (counted.clicks, counted.unique_clicks, counted.human_clicks) == (1, 1, 1)
    await store.close()


async def many_emails(store: Store, chance: random.Random) -> None:
    """Fill a store with more emails than an upgrade reads at once, some of them clicked."""
    clicks: list[LoggedClick] = []
    ended: list[tuple[Message, MessageState]] = []
    kinds = [(n, MessageState.SENT, True) for n in range(1, 1201)]
    kinds += [(-n, MessageState.REFUSED, True) for n in range(1, 8)]
    kinds += [(-n, MessageState.SENT, False) for n in range(8, 20)]
    for number, state, tracked in kinds:
        at = AT + number * 60_000_000
        tags = chance.choice(((), (("k", "v"),), (("k", "v"), ("k", "w"))))
        links = (Link(0, "https://a.example", tags), Link(1, "https://b.example", (("k", "w"),)))
        message = Message(
            id=new_id(at),
            accepted_at=at,
            source="a@b.example",
            recipients=(chance.choice(("x@gmail.com", "x@c.example")),),
            configuration_set=chance.choice(("news", None)) if number > 0 else "news",
            headers=(("Subject", "Hello"),),
            reason=None if tracked else Reason.OFF,
            links=links if tracked else (),
        )
        ended.append((message, state))
        for _ in range(chance.choice((0, 0, 1, 2)) if tracked else 0):
            clicks.append(a_click(message, chance))
    await asyncio.gather(*(store.messages.add(message) for message, _ in ended))
    finishing = (
        store.messages.finish(
            m.id, state, m.recipients if state is MessageState.SENT else (), m.accepted_at
        )
        for m, state in ended
    )
    await asyncio.gather(*finishing)
    await store.clicks.record(clicks)
    while await store.search.index(1000):
        pass


def a_click(message: Message, chance: random.Random) -> LoggedClick:
    link, tags = chance.choice(message.links), tags_of(message.links)
    at = AT + chance.randrange(1_000_000_000)
    agent = chance.choice(("", "curl/8.5.0", "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"))
    return LoggedClick(
        Click(new_id(at), message.id, link.index, link.url, at, "", agent),
        Dimensions("2026-09-21T14", message.configuration_set or "", "", "Google"),
        link.tags,
        chance.choice((Verdict.HUMAN, Verdict.MACHINE)),
        mailings=tuple(key.digest for key in mailings_of(message)),
        link_tags=tags,
    )


async def numbers(store: Store) -> tuple[Any, ...]:
    statistics = store.statistics
    mailings = await store.mailings.newest("subject", 10)
    links = [await store.mailings.links(each.digest) for each in mailings]
    return (
        links,
        await statistics.daily(),
        await statistics.hourly(),
        await statistics.groups("provider"),
        await statistics.groups("program"),
        await statistics.tags(),
        await store.pages.top(),
        await store.mailings.counts([each.digest for each in mailings]),
        mailings,
    )
