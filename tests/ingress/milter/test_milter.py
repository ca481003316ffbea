"""The milter door on real parts, with a mail server's side by hand."""

import asyncio
import re
import socket
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, closing, contextmanager
from dataclasses import dataclass, replace
from ipaddress import ip_network
from pathlib import Path

import dkim
import pytest

from clicktrail.doors.budget import FREE
from clicktrail.doors.connections import Stage
from clicktrail.ingress.accept import Acceptor
from clicktrail.ingress.milter.dialogue import SMALL_LIMIT
from clicktrail.ingress.milter.options import MilterOptions
from clicktrail.ingress.milter.server import MilterServer
from clicktrail.keys import dkim as dkimkey
from clicktrail.keys.token import TrackingHosts
from clicktrail.keys.vault import KEY_SIZE, Vault
from clicktrail.model import Dkim, MessageState, Reason
from clicktrail.settings.kinds import Address, SocketPath
from support.mailroom import LOOPBACK, Mailroom, mailroom
from support.milter_client import Envelope, MilterClient, Reply, content, edited, packet, split

CONTINUE = b"c"
RAW = (
    b"From: News <news@example.com>\r\nX-SES-CONFIGURATION-SET: tracked\r\nSubject: s\r\n"
    b'Content-Type: text/html\r\n\r\n<p><a href="http://www.example.com/1">x</a></p>\r\n'
)
LINK = re.compile(rb'href="https?://[a-z.]+/c/[^"]+"')
STANDARD = MilterOptions(
    Address("127.0.0.1", 0), allow=LOOPBACK, senders=(ip_network("192.0.2.0/24"),)
)


@dataclass
class Door:
    room: Mailroom
    server: MilterServer

    @asynccontextmanager
    async def client(self, client: str = "192.0.2.9") -> AsyncIterator[MilterClient]:
        made = await MilterClient.connect(self.server.address, client=client)
        try:
            assert (await made.hear())[:1] == b"O"
            yield made
        finally:
            await made.close()

    @contextmanager
    def nothing_is_kept(self) -> Iterator[None]:
        """Lock the store: emails wait."""
        with closing(sqlite3.connect(self.room.database, isolation_level=None)) as database:
            database.execute("BEGIN IMMEDIATE")
            yield
            database.execute("ROLLBACK")

    def states(self) -> list[int]:
        return [int(state) for (state,) in self.room.sql("SELECT state FROM messages ORDER BY id")]


@asynccontextmanager
async def milter_door(
    folder: Path, identities: str = "no", vault: Vault | None = None, **options: object
) -> AsyncIterator[Door]:
    async with mailroom(folder) as room:
        hosts = TrackingHosts("t.test", "s.test")
        acceptor = Acceptor(
            room.store, room.keys, hosts, "clicktrail.test", identities=identities, vault=vault
        )
        chosen = replace(STANDARD, **options)  # type: ignore[arg-type]
        server = MilterServer(chosen, acceptor)
        await server.start()
        try:
            yield Door(room, server)
        finally:
            await server.stop()


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    async with milter_door(tmp_path) as opened:
        yield opened


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not is_so():  # noqa: ASYNC110 - it has no event for that
            await asyncio.sleep(0.01)


def outgoing(raw: bytes, reply: Reply) -> bytes:
    assert reply.last == CONTINUE, reply
    return edited(*split(raw), reply.edits)


async def test_links_are_replaced_and_nothing_else(door: Door) -> None:
    async with door.client() as client:
        sent = outgoing(RAW, await client.submit(RAW))
    without = RAW.replace(b"X-SES-CONFIGURATION-SET: tracked\r\n", b"")
    assert LINK.sub(b'href="http://www.example.com/1"', sent) == without
    message = await door.room.only_message()
    assert message.state in (MessageState.PENDING, MessageState.SENT)
    assert message.source == "news@example.com"
    assert message.recipients == ("b@example.org",)
    assert message.source_ip == "192.0.2.9"
    assert [link.url for link in message.links] == ["http://www.example.com/1"]


async def test_an_email_is_sent_when_the_mail_server_was_told(door: Door) -> None:
    async with door.client() as client:
        await client.submit(RAW)
    await door.server.stop()  # which waits for it
    assert (await door.room.only_message()).state is MessageState.SENT


async def test_an_untracked_email_loses_control_headers_alone(door: Door) -> None:
    raw = RAW.replace(b": tracked", b": untracked")
    async with door.client() as client:
        reply = await client.submit(raw)
    assert reply.edits == [b"m\0\0\0\1X-SES-CONFIGURATION-SET\0\0"]
    assert (await door.room.only_message()).reason is Reason.OFF


async def test_nothing_is_asked_for_where_nothing_changes(door: Door) -> None:
    async with door.client() as client:
        reply = await client.submit(b"From: a@example.net\r\n\r\nplain\r\n")
    assert reply == Reply([], CONTINUE)


async def test_two_recipients_are_not_tracked(door: Door) -> None:
    async with door.client() as client:
        await client.submit(RAW, Envelope(recipients=("b@example.org", "c@example.org")))
    message = await door.room.only_message()
    assert message.reason is Reason.SEVERAL_RECIPIENTS
    assert message.recipients == ("b@example.org", "c@example.org")


async def test_several_emails_on_one_connection(door: Door) -> None:
    async with door.client() as client:
        for number in range(3):
            raw = RAW.replace(b"Subject: s", b"Subject: %d" % number)
            assert LINK.search(outgoing(raw, await client.submit(raw)))
            client.send(packet(b"A"))
        client.send(packet(b"K"))
    assert len(door.states()) == 3


async def test_several_emails_at_once_are_answered_one_by_one(door: Door) -> None:
    one = [*Envelope().packets(), *content(*split(RAW))]
    async with door.client() as client:
        client.send(*one, *one, *one)
        for _ in range(3):
            assert LINK.search(outgoing(RAW, await client.reply()))


async def test_emails_of_others_pass_and_leave_no_trace(door: Door) -> None:
    async with door.client("198.51.100.7") as client:
        assert await client.submit(RAW) == Reply([], CONTINUE)
        assert await client.submit(RAW, Envelope(user="")) == Reply([], CONTINUE)
        assert door.states() == []
        assert (await client.submit(RAW, Envelope(user="ann"))).edits
    assert len(door.states()) == 1


async def test_who_may_not_connect_is_hung_up_on(tmp_path: Path) -> None:
    async with milter_door(tmp_path, allow=(ip_network("192.0.2.0/24"),)) as door:
        client = await MilterClient.connect(door.server.address)
        assert await client.hear() == b""
        await client.close()


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (RAW.replace(b"tracked", b"none"), b"y554 5.6.0 there is no configuration set 'none'\0"),
        (
            RAW.replace(b"tracked", b"50%%1"),
            b"y554 5.6.0 there is no configuration set '50%%%%1'\0",
        ),
        (b"Received: x\r\n" * 51 + RAW, b"y554 5.4.6 too many hops"),
    ],
)
async def test_what_is_refused_is_refused_in_our_words(door: Door, raw: bytes, said: bytes) -> None:
    async with door.client() as client:
        reply = await client.submit(raw)
        assert reply.edits == []
        assert reply.last.startswith(said)
        assert LINK.search(outgoing(RAW, await client.submit(RAW)))  # the next one is taken


async def test_senders_without_an_identity_are_refused(tmp_path: Path) -> None:
    async with milter_door(tmp_path, identities="auto") as door, door.client() as client:
        raw = RAW.replace(b"news@example.com", b"news@example.net")
        envelope = Envelope("news@example.net")
        assert (await client.submit(raw, envelope)).last.startswith(
            b"y553 5.7.1 'news@example.net'"
        )


async def test_some_networks_need_no_identity(tmp_path: Path) -> None:
    exempt = (ip_network("192.0.2.9/32"),)
    async with milter_door(tmp_path, identities="auto", identities_exempt=exempt) as door:
        raw = RAW.replace(b"news@example.com", b"root@localhost")
        async with door.client("192.0.2.9") as cron, door.client("192.0.2.8") as other:
            assert (await cron.submit(raw, Envelope("root@localhost"))).last == CONTINUE
            reply = await other.submit(raw, Envelope("root@localhost"))
            assert reply.last.startswith(b"y553 5.7.1 'root@localhost'")


async def test_too_large_an_email_is_refused(tmp_path: Path) -> None:
    async with milter_door(tmp_path, max_size=100_000) as door, door.client() as client:
        reply = await client.submit(RAW + b"x" * 100_000)
        assert reply == Reply(
            [],
            b"y552 5.3.4 the email is too large: at most 100000 bytes are taken (smtp.max_size)\0",
        )
        assert LINK.search(outgoing(RAW, await client.submit(RAW)))


async def test_no_more_is_held_than_there_is_room_for(tmp_path: Path) -> None:
    async with milter_door(tmp_path, max_size=1 << 19, memory=1 << 20) as door:
        large = RAW + b"x" * 460_000
        packets = [*Envelope().packets(), *content(*split(large))]
        async with door.client() as one, door.client() as two, door.client() as three:
            for client in (one, two):  # all of it but the end
                client.send(*packets[:-2])
            await until(lambda: door.server.memory.held >= 2 * (400_000 - FREE))
            assert (await three.submit(large)).last.startswith(b"y452 4.3.1")
            for client in (one, two):
                client.send(*packets[-2:])
                assert (await client.reply()).last == CONTINUE
        await door.server.stop()
        assert door.server.memory.held == 0


async def test_what_has_come_of_large_headers_is_held_in_that_room_too(tmp_path: Path) -> None:
    most, number = 1 << 20, 12
    async with milter_door(tmp_path, max_size=1 << 18, memory=most) as door, AsyncExitStack() as on:
        clients = [await on.enter_async_context(door.client()) for _ in range(number)]
        large = packet(b"L", b"Subject\0 ", b"x" * 200_000 + b"\0")
        for client in clients:
            client.send(*Envelope().packets(), large[:-1])
            await client.writer.drain()

        def have_all_come() -> bool:
            shares = [each._share for each in door.server.connections]
            return all(share is None or share._size >= len(large) for share in shares)

        await until(lambda: sum(c.stage is Stage.RECEIVING for c in door.server.connections) == 12)
        await until(have_all_come)
        kept = sum(len(each._dialogue._buffer) for each in door.server.connections)
        assert kept <= most + number * (SMALL_LIMIT + 4)
        assert 0 < door.server.memory.held <= most
        lasts = []
        for client in clients:
            client.send(large[-1:], *content([(b"From", b" a@example.com")], b"x"))
            lasts.append((await client.reply()).last)
        assert CONTINUE in lasts
        assert any(last.startswith(b"y452 4.3.1") for last in lasts)
        await until(lambda: not door.server.memory.held)


async def test_a_connection_that_is_cut_leaves_nothing(door: Door) -> None:
    packets = [*Envelope().packets(), *content(*split(RAW + b"x" * 300_000))]
    for number in range(1, len(packets)):
        async with door.client() as client:
            client.send(*packets[:number])
            await client.writer.drain()
    await until(lambda: not door.server.memory.held)
    await door.server.stop()
    assert door.states() == []


async def test_a_mail_server_that_goes_before_the_answer_has_no_email(door: Door) -> None:
    with door.nothing_is_kept():
        async with door.client() as client:
            one = [*Envelope().packets(), *content(*split(RAW))]
            client.send(*one, *one)  # the second waits for the answer to the first
            await until(lambda: bool(door.server._tasks))
        await until(lambda: not len(door.server.connections))
    await until(lambda: not door.server._tasks)
    assert (await door.room.only_message()).state is MessageState.REFUSED


async def test_who_does_not_read_answers_is_not_heard(door: Door) -> None:
    text = RAW.replace(b"</p>", b"<b>x</b>\r\n" * 6000 + b"</p>")
    async with door.client() as client:
        (connection,) = door.server.connections
        transport = connection._transport
        assert transport is not None
        count = 0
        while transport.is_reading():  # until no answer more can be written
            assert count < 1000
            client.send(*Envelope().packets(), *content(*split(text)))
            count += 1
            await until(lambda: len(door.states()) == count)  # noqa: B023
            await until(lambda: not door.server._tasks)
        client.writer.transport.abort()
        await until(lambda: not len(door.server.connections))


@pytest.mark.parametrize("passes", [False, True])
async def test_without_a_store_an_email_waits_or_passes(tmp_path: Path, passes: bool) -> None:
    async with milter_door(tmp_path, pass_without_store=passes) as door, door.client() as client:
        door.room.sql("ALTER TABLE messages RENAME TO hidden")
        reply = await client.submit(RAW)
        door.room.sql("ALTER TABLE hidden RENAME TO messages")
        if passes:
            assert reply == Reply([], CONTINUE)
        else:
            assert reply.last.startswith(b"y451 4.3.0 the email cannot be kept now")
        assert LINK.search(outgoing(RAW, await client.submit(RAW)))


@pytest.mark.skipif(not hasattr(socket, "TCP_QUICKACK"), reason="NOT TESTED: it is Linux's")
async def test_what_comes_in_pieces_is_acknowledged_at_once(door: Door) -> None:
    async with door.client() as client:
        for _ in range(5):  # to who answers, the system sees, it waits to put both in one
            await client.submit(RAW)
        client.send(*Envelope().packets())
        (connection,) = door.server.connections
        await until(lambda: connection.stage is Stage.RECEIVING)
        assert connection._transport is not None
        served = connection._transport.get_extra_info("socket")
        assert served.getsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK) == 1


async def test_nonsense_ends_the_connection_and_no_other(door: Door) -> None:
    async with door.client() as client, door.client() as other:
        client.send(b"GET / HTTP/1.1\r\n\r\n")
        assert await client.hear() == b""
        assert LINK.search(outgoing(RAW, await other.submit(RAW)))


async def test_one_connection_too_many_takes_the_place_of_an_idle_one(tmp_path: Path) -> None:
    async with milter_door(tmp_path, max_connections=16) as door:
        clients = [await MilterClient.connect(door.server.address) for _ in range(17)]
        for client in clients:
            await client.hear()
        assert await clients[0].hear() == b""
        assert LINK.search(outgoing(RAW, await clients[16].submit(RAW)))
        for client in clients:
            await client.close()


async def test_who_is_silent_for_too_long_is_hung_up_on(tmp_path: Path) -> None:
    async with milter_door(tmp_path, timeout=0.2) as door, door.client() as client:
        assert await client.hear() == b""


async def test_stopping_answers_emails_whose_end_has_come_and_hangs_up_on_others(
    door: Door,
) -> None:
    async with door.client() as idle, door.client() as begun, door.client() as ended:
        begun.send(*Envelope().packets())
        with door.nothing_is_kept():
            ended.send(*Envelope().packets(), *content(*split(RAW)))
            await until(lambda: bool(door.server._tasks))
            stopping = asyncio.create_task(door.server.stop())
            await until(lambda: door.server.stopping)
        assert LINK.search(outgoing(RAW, await ended.reply()))
        assert await ended.hear() == b""
        assert await idle.hear() == b""
        assert await begun.hear() == b""
        await stopping
    assert (await door.room.only_message()).state is MessageState.SENT


async def test_a_socket_of_the_file_system(tmp_path: Path) -> None:
    path = tmp_path / "milter.sock"
    async with milter_door(tmp_path, listen=SocketPath(path)) as door, door.client() as client:
        assert path.stat().st_mode & 0o777 == 0o660
        assert LINK.search(outgoing(RAW, await client.submit(RAW)))
    assert not path.exists()


async def test_an_email_is_signed_as_it_goes_out(tmp_path: Path) -> None:
    vault, private = Vault(bytes(range(KEY_SIZE))), dkimkey.generate(1024)
    key = Dkim("sel", vault.seal(private, dkimkey.purpose("example.com")), "AWS_SES")
    async with milter_door(tmp_path, identities="auto", vault=vault) as door:
        await door.room.store.configuration.set_dkim("example.com", key)
        async with door.client() as client:
            raw = b"DKIM-Signature: v=1; of links that were others\r\n" + RAW
            sent = outgoing(raw, await client.submit(raw))
    assert LINK.search(sent)
    assert b"links that were others" not in sent
    assert dkim.verify(sent, dnsfunc=lambda *_, **__: dkimkey.dns_record(private).encode())
