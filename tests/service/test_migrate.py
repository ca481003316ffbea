"""An installation moves from its file to PostgreSQL, and nobody who holds a link notices."""

import asyncio
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from clicktrail.base.ids import new_id, now_us
from clicktrail.keys.ringfile import KeyFile
from clicktrail.model import Click, ConfigurationSet
from clicktrail.store import Store
from clicktrail.store.clicks.clicks import LoggedClick
from clicktrail.store.clicks.statistics import Dimensions
from clicktrail.store.clicks.streams import NewStreamEvent
from clicktrail.store.database.partitions import DAY
from support import forked
from support.postgres import NEEDS_POSTGRES, Postgres
from support.service import Service, email_with, hrefs, html_of, wait_for

pytestmark = NEEDS_POSTGRES


@pytest.fixture
def url(postgres: Postgres) -> str:
    return postgres.url(postgres.fresh())


def migrate(service: Service, *arguments: str) -> subprocess.CompletedProcess[str]:
    return service.run("migrate", *arguments)


def number_in(url: str, table: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()
    assert row is not None
    return int(row[0])


def seeded(data: Path, clicks: int) -> None:
    """Record clicks of the last forty days."""
    data.mkdir(parents=True)
    asyncio.run(_seed(data, clicks))


async def _seed(data: Path, clicks: int) -> None:
    store = await Store.open(f"sqlite:///{data / 'clicktrail.db'}")
    for start in range(0, clicks, 1000):
        at = now_us() - start * 40 // clicks * DAY
        made = [
            Click(new_id(at), new_id(at), 0, f"http://a.example/{n}", at, "", "é")
            for n in range(1000)
        ]
        place = Dimensions("2026-09-21T14", "news", "", "")
        events = [(NewStreamEvent("s", each.event_id, b"{}", at),) for each in made]
        pairs = zip(made, events, strict=True)
        await store.clicks.record([LoggedClick(each, place, outgoing=out) for each, out in pairs])
    await store.close()


def test_links_counts_streams_and_accounts_come_along(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = Service(tmp_path)
    with service:
        name = service.configuration_set()
        [link] = hrefs(html_of(service.send(email_with('<a href="http://a.example">x</a>', name))))
        for _ in range(3):
            assert service.request(link).status == 302
        before = service.wait_for_events(name, 3)
        users = service.cli("console-user", "list", "--json")
        refused = migrate(service, "--to", url)
        assert refused.returncode == 1
        assert "stop it first" in refused.stderr
    done = migrate(service, "--to", url)
    assert done.returncode == 0, done.stderr
    assert "CLICKTRAIL_STORE_URL" in done.stdout
    file = (service.data / "clicktrail.db").read_bytes()

    monkeypatch.setenv("CLICKTRAIL_STORE_URL", url)
    after = Service(tmp_path)
    with after:
        assert after.events(name) == before
        assert after.cli("console-user", "list", "--json") == users
        assert after.request(link).location == "http://a.example"
        events = after.wait_for_events(name, 4)
        assert events[:3] == before
        counted = after.statistics("--configuration-set", name)
        assert (counted["sent"], counted["clicks"], counted["uniqueClicks"]) == (1, 4, 1)
        after.arrived()  # that from before
        again = hrefs(html_of(after.send(email_with('<a href="http://b.example">x</a>', name))))
        assert after.request(again[0]).location == "http://b.example"
    assert (service.data / "clicktrail.db").read_bytes() == file


@pytest.mark.long
def test_a_move_that_was_killed_goes_on_where_it_was(tmp_path: Path, url: str) -> None:
    service = Service(tmp_path)
    seeded(service.data, 40_000)
    moving = subprocess.Popen(
        service.command("migrate", "--to", url), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    arrived = has_arrived(url)
    while not arrived():
        assert moving.poll() is None, moving.communicate()
        time.sleep(0.01)
    moving.send_signal(signal.SIGSTOP)
    is_refused(tmp_path / "while it is moved", url, embedded=False)
    moving.send_signal(signal.SIGKILL)
    moving.communicate()
    there = number_in(url, "clicks")
    assert 0 < there < 40_000
    is_refused(tmp_path / "while nobody moves", url, embedded=True)
    elsewhere = Service(tmp_path / "other")
    seeded(elsewhere.data, 1000)
    refused = migrate(elsewhere, "--to", url)
    assert refused.returncode == 1
    assert "part of another store" in refused.stderr
    assert number_in(url, "clicks") == there
    done = migrate(service, "--to", url)
    assert done.returncode == 0, done.stderr
    for table in ("clicks", "clicked_links", "stream_events"):
        assert number_in(url, table) == 40_000, table
    assert number_in(url, "clicks_default") == 0
    assert "40000" in done.stdout
    again = migrate(service, "--to", url)
    assert again.returncode == 1
    assert "is not empty" in again.stderr


def is_refused(folder: Path, url: str, *, embedded: bool) -> None:
    """See that nobody else uses what holds a part of a store."""
    said = "holds a part of a move from .*clicktrail.db: let `clicktrail migrate` end"
    stored = {"CLICKTRAIL_STORE_URL": url}
    service = Service(folder, embedded=embedded, environment=stored)
    KeyFile(service.data / "keys.json").create_if_missing()
    with pytest.raises(AssertionError, match=said) as raised:
        service.start()
    assert service.wait() == 1
    assert "Traceback" not in str(raised.value)
    for command in (("configuration-set", "create", "news"), ("check", "--json")):
        done = forked.run(service.command(*command), environment=stored)
        assert done.returncode == 1, command
        assert re.search(said, done.stdout + done.stderr), command


def test_what_is_in_use_is_not_filled(tmp_path: Path, url: str) -> None:
    service = Service(tmp_path)
    seeded(service.data, 1000)

    async def used() -> subprocess.CompletedProcess[str]:
        store = await Store.open(url)
        refused = await asyncio.to_thread(migrate, service, "--to", url)
        await store.configuration.create_set(ConfigurationSet("mine"))
        await store.configuration.delete_set("mine")
        await store.close()
        return refused

    refused = asyncio.run(used())
    assert refused.returncode == 1
    assert "is in use: stop every node and command" in refused.stderr
    done = migrate(service, "--to", url)
    assert done.returncode == 0, done.stderr


def has_arrived(url: str) -> Callable[[], bool]:
    def look() -> bool:
        try:
            return number_in(url, "clicks") > 0
        except psycopg.errors.UndefinedTable:
            return False

    return look


def test_what_cannot_be_moved_is_told(tmp_path: Path, url: str) -> None:
    service = Service(tmp_path)
    KeyFile(service.data / "keys.json").create_if_missing()
    for arguments, said in (
        ((), "say where to"),
        (("--to", url), "clicktrail.db does not exist"),
    ):
        done = migrate(service, *arguments)
        assert (done.returncode, said in done.stderr) == (1, True), done.stderr
    (service.data / "clicktrail.db").touch()
    secret = url.replace("postgres@", "postgres:secret@")
    for to, said in (
        ("sqlite:///elsewhere.db", "moved to PostgreSQL"),
        (secret + "_nowhere", "does not exist"),
        ("postgresql://u:secret@127.0.0.1:1/db", "refused"),
    ):
        done = migrate(service, "--to", to)
        assert (done.returncode, said in done.stderr) == (1, True), done.stderr
        assert "secret" not in done.stderr
        assert "Traceback" not in done.stderr


def test_the_service_does_not_start_while_it_is_moved(tmp_path: Path) -> None:
    from clicktrail.base.files import at_work

    service = Service(tmp_path)
    service.data.mkdir(parents=True)
    with at_work(service.data, alone=True) as possible:
        assert possible
        with pytest.raises(AssertionError, match="is being moved"):
            service.start()
    wait_for(lambda: service.wait() or True, "its end")
    with service:
        pass
