"""An answer that cannot be finished: the client sees it, and the log has a line of it."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from clicktrail.doors.asgi import AsgiServer
from clicktrail.doors.streamed import Streamed
from clicktrail.errors import ClicktrailError, StoreUnavailable
from clicktrail.settings.kinds import Address
from support.service import PATIENCE


async def pages() -> AsyncIterator[str]:
    yield "one,two\n"
    raise StoreUnavailable("the database is gone")


async def answer(_: Request) -> Response:
    return Streamed(pages())


async def refused(_: Request, error: Exception) -> Response:
    return Response(str(error), 503)


@pytest.mark.parametrize("handlers", [{}, {ClicktrailError: refused}])
async def test_an_answer_that_fails_on_its_way_is_cut_off_without_a_traceback(
    handlers: dict[type[Exception], object], capfd: pytest.CaptureFixture[str]
) -> None:
    app = Starlette(routes=[Route("/", answer)], exception_handlers=handlers)  # type: ignore[arg-type]
    server = AsgiServer(app, Address("127.0.0.1", 0))
    await server.start()
    try:
        async with asyncio.timeout(PATIENCE):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.address.port)
            writer.write(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
            said = await reader.read()
            writer.close()
    finally:
        await server.stop()
    assert said.startswith(b"HTTP/1.1 200 ")
    assert b"one,two" in said
    assert not said.endswith(b"0\r\n\r\n")  # RFC 9112 § 7.1: the last chunk is none
    logged = "".join(capfd.readouterr())
    assert "Traceback" not in logged
    assert "Exception in" not in logged
