"""The journal cannot be written, or the disk is full: people are sent on, and clicks are kept."""

import json
import shutil
import smtplib
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from clicktrail.base.files import at_work
from clicktrail.keys.ringfile import KeyFile
from support.crowd import Crowd, check_books, marks_of, settle
from support.faults import filled, no_file_grows_beyond, small_disk, without_another_file
from support.postgres import NEEDS_POSTGRES, Postgres
from support.service import AT_ANY_PORT, PATIENCE, Service, email_with, hrefs, html_of, wait_for

KIB = 1024


@pytest.fixture(scope="module")
def troubled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with Service(tmp_path_factory.mktemp("troubled")) as service:
        yield service


def test_while_no_file_can_grow_clicks_are_kept_in_new_ones(troubled: Service) -> None:
    name = troubled.configuration_set()
    log = troubled.data / "journal.db-wal"
    with Crowd(troubled, name, people=16) as crowd:
        wait_for(lambda: log.stat().st_size > 300 * KIB or None, "journal that has grown")
        with no_file_grows_beyond(200 * KIB, troubled.pid):
            wait_for(lambda: troubled.logged("clicks go to the spool") or None, "failed journal")
            crowd.wait_for(100)
            assert list((troubled.data / "spool").glob("*.spool"))
        crowd.wait_for(30)
    check_books(troubled, name, crowd)
    assert troubled.logged("clicks go to the journal again")
    assert not troubled.logged("clicks not logged")


def test_while_another_process_holds_the_journal_clicks_are_kept_in_the_spool(
    troubled: Service,
) -> None:
    name = troubled.configuration_set()
    with Crowd(troubled, name, people=16) as crowd:
        crowd.wait_for(20)
        with closing(sqlite3.connect(troubled.data / "journal.db")) as holder:
            holder.execute("BEGIN IMMEDIATE")
            crowd.wait_for(100)
            assert list((troubled.data / "spool").glob("*.spool"))
        crowd.wait_for(20)
    check_books(troubled, name, crowd)
    assert not troubled.logged("clicks not logged")


def test_on_full_disks_people_are_sent_on_and_the_log_tells_how_many_clicks_it_cost(
    tmp_path: Path,
) -> None:
    data, spool = tmp_path / "data", tmp_path / "data" / "spool"
    with small_disk(data, "16m"), small_disk(spool, "1m"), Service(tmp_path) as service:
        name = service.configuration_set()
        with Crowd(service, name, people=16) as before:
            before.wait_for(20)
        meanwhile = Crowd(service, name, people=16)
        settle(service)
        with filled(data), filled(spool):
            with pytest.raises(smtplib.SMTPDataError) as refused:
                service.send(email_with("<a href=http://a.example/>x</a>", name))
            assert refused.value.smtp_code == 451  # its sender keeps it
            with meanwhile:
                meanwhile.wait_for(60)
        assert meanwhile.redirected == meanwhile.tried
        with Crowd(service, name, people=16) as after:
            after.wait_for(20)
        settle(service)
        told = marks_of(service.events(name)).keys()
        assert before.redirected | after.redirected <= told
        lost = meanwhile.redirected - told
        counted = service.statistics("--configuration-set", name)["clicks"]
        assert service.stop() == 0  # then the log has told of all
        unlogged = sum(line["count"] for line in service.logged("clicks not logged"))
        assert 0 < len(lost) <= unlogged <= len(meanwhile.redirected)
        assert counted == len(told)


MAKE_ROOM = "make room on the disk, and try again"


def problems_of(service: Service) -> dict[str, str]:
    """Return what ``/readyz`` finds."""
    try:
        with urlopen(f"http://127.0.0.1:{service.monitor}/readyz", timeout=PATIENCE) as answer:
            assert answer.status == 200
            return {}
    except HTTPError as refused:
        with refused:
            found: dict[str, str] = json.load(refused)["why"]
            return found


@pytest.mark.long
def test_a_full_disk_is_named_with_what_to_do_about_it(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with small_disk(data, "8m"):
        with Service(tmp_path) as service:
            service.configuration_set()
            (data / "spool").mkdir(exist_ok=True)
            assert json.loads(service.cli("check", "--json"))["disk"] == []
            with filled(data):
                before = sorted(data.rglob("*"))
                checked = service.run("check", "--json")
                assert sorted(data.rglob("*")) == before
                told = wait_for(
                    lambda: found if len(found := problems_of(service)) > 1 else None, "problems"
                )
            for name in ("spool", "journal"):
                assert MAKE_ROOM in told[name]
                assert str(data) in told[name]
            assert checked.returncode == 1
            assert json.loads(checked.stdout)["disk"] == [
                f"{place} cannot be written to: No space left on device: {MAKE_ROOM}"
                for place in (data / "spool", data)
            ]
        with filled(data):
            rotated = service.run("keys", "rotate")
            started = service.run("serve", "--role", "publisher", *AT_ANY_PORT)
        assert f"{data / 'keys.json'}: No space left on device: {MAKE_ROOM}" in rotated.stderr
        assert f"there is no room in {data}: {MAKE_ROOM}" in started.stderr
        assert rotated.returncode == started.returncode == 1


def test_a_disk_that_refuses_larger_files_is_told_apart_from_a_full_one(tmp_path: Path) -> None:
    with Service(tmp_path) as service, no_file_grows_beyond(4 * KIB, service.pid):
        told = wait_for(lambda: problems_of(service).get("journal"), "problem")
        assert "raise the limit of the size of files (LimitFSIZE=, ulimit -f)" in told


def test_started_on_a_full_disk_people_are_sent_on_and_the_rest_comes_when_there_is_room(
    tmp_path: Path,
) -> None:
    with small_disk(tmp_path / "data", "16m"):
        service = Service(tmp_path, embedded=False)
        with service:
            name = service.configuration_set()
            raw = service.send(email_with("<a href=http://a.example/>x</a>", name))
            [link] = hrefs(html_of(raw))
        with filled(tmp_path / "data"):
            service.start()
            try:
                assert "Ready, but not " in service.said
                assert MAKE_ROOM in service.log.read_text()
                problems = problems_of(service)
                assert {"smtp", "publisher"} <= problems.keys()
                assert MAKE_ROOM in problems["smtp"]
                answer = service.request(link)
                assert (answer.status, answer.location) == (302, "http://a.example/")
            except BaseException:
                service.kill()
                raise
        wait_for(lambda: problems_of(service) == {} or None, "readiness")
        service.send(email_with("<a href=http://a.example/>x</a>", name))
        service.request(link)
        service.wait_for_clicks(name, 1)
        assert service.stop() == 0
        assert "Traceback" not in service.log.read_text()
        assert "/welcome/" not in service.log.read_text()


MADE = {
    "journal": ("journal.db*",),
    "spool": ("spool",),
    "lock of the service": ("at-work",),
    "locks of the roles": ("at-work-*",),
    "locks of the databases": ("*.lock",),
    "vault's key": ("vault-key",),
    "secrets": ("api-token", "webhook-secret"),
    "all": ("*.lock", "at-work*", "journal.db*", "spool", "vault-key", "api-token", "w*-secret"),
}


@pytest.mark.parametrize(
    "missing",
    [pytest.param(each, marks=[] if each == "all" else pytest.mark.long) for each in MADE],
)
@pytest.mark.parametrize("store", ["file", pytest.param("postgresql", marks=NEEDS_POSTGRES)])
def test_what_must_be_made_anew_on_a_full_disk_keeps_nobody_from_clicking(
    tmp_path: Path,
    missing: str,
    store: str,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if store == "postgresql":
        server: Postgres = request.getfixturevalue("postgres")
        monkeypatch.setenv("CLICKTRAIL_STORE_URL", server.url(server.fresh()))
    data = tmp_path / "data"
    with small_disk(data, "16m", files=100):
        service = Service(tmp_path, embedded=False)
        with service:
            name = service.configuration_set()
            raw = service.send(email_with("<a href=http://a.example/>x</a>", name))
            [link] = hrefs(html_of(raw))
        for pattern in MADE[missing]:
            for file in data.glob(pattern):
                shutil.rmtree(file) if file.is_dir() else file.unlink()
        with without_another_file(data):
            service.start()
            try:
                answer = service.request(link)
                assert (answer.status, answer.location) == (302, "http://a.example/")
                assert any(MAKE_ROOM in why for why in problems_of(service).values())
            except BaseException:
                service.kill()
                raise
        with at_work(data, alone=True) as possible:
            assert not possible  # as with the lock that there was no room for
        wait_for(lambda: problems_of(service) == {} or None, "readiness")
        service.request(link)
        service.wait_for_clicks(name, 1)
        assert service.stop() == 0
        assert "Traceback" not in service.log.read_text()


def test_started_without_its_postgresql_a_node_answers_clicks(tmp_path: Path, port: int) -> None:
    flags = ("--store-url", f"postgresql://127.0.0.1:{port}/none?connect_timeout=2")
    KeyFile(tmp_path / "data" / "keys.json").create_if_missing()
    with Service(tmp_path, *flags, embedded=False) as service:
        assert service.request("http://any/c/none").status == 404
        assert "the database postgresql://" in problems_of(service)["smtp"]
        said = service.log.read_text().splitlines()
        assert sum(line.startswith("clicktrail: the database") for line in said) == 1
