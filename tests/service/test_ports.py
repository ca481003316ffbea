"""The ports of tests (`support.ports`)."""

import gc
import socket

import pytest

from support.ports import Ports


def test_only_who_is_told_a_port_may_listen_there_and_again_and_again(port: int) -> None:
    with socket.socket() as stranger, pytest.raises(OSError, match="in use"):
        stranger.bind(("127.0.0.1", port))
    for _ in range(2):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))
        with socket.create_server(("127.0.0.1", port)):
            socket.create_connection(("127.0.0.1", port)).close()


def test_ports_that_nobody_has_any_more_are_given_back() -> None:
    class Circle:
        def __init__(self) -> None:
            self.ports, self.me = Ports(2), self

    gc.collect()
    numbers = list(Circle().ports)
    gc.collect()  # no socket complains that nobody has closed it: that would be an error here
    for number in numbers:
        with socket.socket() as stranger:
            stranger.bind(("127.0.0.1", number))
