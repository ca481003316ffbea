"""Files of the data folder are damaged: what can be read is counted once, and nobody is misled."""

import json
import smtplib
import sqlite3
import struct
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import pytest

from service.test_monitor import ask
from support.faults import filled, small_disk
from support.service import Service, email_with, hrefs, html_of, wait_for

LINKS = 12
HTML = " ".join(f'<a href="http://a.example/{number}">x</a>' for number in range(LINKS))
PATIENCE = 120.0


def urls_of(service: Service, name: str) -> list[str]:
    return sorted(event["click"]["link"] for event in service.events(name))


def all_urls() -> list[str]:
    return sorted(f"http://a.example/{number}" for number in range(LINKS))


def spooled_clicks(service: Service) -> tuple[str, Path]:
    """Click every link while the journal cannot be written, and kill the service."""
    name = service.configuration_set()
    links = hrefs(html_of(service.send(email_with(HTML, name))))
    assert len(links) == LINKS
    with closing(sqlite3.connect(service.data / "journal.db")) as holder:
        holder.execute("BEGIN IMMEDIATE")
        for link in links:
            assert service.request(link).status == 302
        service.kill()
    files = sorted((service.data / "spool").glob("*.spool"), key=lambda path: path.stat().st_size)
    assert files
    return name, files[-1]


def frames_of(data: bytes) -> list[int]:
    places, at = [], 0
    while at < len(data):
        places.append(at)
        at += 8 + struct.unpack_from("<I", data, at)[0]
    return places


@pytest.mark.parametrize(
    "what",
    [
        *("length and checksum", "zeros"),
        *(pytest.param(each, marks=pytest.mark.long) for each in ("length", "hole")),
    ],
)
def test_a_damaged_spool_file_costs_no_click_but_the_one_that_was_hit(
    tmp_path: Path, what: str
) -> None:
    with Service(tmp_path) as service:
        name, path = spooled_clicks(service)
        data = path.read_bytes()
        places = frames_of(data)
        at = places[len(places) // 2]
        if what == "length":
            lost, data = 0, data[:at] + b"\xff\xff\x01\x00" + data[at + 4 :]
        elif what == "length and checksum":
            other = bytes([data[at + 4] ^ 0xFF])
            lost, data = 1, data[:at] + b"\xff\xff\x01\x00" + other + data[at + 5 :]
        elif what == "hole":
            lost, data = 1, data[:at] + data[at + 30 :]
        else:
            lost, data = 0, data + bytes(5000)
        path.write_bytes(data)
        service.start()
        service.wait_for_events(name, LINKS - lost)
        wait_for(lambda: not path.exists() or None, "drained file", PATIENCE)
        # The one in the journal and in the spool, and all those of other files, are counted once.
        assert service.wait_for_clicks(name, LINKS - lost)["clicks"] == LINKS - lost
        found = urls_of(service, name)
        assert len(set(found)) == len(found)
        assert set(found) <= set(all_urls())
        kept = path.with_name(path.name + ".damaged")
        if what == "zeros":  # what a power cut leaves was never acknowledged
            assert not kept.exists()
            return
        assert kept.read_bytes() == data
        [line] = [
            line for line in map(str, service.log.read_text().splitlines()) if str(kept) in line
        ]
        assert '"level": "error"' in line


def test_files_of_strangers_in_the_spool_hold_up_no_click(tmp_path: Path) -> None:
    with Service(tmp_path, embedded=False) as service:
        name, path = spooled_clicks(service)
        for number, content in enumerate((b"", b"hello\n", bytes(9000), b"\xff" * 3000)):
            path.with_name(f"{number}.spool").write_bytes(content)
        path.with_name("5.spool").mkdir()
        service.start()
        service.wait_for_events(name, LINKS)
        assert urls_of(service, name) == all_urls()
        assert wait_for(
            lambda: (
                [line for line in service.logged("not ready") if "5.spool" in line["why"]] or None
            ),
            "an error in the log",
            PATIENCE,
        )


def uncounted_clicks(service: Service) -> str:
    """Click every link while the store cannot be written, and kill the service."""
    name = service.configuration_set()
    links = hrefs(html_of(service.send(email_with(HTML, name))))
    with closing(sqlite3.connect(service.data / "clicktrail.db")) as holder:
        holder.execute("BEGIN IMMEDIATE")
        for link in links:
            assert service.request(link).status == 302
        service.kill()
    return name


def copied(path: Path) -> bytearray:
    """Return the journal's file when all of its log has been copied into it."""
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return bytearray(path.read_bytes())


def header(path: Path) -> None:
    data = copied(path)
    data[:100] = b"\xff" * 100
    path.write_bytes(data)


def tree(path: Path) -> None:
    """Cut the tree's root off: its leaves are there, and nothing leads to them."""
    data = copied(path)
    data[40:100] = bytes(60)
    data[4096:4104] = b"\x99" * 8
    path.write_bytes(data)


def emptied(path: Path) -> None:
    """Leave the log alone, which SQLite would delete."""
    assert path.with_name("journal.db-wal").stat().st_size
    path.write_bytes(b"")


def other_database(path: Path) -> None:
    path.rename(path.with_name(f"{path.name}.damaged-by-hand"))
    for end in ("-wal", "-shm"):
        log = path.with_name(path.name + end)
        log.rename(path.with_name(f"{path.name}.damaged-by-hand{end}"))
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE batch (something TEXT)")


def run(service: Service, *arguments: str) -> tuple[int, str]:
    done = service.run(*arguments)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    "harm",
    [
        *(header, emptied),
        *(pytest.param(each, marks=pytest.mark.long) for each in (tree, other_database)),
    ],
)
def test_a_damaged_journal_is_set_aside_and_repaired(
    tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    with Service(tmp_path, embedded=harm is not header) as service:
        name = uncounted_clicks(service)
        harm(service.data / "journal.db")
        assert run(service, "check")[0] == 1
        service.start()
        link = hrefs(html_of(service.send(email_with(HTML, name))))[0]
        assert service.request(link).status == 302
        service.wait_for_events(name, 1)  # counting goes on
        wait_for(lambda: ask(service, "/readyz")[0] == 200 or None, "a ready service", PATIENCE)
        assert [
            line
            for line in map(json.loads, service.log.read_text().splitlines())
            if line["level"] == "error" and "clicktrail repair" in line["event"]
        ]
        status, said = run(service, "check")
        assert status == 1
        assert "damaged-" in said
        for _ in range(2):
            status, said = run(service, "repair")
            assert status == 0, said
        assert "Nothing was set aside" in said
        service.wait_for_events(name, LINKS + 1)
        assert service.wait_for_clicks(name, LINKS + 1)["clicks"] == LINKS + 1
        assert sorted(set(urls_of(service, name))) == all_urls()
        status, said = run(service, "check")
        assert status == 0, said


def test_a_row_that_is_no_click_is_kept_and_costs_no_other(tmp_path: Path) -> None:
    with Service(tmp_path) as service:
        name = uncounted_clicks(service)
        with closing(sqlite3.connect(service.data / "journal.db")) as database, database:
            database.execute("INSERT INTO batch (records) VALUES (?)", (b"\xc1 no row",))
            database.execute("INSERT INTO batch (records) VALUES (?)", (b"\x91\xc4\x04nope",))
            database.execute("INSERT INTO batch (records) VALUES ('text')")
        service.start()
        service.wait_for_events(name, LINKS)
        folder = service.data / "undecodable"
        kept = wait_for(
            lambda: found if len(found := list(folder.glob("*.record"))) == 3 else None,
            "three files",
            PATIENCE,
        )
        assert {path.read_bytes() for path in kept} == {b"\xc1 no row", b"nope", b"text"}
        log = service.log.read_text()
        status, said = run(service, "check", "--json")
        assert status == 1
        assert all(path.name in log and path.name in said for path in kept)
        assert run(service, "repair")[0] == 1, "there is no click in them"
        assert all(path.exists() for path in kept)


def folder_instead_of(journal: Path) -> None:
    """Put a folder where the journal is, which the running service may be making anew."""
    while True:
        for end in ("", "-wal", "-shm"):
            journal.with_name(journal.name + end).unlink(missing_ok=True)
        with suppress(FileExistsError):
            return journal.mkdir()


@pytest.mark.parametrize("embedded", [pytest.param(True, marks=pytest.mark.long), False])
def test_what_cannot_be_used_is_a_problem_until_it_can(tmp_path: Path, embedded: bool) -> None:
    with Service(tmp_path, embedded=embedded) as service:
        name = service.configuration_set()
        links = hrefs(html_of(service.send(email_with(HTML, name))))
        journal, spool = service.data / "journal.db", service.data / "spool"

        def why() -> dict[str, str]:
            status, body = ask(service, "/readyz")
            return dict(json.loads(body)["why"]) if status == 503 else {}

        assert not why()
        folder_instead_of(journal)
        wait_for(lambda: "journal" in why() or None, "a problem of the journal", PATIENCE)
        for link in links:
            assert service.request(link).status == 302
        journal.rmdir()
        wait_for(lambda: not why() or None, "a ready service", PATIENCE)
        service.wait_for_events(name, LINKS)
        wait_for(lambda: not list(spool.glob("*")) or None, "an empty spool", PATIENCE)
        spool.rmdir()
        spool.write_text("a file where a folder should be")
        wait_for(lambda: "spool" in why() or None, "a problem of the spool", PATIENCE)
        spool.unlink()
        wait_for(lambda: not why() or None, "a ready service", PATIENCE)


@pytest.mark.parametrize("embedded", [pytest.param(True, marks=pytest.mark.long), False])
def test_changes_of_links_that_cannot_be_read_are_a_problem_until_they_can(
    tmp_path: Path, embedded: bool
) -> None:
    with Service(tmp_path, embedded=embedded) as service:
        name = service.configuration_set()
        [link, *_] = hrefs(html_of(service.send(email_with(HTML, name))))
        url = service.request(link, "HEAD").location
        assert url is not None
        orders = service.data / "orders"

        def why() -> set[str]:
            status, body = ask(service, "/readyz")
            return set(json.loads(body)["why"]) if status == 503 else set()

        def lead(to: str) -> None:
            service.cli("link", "replace", url, to)
            wait_for(lambda: service.request(link, "HEAD").location == to or None, to)

        lead("http://b.example/1")
        orders.write_bytes(b"\xc1")  # written anew by itself
        lead("http://b.example/2")
        orders.unlink()
        orders.mkdir()
        wait_for(lambda: why() == {"orders", "copy of orders"} or None, "both problems")
        assert service.request(link, "HEAD").location == "http://b.example/2"
        checked = json.loads(service.run("check", "--json").stdout)
        assert str(orders) in checked["orders"][0]
        orders.rmdir()
        wait_for(lambda: not why() or None, "a ready service")
        lead("http://b.example/3")
        assert json.loads(service.run("check", "--json").stdout)["orders"] == []


@pytest.mark.long
def test_on_a_full_disk_it_is_not_ready_and_says_what_fails(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with small_disk(data, "16m"), Service(tmp_path) as service:

        def why() -> set[str]:
            status, body = ask(service, "/readyz")
            return set(json.loads(body)["why"]) if status == 503 else set()

        assert not why()
        with filled(data):
            wait_for(lambda: "spool" in why() or None, "a problem", PATIENCE)
        wait_for(lambda: not why() or None, "a ready service", PATIENCE)


def test_a_damaged_store_is_told_without_a_traceback(tmp_path: Path) -> None:
    with Service(tmp_path) as service:
        link = hrefs(html_of(service.send(email_with(HTML, service.configuration_set()))))[0]
        service.stop()
        store = service.data / "clicktrail.db"
        store.write_bytes(b"\xff" * 5000)
        service.log.unlink()
        with pytest.raises(AssertionError, match="did not start"):
            service.start()
        assert service.wait() == 1
        said = service.log.read_text()
        assert "clicktrail.db" in said
        assert "backup" in said
        assert "Traceback" not in said
        status, said = run(service, "check")
        assert status == 1
        assert "clicktrail.db" in said.replace("\n", "")
    assert link


def test_a_row_of_the_configuration_that_is_damaged_is_named(tmp_path: Path) -> None:
    with Service(tmp_path) as service:
        name = service.configuration_set()
        file = service.data / "clicktrail.db"

        def put(rules: str) -> None:
            with closing(sqlite3.connect(file, timeout=PATIENCE)) as store:
                store.execute("UPDATE configuration_sets SET rules = ?", [rules])
                store.execute("UPDATE configuration_version SET version = version + 1")
                store.commit()

        put('{"private@mail.example')
        with pytest.raises(smtplib.SMTPResponseException, match="451"):
            service.send(email_with(HTML, name))
        status, said = ask(service, "/readyz")
        assert status == 503
        assert f"configuration set '{name}' cannot be read".encode() in said
        told = run(service, "configuration-set", "list")[1]
        assert f"configuration set '{name}' cannot be read" in told
        put("{}")
        service.send(email_with(HTML, name))
        log = service.log.read_text()
        assert f"configuration set '{name}' cannot be read" in log
        assert "private@mail.example" not in log + said.decode()
        assert "Traceback" not in log


@pytest.mark.parametrize("column", ["identity", "reason"])
def test_damaged_text_of_an_email_holds_up_no_click_of_others(tmp_path: Path, column: str) -> None:
    with Service(tmp_path) as service:
        name = service.configuration_set()
        links = [
            hrefs(html_of(service.send(email_with(HTML, name), [f"{who}@gmail.com"])))[0]
            for who in ("anna", "otto")
        ]
        service.stop()
        with closing(sqlite3.connect(service.data / "clicktrail.db")) as store:
            [first] = store.execute("SELECT min(id) FROM messages").fetchone()
            harm = f"UPDATE messages SET {column} = CAST(X'78FF79' AS TEXT) WHERE id = ?"
            assert store.execute(harm, [first]).rowcount == 1
            store.execute("UPDATE mailings SET name = CAST(X'676568FF65696D' AS TEXT)")
            store.commit()
        service.start()
        for link in links:
            assert service.request(link).status == 302
        assert service.wait_for_clicks(name, 2)["clicks"] == 2
        status, said = run(service, "recipients", "forget", "otto@gmail.com", "--yes")
        assert status == 0, said
        wait_for(lambda: service.logged("text in the database is damaged") or None, "an error")
        log = service.log.read_text() + said
        assert "geh" not in log
        assert "with text" not in log
        assert "Traceback" not in log


def test_a_store_whose_log_alone_is_there_is_not_begun_anew(tmp_path: Path) -> None:
    with Service(tmp_path) as service:
        service.configuration_set()
        service.kill()
        store, log = service.data / "clicktrail.db", service.data / "clicktrail.db-wal"
        assert log.stat().st_size
        backup, before = store.read_bytes(), log.read_bytes()
        store.write_bytes(b"")
        status, said = run(service, "configuration-set", "list")
        assert status == 1
        assert "its log is there" in said
        assert run(service, "check")[0] == 1
        service.log.unlink()
        with pytest.raises(AssertionError, match="did not start"):
            service.start()
        assert service.wait() == 1
        assert "its log is there" in service.log.read_text()
        assert "Traceback" not in service.log.read_text()
        assert log.read_bytes() == before, "it is what is left"
        log.rename(kept := log.with_name("kept"))
        for gone in (False, True):
            if gone:
                store.unlink()
            status, said = run(service, "check")
            assert status == 1
            assert "backup" in said.replace("\n", "")
            status, said = run(service, "configuration-set", "list")
            assert status == 1
            assert "backup" in said
        kept.rename(log)
        store.write_bytes(backup)
        service.start()
        assert "set-" in service.cli("configuration-set", "list")
        service.stop()
        # Gone for good, or elsewhere: it may be meant, and is told.
        for path in (store, log):
            path.unlink(missing_ok=True)
        service.start()
        [line] = service.logged(
            "a new database is made in a data folder that is not new: if there was one, stop,"
            " and put a backup of it back; if it is elsewhere, say so in store.url"
        )
        assert line["level"] == "warning"


def test_clicks_on_an_email_that_cannot_be_read_hold_up_no_others(service: Service) -> None:
    name = service.configuration_set()
    links = [hrefs(html_of(service.send(email_with(HTML, name))))[0] for _ in range(2)]
    with closing(sqlite3.connect(service.data / "clicktrail.db", timeout=60)) as store:
        newest = "SELECT id FROM messages WHERE configuration_set = ? ORDER BY id DESC LIMIT 1"
        store.execute(
            f"UPDATE message_contents SET content = x'c1' WHERE message_id = ({newest})", (name,)
        )
        store.commit()
    for link in reversed(links):
        assert service.request(link).status == 302
    assert len(service.wait_for_events(name, 2)) == 2
