"""The key ring's file: private, never half written, followed when another process changes it."""

import stat
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from clicktrail.base.ids import new_id
from clicktrail.errors import InvalidInput, InvalidToken, NotFound
from clicktrail.keys.ringfile import KeyFile


@pytest.fixture
def keys(tmp_path: Path) -> KeyFile:
    file = KeyFile(tmp_path / "data" / "keys.json")
    file.create_if_missing()
    return file


def test_the_first_key_is_made_in_a_file_that_only_the_owner_reads(keys: KeyFile) -> None:
    assert stat.S_IMODE(keys.path.stat().st_mode) == 0o600
    assert [key.id for key in keys.ring().keys] == [1]


def test_processes_that_start_together_agree_on_the_first_key(tmp_path: Path) -> None:
    files = [KeyFile(tmp_path / "keys.json") for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(KeyFile.create_if_missing, files))
    assert len({file.ring().sealing.secret for file in files}) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["keys.json"]


def test_rotation_keeps_old_links_and_retirement_ends_them(keys: KeyFile) -> None:
    token = keys.ring().seal(new_id(), 0, "http://a/")
    assert keys.rotate().id == 2
    assert keys.open(token).url == "http://a/"
    keys.retire(1)
    assert stat.S_IMODE(keys.path.stat().st_mode) == 0o600
    keys.ring()
    with pytest.raises(InvalidToken):
        keys.open(token)


def test_a_key_made_by_another_process_is_found(keys: KeyFile) -> None:
    keys.ring()
    other = KeyFile(keys.path)
    other.rotate()
    assert keys.open(other.ring().seal(new_id(), 0, "http://b/")).url == "http://b/"


def test_forged_tokens_do_not_cost_file_reads(keys: KeyFile, tmp_path: Path) -> None:
    token = keys.ring().seal(new_id(), 0, "http://a/")
    keys.path.rename(tmp_path / "away")
    with pytest.raises(InvalidToken):
        keys.open(token[:-1])
    assert keys.open(token).url == "http://a/"


@pytest.mark.parametrize("text", ["", "{}", "{", '{"keys": []}', '{"keys": [{"id": 1}]}', "\xff"])
def test_a_damaged_file_is_refused_by_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "keys.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(InvalidInput, match=r"keys\.json|key ring is empty"):
        KeyFile(path).ring()


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="cannot be read"):
        KeyFile(tmp_path / "none.json").ring()


def test_a_key_is_added_first_and_seals_later(keys: KeyFile) -> None:
    added = keys.add()
    assert (added.id, keys.ring().sealing.id) == (2, 1)
    assert KeyFile(keys.path).ring().sealing.id == 1
    with pytest.raises(NotFound, match="no key 3"):
        keys.seal_with(3)
    with pytest.raises(InvalidInput, match="rotate first"):
        keys.retire(1)
    keys.seal_with(2)
    assert keys.ring().sealing.id == 2
    assert "seals" not in keys.path.read_text()  # as versions before wrote it
    keys.add()
    keys.retire(1)
    assert [key.id for key in keys.ring().keys] == [2, 3]
    assert keys.ring().sealing.id == 2


def test_a_file_that_is_being_copied_does_not_stop_anybody(keys: KeyFile) -> None:
    ring, whole = keys.ring(), keys.path.read_bytes()
    for part in (b"", whole[: len(whole) // 2]):
        keys.path.write_bytes(part)
        assert keys.ring() is ring
    keys.path.write_bytes(whole)
    made = KeyFile(keys.path).rotate()
    assert keys.ring().sealing.secret == made.secret


def test_a_number_never_gets_another_key(keys: KeyFile) -> None:
    ring, whole = keys.ring(), keys.path.read_bytes()
    other = KeyFile(keys.path.with_name("other.json"))
    other.create_if_missing()
    keys.path.write_bytes(other.path.read_bytes())
    for read in (keys.check, keys.reload):
        with pytest.raises(InvalidInput, match=r"key 1 in .* is another"):
            read()
    assert keys.ring() is ring
    keys.path.write_bytes(whole)
    keys.check()
    keys.reload()


def test_a_key_that_does_not_go_with_its_fingerprint_is_refused(keys: KeyFile) -> None:
    secret = keys.ring().sealing.secret
    changed = b64encode(bytes([secret[0] ^ 1]) + secret[1:])
    raw = keys.path.read_bytes()
    keys.path.write_bytes(raw.replace(b64encode(secret), changed))
    with pytest.raises(InvalidInput, match="fingerprint"):
        KeyFile(keys.path).ring()


def test_a_key_that_shall_seal_must_be_on_the_ring(keys: KeyFile) -> None:
    keys.add()
    keys.path.write_text(keys.path.read_text().replace('"seals": 1', '"seals": 7'))
    with pytest.raises(InvalidInput, match="key 7 shall seal"):
        KeyFile(keys.path).ring()
