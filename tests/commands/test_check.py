"""``check`` and ``recipients forget`` in data folders in which something odd lies."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from clicktrail.cli import build
from clicktrail.keys.ringfile import KeyFile

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    KeyFile(tmp_path / "keys.json").create_if_missing()

    def run(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(build(), [*words, "--data", str(tmp_path)])
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
