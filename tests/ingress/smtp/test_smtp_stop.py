"""Time: slow clients, silent clients, and stopping while emails are coming in."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import uvloop
from aiosmtplib import SMTP

from clicktrail.ingress.smtp.server import SmtpServer
from clicktrail.model import MessageState
from support.certificates import make_certificate
from support.hostile_smarthost import HostileSmarthost
from support.mailroom import Client, mailroom
from support.service import SCALES

Scenario = Callable[[Path], Awaitable[None]]


async def begin_data(client: Client) -> None:
    answer = await client.say("EHLO me", "MAIL FROM:<a@b.org>", "RCPT TO:<c@d.org>", "DATA")
    assert answer.startswith("354")


async def an_email_whose_data_has_begun_is_finished(folder: Path) -> None:
    async with mailroom(folder) as room, room.client() as busy, room.client() as idle:
        await begin_data(busy)
        busy.send("Subject: x", "")
        stopping = asyncio.create_task(room.server.stop())
        assert (await idle.reply()).startswith("421 4.3.2 ")
        assert await idle.reply() == ""
        busy.send("the rest", ".")
        assert (await busy.reply()).startswith("250 2.0.0 Ok ")
        assert (await busy.reply()).startswith("421 4.3.2 ")
        assert await busy.reply() == ""
        await stopping
        assert (await room.only_message()).state is MessageState.SENT
        assert room.hostile.taken[0].message.endswith(b"Subject: x\r\n\r\nthe rest\r\n")


async def an_email_that_does_not_end_does_not_stop_the_stopping(folder: Path) -> None:
    async with mailroom(folder) as room, room.client() as busy:
        await begin_data(busy)
        busy.send("Subject: x")
        await room.server.stop()
        assert await busy.reply() == ""
        assert room.hostile.taken == []


async def an_email_between_its_recipients_and_its_data_is_given_up(folder: Path) -> None:
    async with mailroom(folder) as room, room.client() as client:
        await client.say("EHLO me", "MAIL FROM:<a@b.org>", "RCPT TO:<c@d.org>")
        await room.server.stop()
        assert (await client.reply()).startswith("421 4.3.2 ")
        assert await client.reply() == ""
        await room.hostile.heard("RSET")


async def an_email_may_come_slowly_as_long_as_it_comes(folder: Path) -> None:
    line = b"x" * 998 + b"\r\n"
    for scale in SCALES:
        (folder / str(scale)).mkdir()
        async with (
            mailroom(folder / str(scale), timeout=0.6 * scale) as room,
            room.client() as client,
        ):
            await begin_data(client)
            for _ in range(10):  # longer than the time-out, faster than `SLOWEST`
                client.writer.write(line * 5 * scale)
                await asyncio.sleep(0.08 * scale)
            client.send(".")
            answer = await client.reply()
            if answer.startswith("421 4.4.2 ") and scale != SCALES[-1]:
                continue  # the machine is busy: it was a pause of more than the time-out
            assert answer.startswith("250 2.0.0 Ok ")
            assert room.hostile.taken[0].message.endswith(line * 50 * scale)
            return


async def a_client_that_falls_silent_in_its_email_is_sent_away(folder: Path) -> None:
    async with mailroom(folder, timeout=0.2) as room, room.client() as client:
        await begin_data(client)
        client.send("Subject: half")
        assert (await client.reply()).startswith("421 4.4.2 ")
        assert await client.reply() == ""
        await room.hostile.heard("RSET")
        assert room.hostile.taken == []


async def a_client_has_its_whole_time_again_after_a_slow_smarthost(folder: Path) -> None:
    hostile = HostileSmarthost(stalls={"RCPT"})
    async with mailroom(folder, hostile, timeout=0.3) as room, room.client() as client:
        slow = asyncio.create_task(
            client.say("EHLO me", "MAIL FROM:<a@b.org>", "RCPT TO:<c@d.org>")
        )
        await hostile.reached.wait()
        await asyncio.sleep(0.4)
        hostile.stalls.clear()
        hostile.let_go.set()
        assert await slow == "250 2.1.5 Ok"
        assert (await client.reply()).startswith("421 4.4.2 ")  # and no more than its time
        assert await client.reply() == ""
        await room.server.stop()


async def a_client_of_another_make_sends_over_tls(folder: Path) -> None:
    certificate, key = make_certificate(folder)
    async with mailroom(folder, certificate=certificate, key=key, allow=()) as room:
        password = await room.store.users.create("shop")
        host, port = room.server.address.host, room.server.address.port
        other = SMTP(
            hostname=host,
            port=port,
            username="shop",
            password=password,
            cert_bundle=str(certificate),
            start_tls=True,
        )
        async with other:
            refused, answer = await other.sendmail("a@b.org", ["c@d.org"], b"Subject: x\r\n\r\nx")
        assert refused == {}
        assert answer.startswith("2.0.0 Ok ")
        assert b"with ESMTPSA id" in room.hostile.taken[0].message


SCENARIOS = [
    an_email_whose_data_has_begun_is_finished,
    an_email_that_does_not_end_does_not_stop_the_stopping,
    an_email_between_its_recipients_and_its_data_is_given_up,
    an_email_may_come_slowly_as_long_as_it_comes,
    a_client_that_falls_silent_in_its_email_is_sent_away,
    a_client_has_its_whole_time_again_after_a_slow_smarthost,
    a_client_of_another_make_sends_over_tls,
]


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda each: each.__name__)
def test_with_both_event_loops(
    scenario: Scenario,
    run: Callable[[Awaitable[None]], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if scenario is an_email_that_does_not_end_does_not_stop_the_stopping:
        monkeypatch.setattr(SmtpServer, "STOP_SECONDS", 0.2)
    run(scenario(tmp_path))
