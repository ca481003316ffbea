"""Secrets sealed for the database (`clicktrail.keys.vault`)."""

import subprocess
import sys
from pathlib import Path

import pytest

from clicktrail.errors import InvalidInput
from clicktrail.keys.vault import Vault
from support.service import PATIENCE


def test_a_secret_comes_back(tmp_path: Path) -> None:
    vault = Vault.of_file(tmp_path / "made" / "vault-key")
    sealed = vault.seal(b"secret", "access-key A")
    assert b"secret" not in sealed
    assert vault.open(sealed, "access-key A") == b"secret"


def test_the_key_stays_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "vault-key"
    sealed = Vault.of_file(path).seal(b"secret", "x")
    assert Vault.of_file(path).open(sealed, "x") == b"secret"
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_secret_in_another_row_does_not_open(tmp_path: Path) -> None:
    vault = Vault.of_file(tmp_path / "vault-key")
    with pytest.raises(InvalidInput, match="access-key B"):
        vault.open(vault.seal(b"secret", "access-key A"), "access-key B")


def test_another_key_does_not_open_it(tmp_path: Path) -> None:
    sealed = Vault.of_file(tmp_path / "one").seal(b"secret", "x")
    with pytest.raises(InvalidInput, match="another key"):
        Vault.of_file(tmp_path / "two").open(sealed, "x")


@pytest.mark.parametrize("content", [b"", b"short", b"!" * 88, b"QUJD\n"])
def test_a_file_that_holds_no_key_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "vault-key"
    path.write_bytes(content)
    with pytest.raises(InvalidInput, match="key"):
        Vault.of_file(path)


def test_processes_that_start_together_have_one_key(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from clicktrail.keys.vault import Vault;"
        "print(Vault.of_file(Path(sys.argv[1])).seal(b'secret', 'x').hex())"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "vault-key")]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    said = [process.communicate(timeout=PATIENCE)[0].strip() for process in started]
    assert said[0]
    assert len(set(said)) == 1
