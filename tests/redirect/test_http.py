"""Odd clients, word by word: what each says, and what it is told. Others are served meanwhile."""

import asyncio
import random
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from clicktrail.redirect.exchange import Exchange
from clicktrail.redirect.server import Listener, Patience, RedirectServer
from clicktrail.settings.kinds import Address
from support.redirecting import URL, House, house_in, path_of, request, statuses
from support.service import PATIENCE

PATH = path_of()
GET = f"GET {PATH} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


@asynccontextmanager
async def others_are_served(house: House) -> AsyncIterator[None]:
    """Let others click all the while, and see that each of them is sent on."""
    stop = asyncio.Event()

    async def click() -> int:
        count = 0
        while not stop.is_set() or not count:
            assert f"Location: {URL}\r\n".encode() in await house.say(request())
            count += 1
        return count

    others = asyncio.create_task(click())
    try:
        yield
    finally:
        stop.set()
        assert await others > 0


def header(size: int) -> bytes:
    """Return a header line of that many bytes, CRLF and all."""
    return b"X-Long: " + b"x" * (size - 10) + b"\r\n"


async def test_headers_of_8_kib_pass_and_of_more_do_not(house: House) -> None:
    line = f"GET {PATH} HTTP/1.1\r\n".encode()
    rest = b"Host: x\r\nConnection: close\r\n"
    fits = line + rest + header(8192 - len(rest)) + b"\r\n"
    over = line + rest + header(8193 - len(rest)) + b"\r\n"
    assert statuses(await house.say(fits)) == [302]
    assert statuses(await house.say(over)) == [431]
    many = b"".join(b"X-%d: 0123456789\r\n" % number for number in range(500))
    assert statuses(await house.say(line + many + b"\r\n")) == [431]
    assert len(await house.clicks()) == 1


@pytest.mark.parametrize("size", [9_000, 65_536, 1_000_000])
async def test_too_large_headers_get_their_answer_though_they_go_on(
    house: House, size: int
) -> None:
    async with others_are_served(house):
        said = f"GET {PATH} HTTP/1.1\r\n".encode() + header(size)
        assert statuses(await house.say(said, b"Host: x\r\n\r\n")) == [431]


async def test_a_request_line_without_end_is_too_long(house: House) -> None:
    assert statuses(await house.say(b"GET /c/" + b"x" * 20_000)) == [414]
    assert statuses(await house.say(b"GET /c/" + b"x" * 20_000 + b" HTTP/1.1\r\n\r\n")) == [414]


GARBAGE = [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(60) + b"\r\n\r\n",  # TLS
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"EHLO mail.example\r\n\r\n",
    b"GET\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET / HTTX/1.1\r\nHost: x\r\n\r\n",
    b"GET /\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
    b"GET / HTTP/1.1\r\n: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nX: a\x00b\r\n\r\n",
    b"GET / HTTP/1.1\r\nX: a\nY: b\r\n\r\n",
    b"GET / HTTP/1.1\nHost: x\n\n\r\n\r\n",
    b"GET / HTTP/1.1\r\nX: a\rY: b\r\n\r\n",
    b"\x00\x01\x02\x03\r\n\r\n",
    b"\xff" * 100 + b"\r\n\r\n",
]


TARGETS = [
    b"/\x00",
    b"/c/ x",
    b"/c/\xff",
    b"/c/%zz",
    b"/c/\t",
    b"/c/\r",
    b"/c/x HTTP/1.1\r\nContent-Length: 9",
    b"/c/x HTTP/1.0\r\nA: GET / HTTP/1.1",
    b"/c/x#y",
    b"//" + PATH.encode(),
    b"http://a.example" + PATH.encode(),
    PATH.encode() + b"?utm=1",
    b"/" + b"c" * 16_370,
    b"/" + b"c" * 17_000,
]


@pytest.mark.parametrize("target", TARGETS)
async def test_a_target_is_judged_the_same_after_others_like_it(
    house: House, target: bytes
) -> None:
    """What llhttp has said of header lines is remembered, and says nothing of a target."""

    def asked(target: bytes, host: bytes) -> bytes:
        return b"GET %b HTTP/1.1\r\nHost: %b\r\n\r\n" % (target, host)

    good = PATH.encode()
    first = statuses(await house.say(asked(target, b"first"), asked(good, b"x")))
    assert statuses(await house.say(*[asked(good, b"second")] * 2)) == [302, 302]
    assert statuses(await house.say(asked(target, b"second"), asked(good, b"x"))) == first
    after = [asked(good, b"second"), asked(target, b"second"), asked(good, b"second")]
    said = statuses(await house.say(*after))
    assert said == [302, *first]
    assert statuses(await house.say(b"".join(after))) == said
    assert len(await house.clicks()) >= 4


async def test_more_is_judged_than_is_remembered(house: House) -> None:
    asked = [
        b"GET %b HTTP/1.1\r\nHost: %d\r\n\r\n" % (PATH.encode(), number % 1100)
        for number in range(2300)
    ]
    assert statuses(await house.say(b"".join(asked[:1150]), b"".join(asked[1150:]))) == [302] * 2300


@pytest.mark.parametrize("garbage", GARBAGE)
async def test_what_is_no_http_is_turned_away(house: House, garbage: bytes) -> None:
    async with others_are_served(house):
        answer = await house.say(garbage)
    assert statuses(answer) in ([400], [404], [405])
    assert b"\r\nConnection: close\r\n" in answer


async def test_random_bytes_never_redirect_and_never_stop_the_house(house: House) -> None:
    chance = random.Random(3)
    async with others_are_served(house):
        for _ in range(150):
            piece = bytearray(GET)
            for _ in range(chance.randrange(1, 4)):
                piece[chance.randrange(len(piece))] = chance.randrange(256)
            answers = await house.say(bytes(piece), chance.randbytes(chance.randrange(200)))
            assert set(statuses(answers)) <= {302, 400, 404, 405, 414, 431}


# RFC 9112 § 11.2: after each of these the server and a proxy before it could disagree about where
# the next request begins. Nothing behind the first head may ever be answered.
SMUGGLED = b"GET /robots.txt HTTP/1.1\r\nHost: x\r\n\r\n"
SMUGGLERS = [
    b"Content-Length: 4\r\n\r\nabcd",
    b"Content-Length: 0\r\nContent-Length: 4\r\n\r\nabcd",
    b"Content-Length: +4\r\n\r\nabcd",
    b"Content-Length: 4, 4\r\n\r\nabcd",
    b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
    b"X: y\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"X: y\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    b"Content-Length: -1\r\n\r\nabcd",
    b"Content-Length: 0x4\r\n\r\nabcd",
    b"Content-Length: 18446744073709551620\r\n\r\nabcd",  # 4 in 64 bits
    b"Content-Length:\r\n 4\r\n\r\nabcd",
    b"Content-Length\t: 4\r\n\r\nabcd",
    b"Content-Length\x00: 4\r\n\r\nabcd",
    b"Content-Length: 4\nX: y\r\n\r\nabcd",
    b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n",
    b"Transfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n',
    b"Transfer-Encoding: identity\r\n\r\n",
    b"Transfer-Encoding: chunked\r\n\r\n0;x=\n\r\n\r\n",
    b"Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
    b"Expect: 100-continue\r\nContent-Length: 4\r\n\r\nabcd",
    b"Connection: content-length\r\nContent-Length: 4\r\n\r\nabcd",
    b"Connection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 4\r\n\r\nabcd",
    b"X: folded,\r\n here\r\n\r\n",
    b" X: folded at once\r\n\r\n",
    b"X: bare line feeds\n\n",
    b"X: y\r\n\n",
]


@pytest.mark.parametrize("smuggler", SMUGGLERS)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_no_request_can_be_smuggled_in_a_body(
    house: House, smuggler: bytes, method: str
) -> None:
    head = f"{method} {PATH} HTTP/1.1\r\nHost: x\r\n".encode()
    answers = await house.say(head + smuggler + SMUGGLED)
    assert b"Disallow" not in answers
    assert len(statuses(answers)) == 1
    assert b"\r\nConnection: close\r\n" in answers


async def test_a_body_of_no_bytes_does_not_hide_the_next_request(house: House) -> None:
    one = f"GET {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".encode()
    assert statuses(await house.say(one + GET)) == [302, 302]


async def test_pipelined_requests_are_answered_in_their_order(house: House) -> None:
    icon = b"GET /favicon.ico HTTP/1.1\r\nHost: x\r\n\r\n"
    answers = await house.say((GET + icon) * 100 + request("/robots.txt"))
    assert statuses(answers) == [302, 404] * 100 + [200]
    assert len(await house.clicks()) == 100


async def test_a_flood_of_cheap_requests_in_one_packet_is_answered(house: House) -> None:
    flood = b"GET / HTTP/1.1\r\n\r\n" * 5000
    assert statuses(await house.say(flood)) == [404] * 5000


class Listing:
    """Notes who asked for what, and answers."""

    def __init__(self) -> None:
        self.targets: list[bytes] = []

    def handle(self, exchange: Exchange) -> None:
        self.targets.append(exchange.target)
        exchange.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n")

    async def drain(self) -> None:
        """Nothing is left to do."""


async def test_a_flood_in_one_packet_leaves_others_their_turn() -> None:
    app, flood = Listing(), 5000
    server = RedirectServer(app, [Listener(Address("127.0.0.1", 0))])
    await server.start()
    try:
        at = server.addresses[0]
        clients = [await asyncio.open_connection(at.host, at.port) for _ in range(3)]
        heads = [b"GET /a HTTP/1.1\r\n\r\n" * flood, b"GET /b HTTP/1.1\r\n\r\n"]
        for (_, writer), said in zip(clients, [heads[0], heads[1], heads[0]], strict=True):
            writer.write(said)
            writer.write_eof()
        answers = await asyncio.gather(*(reader.read() for reader, _ in clients))
        assert [len(statuses(each)) for each in answers] == [flood, 1, flood]
        assert app.targets.index(b"/b") < flood // 2
        for _, writer in clients:
            writer.close()
    finally:
        await server.stop()


async def test_a_request_may_come_in_any_pieces(house: House) -> None:
    said = request(None, "User-Agent: pieces", "X-Forwarded-For: 1.2.3.4")
    chance = random.Random(4)
    for _ in range(20):
        at = sorted(chance.sample(range(1, len(said)), 3))
        parts = [said[a:b] for a, b in zip([0, *at], [*at, len(said)], strict=True)]
        assert statuses(await house.say(*parts)) == [302]
    assert {click.user_agent for click in await house.clicks()} == {"pieces"}


async def test_empty_lines_before_a_request_are_ignored(house: House) -> None:
    assert statuses(await house.say(b"\r\n\r\n\r\n" + GET + b"\r\n\r\n" + GET)) == [302, 302]


async def test_clients_of_another_age_get_one_answer(house: House) -> None:
    assert statuses(await house.say(f"GET {PATH} HTTP/1.0\r\n\r\n".encode(), GET)) == [302]
    keep = f"GET {PATH} HTTP/1.0\r\nConnection: keep-alive\r\n\r\n".encode()
    answer = await house.say(keep)
    assert statuses(answer) == [302]
    assert b"Connection: close\r\n" in answer


@pytest.mark.parametrize("upgrade", ["h2c", "websocket", "TLS/1.0"])
async def test_an_offer_to_upgrade_is_passed_over(house: House, upgrade: str) -> None:
    said = f"GET {PATH} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: {upgrade}\r\n\r\n"
    answer = await house.say(said.encode())
    assert statuses(answer) == [302]


async def test_a_client_that_says_all_and_listens_is_answered(house: House) -> None:
    assert statuses(await house.say(GET)) == [302]
    assert statuses(await house.say(GET + b"GET /rob")) == [302]


async def test_a_click_counts_though_the_person_did_not_wait(house: House) -> None:
    _, writer = await asyncio.open_connection(house.address.host, house.address.port)
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # RST
    writer.write(GET)
    await writer.drain()
    async with asyncio.timeout(PATIENCE):
        while not house.app.clicks:
            writer.close()
            await asyncio.sleep(0.005)
    assert len(await house.clicks()) == 1


async def test_a_client_that_never_reads_is_given_no_more_to_read(house: House) -> None:
    reader, writer = await asyncio.open_connection(house.address.host, house.address.port)
    reader._transport.pause_reading()  # type: ignore[attr-defined]
    asked = b"GET / HTTP/1.1\r\n\r\n" * 5000
    stuck = False
    async with others_are_served(house):
        for _ in range(500):  # 45 MB, which is more than all buffers between hold
            writer.write(asked)
            try:
                async with asyncio.timeout(0.5):
                    await writer.drain()
            except TimeoutError:
                stuck = True
                break
    writer.transport.abort()
    assert stuck, "the server goes on reading, and keeps the answers in memory"


async def test_slow_and_silent_clients_are_hung_up_on(tmp_path: Path) -> None:
    patience = Patience(request=1, idle=1, ending=1, look=0.05)
    async with house_in(tmp_path, patience=patience) as house, asyncio.timeout(PATIENCE):
        silent = house.say(then_close=False)
        slow = house.say(*(GET[at : at + 1] for at in range(200)), then_close=False)
        idle = house.say(GET, then_close=False)
        newlines = house.say(*[b"\r\n"] * 200, then_close=False)
        async with others_are_served(house):
            found = await asyncio.gather(silent, slow, idle, newlines)
        assert [statuses(answer) for answer in found] == [[], [], [302], []]
        assert found[1] in (b"", b"(reset)")


async def test_when_the_house_is_full_the_longest_idle_guest_makes_room(tmp_path: Path) -> None:
    async with house_in(tmp_path, limit=30) as house:
        idle = [
            await asyncio.open_connection(house.address.host, house.address.port) for _ in range(60)
        ]
        async with others_are_served(house):
            pass
        first, last = idle[0], idle[-1]
        assert await first[0].read(-1) == b""
        last[1].write(request())
        assert statuses(await last[0].read(-1)) == [302]
        for _, writer in idle:
            writer.close()
