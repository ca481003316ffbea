"""Private files are written whole or not at all, and nothing of them lies around."""

import signal
import subprocess
import sys
import threading
from pathlib import Path

from clicktrail.base.files import is_orphaned, size_of, write_private

KILLED = """
import os, signal, sys
from pathlib import Path
from clicktrail.base.files import is_orphaned, size_of, write_private
sys.addaudithook(lambda event, _: event == "os.rename" and os.kill(os.getpid(), signal.SIGKILL))
write_private(Path(sys.argv[1]), b"a secret")
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_a_killed_process_left_of_a_file_is_deleted_with_the_next_writing(
    tmp_path: Path,
) -> None:
    path = tmp_path / "keys.json"
    write_private(path, b"old")
    done = subprocess.run([sys.executable, "-c", KILLED, str(path)])
    assert done.returncode == -signal.SIGKILL
    assert path.read_bytes() == b"old"
    assert len(names(tmp_path)) == 2
    (tmp_path / ".keys.json.mine").touch()
    write_private(path, b"new")
    assert names(tmp_path) == [".keys.json.mine", "keys.json"]
    assert path.read_bytes() == b"new"


def test_who_writes_at_the_same_time_does_not_take_the_others_file_away(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    failures: list[OSError] = []

    def write(content: bytes) -> None:
        for _ in range(100):
            try:
                write_private(path, content)
            except OSError as error:
                failures.append(error)

    threads = [threading.Thread(target=write, args=(bytes([each]) * 100,)) for each in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert len(set(path.read_bytes())) == 1
    assert names(tmp_path) == ["keys.json"]


def test_a_log_that_goes_away_meanwhile_is_no_fault(tmp_path: Path) -> None:
    database, log, done = tmp_path / "some.db", tmp_path / "some.db-wal", threading.Event()
    database.write_bytes(b"something")

    def come_and_go() -> None:
        while not done.is_set():
            log.write_bytes(b"something")
            log.unlink()

    other = threading.Thread(target=come_and_go)
    other.start()
    try:
        found = {(is_orphaned(database), size_of(log)) for _ in range(20_000)}
    finally:
        done.set()
        other.join()
    assert {orphaned for orphaned, _ in found} == {False}
    assert {size for _, size in found} <= {0, len(b"something")}
