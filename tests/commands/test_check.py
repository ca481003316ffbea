"""``check`` and ``recipients forget`` in data folders in which something odd lies."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from clicktrail.keys.ringfile import KeyFile
from clicktrail.store.mail.kept import books
from clicktrail.store.mail.kept.books import PLAIN
from support.command_line import invoke
from support.indexes import HARMS

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    KeyFile(tmp_path / "keys.json").create_if_missing()

    def run(*words: str) -> tuple[int, str]:
        done = invoke([*words, "--data", str(tmp_path)])
        return done.exit_code, done.stdout

    assert run("configuration-set", "create", "news")[0] == 0
    assert run("check")[0] == 0
    return run


@pytest.mark.parametrize("name", ["journal.db", "clicktrail.db", "spool"])
def test_a_link_that_leads_nowhere_is_told(run: Run, tmp_path: Path, name: str) -> None:
    (tmp_path / name).unlink(missing_ok=True)
    (tmp_path / name).symlink_to(tmp_path / "nowhere" / "at-all")
    status, said = run("check", "--json")
    assert status == 1
    assert name in said


def test_a_dictionary_that_is_damaged_is_told(run: Run, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "clicktrail.db")) as store:
        store.execute("INSERT INTO dictionaries VALUES (X'01020304', X'00', 1)")
        store.commit()
    status, said = run("check", "--json")
    assert status == 1
    [told] = json.loads(said)["dictionaries"]
    assert "put a backup of it back" in told


def test_a_dictionary_that_is_gone_is_told(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(books, "_HEADS", books._HEADS.limit(2))
    with closing(sqlite3.connect(tmp_path / "clicktrail.db")) as store:
        kept = [("a", PLAIN.pack(b"\x90")), ("b", b"\x90"), ("c", b"\x01\x01\x02\x03\x04\x00")]
        store.executemany("INSERT INTO message_contents VALUES (?, X'90', ?)", kept)
        store.commit()
    status, said = run("check", "--json")
    assert status == 1
    [told] = json.loads(said)["dictionaries"]
    assert told.startswith("1 of")
    assert "not there any more" in told


@pytest.mark.parametrize(
    "harm", ["odd list of segments", "odd blocks", "none", "no numbers", "pages"]
)
def test_an_index_of_emails_that_is_damaged_is_told_and_repaired(
    run: Run, tmp_path: Path, harm: str
) -> None:
    path = tmp_path / "clicktrail.db"
    with closing(sqlite3.connect(path)) as store:
        words = [(number, f"{number} news@example.com") for number in range(100)]
        store.executemany("INSERT INTO message_index (rowid, text) VALUES (?, ?)", words)
        store.commit()
    assert run("check")[0] == 0
    assert run("repair") == (0, f"Nothing was set aside in {tmp_path}.\n")
    HARMS[harm](path)
    if harm != "odd list of segments":  # only who writes to it sees that
        status, said = run("check", "--json")
        assert status == 1
        for told in json.loads(said)["store"]:
            assert "clicktrail repair" in told
            assert "backup" not in told
    status, said = run("repair")
    assert status == 0
    assert "begun anew" in said
    assert run("check")[0] == 0
    assert run("repair") == (0, f"Nothing was set aside in {tmp_path}.\n")


def test_a_store_that_is_damaged_elsewhere_too_needs_its_backup(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "clicktrail.db"
    HARMS["pages"](path)
    with closing(sqlite3.connect(path)) as store:
        [(root,)] = store.execute("SELECT rootpage FROM sqlite_master WHERE name = 'messages'")
        [(size,)] = store.execute("PRAGMA page_size")
    with path.open("r+b") as raw:
        raw.seek((root - 1) * size)
        raw.write(b"\xff" * size)
    for command in ("check", "repair"):
        status, said = run(command)
        assert status == 1
        assert "backup" in "".join(said.split())


def test_a_spool_that_is_no_folder_is_told(run: Run, tmp_path: Path) -> None:
    (tmp_path / "spool").write_bytes(b"")
    status, said = run("check", "--json")
    assert status == 1
    assert json.loads(said)["spool"] == [
        f"{tmp_path / 'spool'} is no folder: remove it, and the service makes one"
    ]


def test_who_erases_is_told_of_every_file_that_may_hold_clicks(run: Run, tmp_path: Path) -> None:
    kept = (
        *("journal.db.damaged-20261129T000000.000000Z", "journal.db.damaged-1-wal.repaired"),
        *("spool/1.spool.damaged", "spool/2.spool.too-large", "spool/3.spool.too-large.repaired"),
        *("undecodable/1.record", "undecodable/2.record.repaired"),
    )
    for name in (*kept, "keys.json.damaged-2026", "notes.txt"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"anna@example.com")
    status, said = run("recipients", "forget", "anna@example.com", "--yes", "--json")
    assert status == 0
    assert json.loads(said)["damaged_files"] == sorted(str(tmp_path / name) for name in kept)


@pytest.mark.parametrize("name", ["api-token", "webhook-secret"])
@pytest.mark.parametrize("harm", ["empty", "no text", "zeros", "a folder", "a link"])
def test_a_file_without_a_secret_is_told(run: Run, tmp_path: Path, name: str, harm: str) -> None:
    path = tmp_path / name
    if harm == "a folder":
        path.mkdir()
    elif harm == "a link":
        path.symlink_to("nowhere")
    else:
        path.write_bytes({"empty": b"", "no text": b"\xff\xfe", "zeros": bytes(43)}[harm])
    status, said = run("check", "--json")
    assert status == 1
    assert str(path) in json.loads(said)[name][0]
    given = "--" + name
    assert run("check", "--json", given, "whsec_c2VjcmV0")[0] == 0  # the file is not read


def test_what_no_webhook_can_be_signed_with_is_told(run: Run, tmp_path: Path) -> None:
    status, said = run("check", "--json", "--webhook-secret", "swordfish")
    assert status == 1
    [told] = json.loads(said)["webhook-secret"]
    assert told.startswith("webhook.secret (from --webhook-secret) cannot be used: ")
    (tmp_path / "webhook-secret").write_text("whsec_A\n")
    status, said = run("check", "--json")
    assert status == 1
    [told] = json.loads(said)["webhook-secret"]
    assert told.startswith(f"{tmp_path / 'webhook-secret'} cannot be used: it is no signing secret")


@pytest.mark.parametrize(
    ("harm", "beside"), [("empty", "journal.db"), ("empty", "api-token"), ("gone", "api-token")]
)
def test_a_store_that_is_gone_is_told_and_not_begun_anew(
    run: Run, tmp_path: Path, harm: str, beside: str
) -> None:
    (tmp_path / beside).write_bytes(b"secret" if beside == "api-token" else b"")
    store = tmp_path / "clicktrail.db"
    if harm == "gone":
        store.unlink()
    else:
        store.write_bytes(b"")
    status, said = run("check", "--json")
    assert status == 1
    assert "backup" in json.loads(said)["store"][0]
    for words in ("configuration-set list", "statistics", "keys list"):
        status, said = run(*words.split())
        assert status == (0 if words == "keys list" else 1)
    assert not store.exists() or not store.stat().st_size, "nothing has hidden that it is gone"
