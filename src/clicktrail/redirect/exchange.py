"""What the redirect's parts say to one another: a request with the way to answer it, the server's
connections, and what these share."""

from collections.abc import Callable
from typing import Protocol

from clicktrail.doors.connections import Client, Connections


class Exchange(Protocol):
    """A request, and the way to answer it."""

    method: bytes
    target: bytes
    """As in the request line (RFC 9112 § 3.2)."""
    peer: str
    """The IP address at the other end of the connection."""
    fields: bytes
    """The header lines: each begins with CRLF, and the last ends with it."""

    def header(self, name: bytes) -> bytes | None:
        """Return the first header of that lower-case name."""
        ...

    def headers(self, name: bytes) -> list[bytes]:
        """Return all headers of that lower-case name, in their order."""
        ...

    def receive(self, limit: int, then: Callable[[bytes], None]) -> None:
        """Read the body, now or later, and hand it on.

        One of more than ``limit`` bytes is answered ``413`` instead, one that cannot be read
        ``400``, and nobody is called.
        """
        ...

    def answer(self, head: bytes, body: bytes = b"") -> None:
        """Answer; exactly once for each request.

        ``head`` is the status line and headers, each with its CRLF, and no empty line at the end.
        """
        ...


Handler = Callable[[Exchange], None]
"""Answers a request, now or later."""


class Guest(Client, Protocol):
    """What the server looks after: a connection, or one that is to become one."""

    @property
    def busy(self) -> bool:
        """Whether no time limit is ours to look at."""

    @property
    def ending(self) -> bool:
        """Whether the last answer is given, and the client is yet to hang up."""

    @property
    def begun(self) -> bool:
        """Whether a request is due: its beginning is here, or it is the first."""

    @property
    def active_at(self) -> float:
        """When the client was last answered, or began a request: `Office.now`."""

    def close(self) -> None:
        """Hang up, after what has been written is sent."""
        ...


class Office:
    """What the connections of a server share: who answers, who is here, what time it is."""

    def __init__(self, handler: Handler, connections: Connections[Guest]) -> None:
        self.handler = handler
        self.connections = connections
        self.now = 0.0
        """The loop's clock, at the last look (`Patience.look`)."""
        self.date = b""
        """The ``Date`` header (RFC 9110 § 6.6.1)."""
        self.closing = False
        """Whether each connection ends with its next answer."""
        self.judged: dict[bytes, bytes] = {}
        """What requests had behind their target that `Connection` may read at once."""

    def enter(self, guest: Guest) -> bool:
        """Add a connection; ``False`` where there is no room for it, and it was hung up on."""
        if self.connections.enter(guest):
            return True
        guest.abort()
        return False

    def leave(self, guest: Guest) -> None:
        """Forget a connection."""
        self.connections.leave(guest)
