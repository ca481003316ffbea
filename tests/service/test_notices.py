"""What the console tells first: what is wrong with the installation, nothing where all is well."""

import asyncio
from pathlib import Path

import pytest

from clicktrail.base.ids import new_id, now_us
from clicktrail.journal.sqlite import SqliteJournal
from clicktrail.journal.sqlite_reader import oldest_waiting
from clicktrail.model import Click
from clicktrail.service.notices import Notices
from clicktrail.settings.settings import Settings, load_settings
from clicktrail.store import Store
from support.certificates import Authority
from support.service import PATIENCE

MINUTE = 60_000_000


def settings_of(**given: str) -> Settings:
    return load_settings({name.replace("__", "."): value for name, value in given.items()})


def click(at: int) -> Click:
    return Click(new_id(at), new_id(at), 0, "https://a.example/", at, "", "")


async def test_clicks_that_wait_are_told_by_their_age(tmp_path: Path, store: Store) -> None:
    notices = Notices(settings_of(), tmp_path, store)
    assert list(await notices()) == []
    assert oldest_waiting(tmp_path / "journal.db") is None
    journal = SqliteJournal(tmp_path / "journal.db")
    await journal.append(click(now_us()))
    assert list(await notices()) == [], "it has come just now"
    await journal.append(click(now_us() - 7 * MINUTE))
    entries = await journal.read(1, PATIENCE)
    await journal.commit(entries)
    await journal.close()
    (said,) = await notices()
    assert "is 7 minutes old" in said
    journal = SqliteJournal(tmp_path / "journal.db")
    entries = await journal.read(10, PATIENCE)
    await journal.commit(entries)
    await journal.close()  # what is counted is deleted at the latest now
    assert list(await notices()) == []


@pytest.mark.parametrize(("days", "said"), [(400.0, ""), (6.0, " ends on "), (-0.5, " ended on ")])
async def test_a_certificate_that_ends_is_told(
    tmp_path: Path, store: Store, days: float, said: str
) -> None:
    chain, key = Authority(tmp_path).issue("click.example", days=(-1, days))
    settings = settings_of(
        redirect__tls_certificate=str(chain),
        redirect__tls_key=str(key),
        redirect__tls_listen="127.0.0.1:0",
    )
    found = list(await Notices(settings, tmp_path, store)())
    assert len(found) == bool(said)
    assert all(said in each for each in found)


async def told(notices: Notices) -> str:
    """Return what is told once the smarthost was called."""
    await notices()
    await notices.called()
    return " ".join(await notices())


@pytest.mark.parametrize(
    ("greeting", "said"),
    [
        (b"220 mail.example ESMTP\r\n", ""),
        (b"554 5.7.1 go away\r\n", "refuses us: 554 5.7.1 go away"),
        (b"", "refuses us"),
    ],
)
async def test_what_the_smarthost_says_is_told(
    tmp_path: Path, store: Store, greeting: bytes, said: str
) -> None:
    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    notices = Notices(settings_of(smarthost__url=f"smtp://127.0.0.1:{port}"), tmp_path, store)
    found = await told(notices)
    assert said in found
    assert bool(found) == bool(said)
    server.close()
    await server.wait_closed()


async def test_a_smarthost_that_is_away_is_told(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: held.append(writer), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    settings = settings_of(smarthost__url=f"smtp://127.0.0.1:{port}")
    monkeypatch.setattr("clicktrail.service.notices.PATIENCE", 0.0)
    hanging = Notices(settings, tmp_path, store)
    assert "does not answer" in await told(hanging)
    monkeypatch.undo()
    for each in held:
        each.close()
    server.close()
    await server.wait_closed()
    assert "cannot be reached" in await told(Notices(settings, tmp_path, store))
    await hanging.stop()
