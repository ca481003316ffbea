"""A client that keeps to a rate, whatever the answers do."""

import asyncio
import time
from typing import Any


class Asker(asyncio.Protocol):
    """One connection: asks when told to, and notes how long after the due time the answer was."""

    def __init__(self, free: list["Asker"], waits: list[float]) -> None:
        self._free, self._waits = free, waits
        self._due = 0.0
        self._transport: Any = None
        self._answer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._free.append(self)

    def ask(self, request: bytes, due: float) -> None:
        self._due = due
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._answer += data
        head, found, body = self._answer.partition(b"\r\n\r\n")
        if not found or len(body) < length_of(head):
            return
        if not head.startswith(b"HTTP/1.1 302"):
            raise SystemExit(f"not redirected: {head!r}")
        self._answer = b""
        self._waits.append(time.perf_counter() - self._due)
        self._free.append(self)

    def close(self) -> None:
        self._transport.close()


def length_of(head: bytes) -> int:
    return int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
