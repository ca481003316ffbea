"""The HTTP API: for now, reading the built-in stream. Starlette lives only here."""

import asyncio
import hmac
import socket
from collections.abc import Sequence
from typing import Protocol

import msgspec
from granian.constants import Interfaces
from granian.server.embed import Server
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from clicktrail.kinds import Address

MOST = 1000
"""How many events one answer holds at the most."""
LONGEST_WAIT = 30.0
_POLL_SECONDS = 0.05


class StreamEvent(Protocol):
    """An event of the built-in stream, as the store gives it."""

    @property
    def position(self) -> int:
        """Its place in the stream: grows, with gaps."""

    @property
    def payload(self) -> bytes:
        """The notification, as JSON."""


class Streams(Protocol):
    """Where the built-in streams are read."""

    async def read(self, stream: str | None, after: int, limit: int) -> Sequence[StreamEvent]:
        """Return events after a position, the oldest first."""


def create_api(streams: Streams, token: str) -> Starlette:
    """Return the API. Every request needs ``Authorization: Bearer TOKEN``.

    ``GET /v1/streams/{name}/events?after=0&limit=100&wait=0`` answers
    ``{"events": [{"position": 1, "event": {…}}, …], "next": 1}``: the events after a position, at
    most ``limit`` of them; with none there yet it waits up to ``wait`` seconds for the first. Ask
    again with ``after`` = ``next``. Errors are ``{"message": "…"}`` with status 400, 401 or 404.
    """

    async def events(request: Request) -> Response:
        if not _allowed(request, token):
            return _error(401, "give the API token: Authorization: Bearer …")
        try:
            after = _number(request, "after", 0, 0, 2**63 - 1)
            limit = _number(request, "limit", 100, 1, MOST)
            wait = _number(request, "wait", 0, 0, LONGEST_WAIT)
        except ValueError as error:
            return _error(400, str(error))
        name = request.path_params["name"]
        loop = asyncio.get_running_loop()
        until = loop.time() + wait
        found = await streams.read(name, int(after), int(limit))
        while not found and loop.time() < until:
            await asyncio.sleep(_POLL_SECONDS)
            found = await streams.read(name, int(after), int(limit))
        shown = [{"position": e.position, "event": msgspec.Raw(e.payload)} for e in found]
        following = found[-1].position if found else int(after)
        return _json(200, {"events": shown, "next": following})

    async def health(_: Request) -> Response:
        return _json(200, {"status": "ok"})

    async def not_found(_: Request, __: Exception) -> Response:
        return _error(404, "there is nothing at this path")

    async def not_allowed(_: Request, __: Exception) -> Response:
        return _error(405, "this method is not used here")

    return Starlette(
        routes=[Route("/v1/streams/{name}/events", events), Route("/healthz", health)],
        exception_handlers={404: not_found, 405: not_allowed},
    )


def _allowed(request: Request, token: str) -> bool:
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(given.encode(), token.encode())


def _number(request: Request, name: str, default: float, low: float, high: float) -> float:
    text = request.query_params.get(name)
    if text is None:
        return default
    try:
        number = float(text) if name == "wait" else int(text)
    except ValueError:
        number = -1
    if not low <= number <= high:
        raise ValueError(f"{name} is {text!r}: expected a number from {low:g} to {high:g}")
    return number


def _json(status: int, value: object) -> Response:
    headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    return Response(msgspec.json.encode(value), status, headers, "application/json")


def _error(status: int, message: str) -> Response:
    answer = _json(status, {"message": message})
    if status == 401:
        answer.headers["WWW-Authenticate"] = "Bearer"  # RFC 9110 § 11.6.1
    return answer


class ApiServer:
    """Serves the API on one address; ``address`` has the real port after `start`."""

    def __init__(self, app: Starlette, address: Address) -> None:
        self._app = app
        self.address = address
        self._reserved: socket.socket | None = None
        self._server: Server | None = None
        self._running: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen. Raises `OSError` for an address that cannot be used."""
        # Bound here, though granian listens: it tells the port, and fails where it is taken.
        family = socket.AF_INET6 if ":" in self.address.host else socket.AF_INET
        self._reserved = socket.socket(family)
        self._reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._reserved.bind((self.address.host, self.address.port))
        self.address = Address(self.address.host, self._reserved.getsockname()[1])
        self._server = Server(
            self._app,
            address=self.address.host,
            port=self.address.port,
            interface=Interfaces.ASGINL,
            websockets=False,
            log_enabled=False,
        )
        self._running = asyncio.create_task(self._server.serve())

    async def stop(self) -> None:
        """Answer the requests that are here, and end."""
        if self._server is not None and self._running is not None:
            self._server.stop()  # type: ignore[no-untyped-call]  # granian's own
            await asyncio.wait([self._running], timeout=5)
        if self._reserved is not None:
            self._reserved.close()
