"""Ports that nobody else gets, for servers that are told where to listen."""

import socket
import weakref
from collections.abc import Iterator
from typing import Self


class Ports:
    """So many ports of the loopback interface, held as long as this object lives.

    They are those of 127.0.0.1, and of ``others`` too where addresses of it are given.

    The system chooses them (port 0), and they stay bound here, so that it gives them to no other
    server and to no connection. Who is told a number may listen there all the same, any number of
    times: two sockets with ``SO_REUSEADDR`` may be bound to one port while at most one of them
    listens (socket(7)), and all servers set it. While nobody listens, connections are refused.
    """

    def __init__(self, number: int, *others: str) -> None:
        held: list[socket.socket] = []
        self._numbers: list[int] = []
        while len(self._numbers) < number:
            some = [_bound("127.0.0.1", 0)]
            port = int(some[0].getsockname()[1])
            try:
                some += [_bound(host, port) for host in others]
                self._numbers.append(port)
            except OSError:  # somebody has it there: kept until the others are found
                pass
            held += some
        # Not by ``__del__``: in a circle the sockets may be ended first, and complain of that.
        self._release = weakref.finalize(self, _close, held)

    def __iter__(self) -> Iterator[int]:
        return iter(self._numbers)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._release()


def _bound(host: str, port: int) -> socket.socket:
    made = socket.socket()
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
    except OSError:
        made.close()
        raise
    return made


def _close(held: list[socket.socket]) -> None:
    for each in held:
        each.close()
