import socket
from pathlib import Path

import pytest

from clicktrail.doors.sockets import ListeningSocket, check_free


def test_only_owner_and_group_may_connect(tmp_path: Path) -> None:
    path = tmp_path / "milter.sock"
    with ListeningSocket(path).open():
        assert path.stat().st_mode & 0o777 == 0o660
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
    assert [each.name for each in tmp_path.iterdir()] == ["milter.sock"]


def test_what_a_killed_service_left_gives_way(tmp_path: Path) -> None:
    path = tmp_path / "milter.sock"
    ListeningSocket(path).open().close()
    assert path.is_socket()
    with ListeningSocket(path).open(), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))


def test_a_service_that_listens_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "milter.sock"
    with ListeningSocket(path).open():
        with pytest.raises(OSError, match="Address already in use"):
            ListeningSocket(path).open()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))


def test_a_file_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes"
    path.write_text("mine")
    with pytest.raises(FileExistsError):
        ListeningSocket(path).open()
    assert path.read_text() == "mine"


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        check_free(tmp_path / "none" / "milter.sock")


def test_it_goes_with_its_service_and_not_with_another(tmp_path: Path) -> None:
    path = tmp_path / "milter.sock"
    first = ListeningSocket(path)
    first.open().close()
    second = ListeningSocket(path)
    with second.open():
        first.close()
        assert path.is_socket()
        second.close()
    assert not path.exists()
