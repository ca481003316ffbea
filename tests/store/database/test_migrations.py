"""What an older version kept is there after an upgrade."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, create_engine, text

import clicktrail.store.database.migrate
from clicktrail.base.ids import new_id
from clicktrail.model import Click, Verdict
from clicktrail.store import Store
from clicktrail.store.clicks.clicks import LoggedClick
from clicktrail.store.clicks.statistics import Dimensions
from clicktrail.store.clicks.statistics import digest as digest_of
from clicktrail.store.mail.terms import Query
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
    [found] = await store.search.find(Query.parse("hello reader@gmail.com"), 10)
    assert found.id == message_id
    places, _ = await store.trail.links(message_id)
    link = places[0]
    assert (link.clicks, link.human_clicks, link.first_at, link.last_at) == (3, 2, AT, AT + 2)
    assert places[7].clicks == 1, "its clicks themselves were forgotten"
    assert (await store.configuration.list_sets()) == []
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
        [link], [tag] = await statistics.links(), await statistics.tags()
        assert (link.url, link.clicks, tag.value, tag.clicks) == ("https://u", count, "v", count)
        [place] = await store.mailings.links(digest)
        assert (place.clicks, place.unique_clicks, place.human_clicks) == (count, count - 1, 2)
        assert len(await store.browse.newest_clicks(10)) == count - 3
        click = Click(new_id(AT + 1), message_id, 0, "https://u", AT, "", "")
        where = Dimensions("2026-09-21T14", "news", "", "")
        logged = LoggedClick(click, where, (("k", "v"),), Verdict.MACHINE, mailings=(digest,))
        await store.clicks.record([logged])
    await store.close()
