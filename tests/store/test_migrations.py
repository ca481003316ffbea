"""What an older version kept is there after an upgrade."""

from pathlib import Path

import msgspec
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, create_engine, text

import clicktrail.store.migrate
from clicktrail.ids import new_id
from clicktrail.store import Store
from clicktrail.store.terms import Query

FOLDER = Path(clicktrail.store.migrate.__file__).parent / "migrations"
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


async def test_emails_and_clicks_of_before_are_found_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "clicktrail.db"
    message_id = new_id(AT)
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0005")
        fill(connection, message_id)
    engine.dispose()
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
