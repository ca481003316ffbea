"""A webhook's receiver on a real socket, which is down, refuses, hangs or goes away at will."""

import json
import socket
import struct
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from support.ports import Ports
from support.service import wait_for

FAULTS = ("down", "500", "hang", "close", "reset", "half", "garbage")
"""How it can misbehave: nobody listens; an error; no answer; the connection is closed, or reset,
after the request; half an answer; an answer that is no HTTP."""

NO_LINGER = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class Call:
    """A request, and how the receiver treated it."""

    mood: str
    event_id: str
    event: dict[str, Any]


class Hook:
    """A receiver. ``mood`` is ``ok`` or one of `FAULTS`; ``calls`` are all requests so far."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.mood = "ok"
        self.let_go = threading.Event()
        """Ends the calls that hang."""
        self._server: ThreadingHTTPServer | None = None
        self._ports = Ports(1)
        [self._port] = self._ports
        self._up()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.become("down")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/"

    def become(self, mood: str) -> None:
        """Treat calls so from now on; those that hang are let go."""
        self.mood = mood
        self.let_go.set()
        self.let_go = threading.Event()
        if mood == "down":
            if self._server is not None:
                self._server.shutdown()
                self._server.server_close()
                self._server = None
        elif self._server is None:
            self._up()

    def got(self, mood: str = "ok") -> list[dict[str, Any]]:
        """Return the events of the calls that were treated so."""
        return [call.event for call in self.calls if call.mood == mood]

    def wait_for(self, number: int, mood: str = "ok") -> None:
        """Return when that many different events have come and were treated so."""
        wait_for(
            lambda: len({event["eventId"] for event in self.got(mood)}) >= number or None,
            f"{number} events at a webhook that is {mood}",
        )

    def _up(self) -> None:
        hook = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                let_go, mood = hook.let_go, hook.mood
                hook.calls.append(Call(mood, self.headers["webhook-id"], json.loads(body)))
                self.close_connection = mood != "ok"
                match mood:
                    case "ok" | "500":
                        status = {"ok": b"204 No Content", "500": b"500 Oh"}[mood]
                        self.wfile.write(b"HTTP/1.1 %b\r\nContent-Length: 0\r\n\r\n" % status)
                    case "hang":
                        let_go.wait()
                    case "reset":
                        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
                    case "half":
                        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Le")
                    case "garbage":
                        self.wfile.write(b"\x00\xff" * 100 + b"\r\n\r\n")

            def log_message(self, format: str, *args: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: object, client_address: object) -> None:
                pass  # the service was killed, or has hung up

        self._server = Server(("127.0.0.1", self._port), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
