"""What is said on the wire, command by command."""

from pathlib import Path

import pytest

from clicktrail.model import MessageState
from support.dialogue import play
from support.hostile_smarthost import HostileSmarthost
from support.mailroom import Client, mailroom


async def test_an_email_from_the_greeting_to_the_goodbye(tmp_path: Path) -> None:
    async with mailroom(tmp_path, max_size=1_000_000) as room:
        await play(
            room.server.address,
            """
            S: 220 clicktrail.test ESMTP Clicktrail
            C: EHLO client.example
            S: 250-clicktrail.test
            S: 250-SIZE 1000000
            S: 250-8BITMIME
            S: 250-SMTPUTF8
            S: 250-PIPELINING
            S: 250-CHUNKING
            S: 250-ENHANCEDSTATUSCODES
            S: 250 AUTH PLAIN LOGIN
            C: MAIL FROM:<a@example.com> SIZE=100 BODY=8BITMIME
            S: 250 2.1.0 Ok
            C: RCPT TO:<b@example.com>
            S: 250 2.1.5 Ok
            C: DATA
            S: 354 …
            C: Subject: x
            C:
            C: Hello
            C: .
            S: 250 2.0.0 Ok …
            C: QUIT
            S: 221 2.0.0 …
            S:
            """,
        )
        [taken] = room.hostile.taken
        assert taken.mail == "MAIL FROM:<a@example.com> BODY=8BITMIME SIZE=100"
        assert taken.rcpts == ["RCPT TO:<b@example.com>"]
        assert taken.message.endswith(b"\r\nSubject: x\r\n\r\nHello\r\n")
        assert (await room.only_message()).state is MessageState.SENT


async def test_pipelined_commands_are_answered_in_order(tmp_path: Path) -> None:
    hostile = HostileSmarthost(refused={"no@example.com": "550 5.1.1 no such user"})
    async with mailroom(tmp_path, hostile) as room:
        await play(
            room.server.address,
            """
            S: 220 …
            C: HELO client.example
            S: 250 clicktrail.test
            C: MAIL FROM:<a@example.com>
            C: RCPT TO:<b@example.com>
            C: RCPT TO:<no@example.com>
            C: RCPT TO:<c@example.com>
            C: DATA
            S: 250 2.1.0 Ok
            S: 250 2.1.5 Ok
            S: 550 5.1.1 no such user
            S: 250 2.1.5 Ok
            S: 354 …
            C: first
            C: .
            C: MAIL FROM:<>
            C: RCPT TO:<no@example.com>
            C: DATA
            C: RSET
            C: MAIL FROM:<a@example.com>
            C: RCPT TO:<d@example.com>
            C: DATA
            S: 250 2.0.0 Ok …
            S: 250 2.1.0 Ok
            S: 550 5.1.1 no such user
            S: 554 5.5.1 no valid recipients
            S: 250 2.0.0 Ok
            S: 250 2.1.0 Ok
            S: 250 2.1.5 Ok
            S: 354 …
            C: second
            C: .
            C: QUIT
            S: 250 2.0.0 Ok …
            S: 221 …
            S:
            """,
        )
        first, second = hostile.taken
        assert first.rcpts == ["RCPT TO:<b@example.com>", "RCPT TO:<c@example.com>"]
        assert first.message.endswith(b"\r\nfirst\r\n")
        assert second.rcpts == ["RCPT TO:<d@example.com>"]


async def test_commands_out_of_order_are_refused(tmp_path: Path) -> None:
    async with mailroom(tmp_path) as room:
        await play(
            room.server.address,
            """
            S: 220 …
            C: MAIL FROM:<a@example.com>
            S: 503 5.5.1 say EHLO first
            C: RCPT TO:<b@example.com>
            S: 503 5.5.1 …
            C: DATA
            S: 503 5.5.1 …
            C: AUTH PLAIN
            S: 503 5.5.1 say EHLO first
            C: EHLO
            S: 501 5.5.4 …
            C: HELO client.example
            S: 250 clicktrail.test
            C: MAIL FROM:<a@example.com> SIZE=5
            S: 501 5.5.4 …
            C: RCPT TO:<b@example.com>
            S: 503 5.5.1 …
            C: MAIL FROM:<a@example.com>
            S: 250 2.1.0 Ok
            C: MAIL FROM:<a@example.com>
            S: 503 5.5.1 …
            C: DATA
            S: 554 5.5.1 no valid recipients
            C: DATA now
            S: 501 5.5.4 …
            C: RSET now
            S: 501 5.5.4 …
            C: HELO client.example
            S: 250 clicktrail.test
            C: RCPT TO:<b@example.com>
            S: 503 5.5.1 …
            """,
        )
        assert not any(c.startswith(("MAIL", "RCPT", "DATA")) for c in room.hostile.commands)


async def test_small_talk_and_nonsense(tmp_path: Path) -> None:
    async with mailroom(tmp_path) as room:
        await play(
            room.server.address,
            """
            S: 220 …
            C: EHLO [192.0.2.1]
            S: 250-clicktrail.test
            S: 250-SIZE 10485760
            S: 250-8BITMIME
            S: 250-SMTPUTF8
            S: 250-PIPELINING
            S: 250-CHUNKING
            S: 250-ENHANCEDSTATUSCODES
            S: 250 AUTH PLAIN LOGIN
            C: NOOP whatever
            S: 250 2.0.0 …
            C: HELP
            S: 214 2.0.0 …
            C: VRFY somebody@example.com
            S: 252 2.0.0 …
            C: STARTTLS
            S: 454 4.7.0 …
            C:
            S: 500 5.5.2 …
            C: ETRN x
            S: 500 5.5.2 …
            C: GET / HTTP/1.1
            S: 500 5.5.2 …
            C: Host: x
            S: 500 5.5.2 …
            C: Accept: */*
            S: 500 5.5.2 …
            C: X: y
            S: 502 5.5.1 …
            S:
            """,
        )


@pytest.mark.parametrize(
    ("command", "reply"),
    [
        ("MAIL", "501 5.5.4"),
        ("MAIL FROM:", "501 5.5.4"),
        ("MAIL FROM:<a@example.com>x", "501 5.5.4"),
        ("MAIL FROM:<a@example.com> SIZE=99999999999999999999999", "501 5.5.4"),
        ("MAIL FROM:<a@example.com> SMTPUTF8=yes", "501 5.5.4"),
        ("MAIL FROM:<a\0b@example.com>", "553 5.1.3"),
        ("MAIL FROM:<a\rRCPT TO:<b@example.com>", "501 5.5.4"),
        (b"MAIL FROM:<\xff@example.com> SMTPUTF8", "553 5.1.3"),
        (b"MA\xcfL FROM:<a@example.com>", "500 5.5.2"),
        (b"EHLO \xff\0", "250"),
        ("mail from:a@example.com", "250 2.1.0"),
        ("MAIL FROM:<> SIZE=10485760 BODY=7BIT", "250 2.1.0"),
    ],
)
async def test_whatever_comes_is_answered(tmp_path: Path, command: str | bytes, reply: str) -> None:
    async with mailroom(tmp_path) as room, room.client() as client:
        await client.say("EHLO me")
        assert (await client.say(command)).startswith(reply)
        assert await client.say("RSET") == "250 2.0.0 Ok"
        assert (await client.submit(b"x\r\n")).startswith("250 2.0.0 Ok ")


async def test_a_command_line_may_be_long_but_not_endless(tmp_path: Path) -> None:
    async with mailroom(tmp_path) as room, room.client() as client:
        assert (await client.say("EHLO me", "NOOP " + "x" * 12_000)).startswith("250 ")
        assert (await client.say("NOOP " + "x" * 13_000)).startswith("500 5.5.2 ")
        assert (await client.say("NOOP " + "x" * 300_000)).startswith("500 5.5.2 ")
        assert (await client.submit(b"x\r\n")).startswith("250 2.0.0 Ok ")


async def bdat(client: Client, data: bytes, last: str = "") -> str:
    """Send a piece of an email; return the reply."""
    client.writer.write(b"BDAT %d%s\r\n%s" % (len(data), last.encode(), data))
    return await client.reply()


ANNOUNCED = "MAIL FROM:<a@example.com>", "RCPT TO:<b@example.com>"


async def test_an_email_comes_in_pieces(tmp_path: Path) -> None:
    async with mailroom(tmp_path) as room, room.client() as client:
        await client.say("EHLO me", *ANNOUNCED)
        client.writer.write(b"BDAT 14\r\nSubject: x\r\n\r\nbdat 6\r\n.\r\n.\r\nBDAT  0 last\r\n")
        assert await client.reply() == "250 2.0.0 14 bytes"
        assert await client.reply() == "250 2.0.0 6 bytes"
        assert (await client.reply()).startswith("250 2.0.0 Ok ")
        wire = b"Subject: y\r\n\r\n.dot\r\n.\r\nMAIL FROM:<c@example.com>\r\nno end"
        await client.say(*ANNOUNCED)
        assert (await bdat(client, wire, " LAST")).startswith("250 2.0.0 Ok ")
        await client.say(*ANNOUNCED)
        assert (await bdat(client, b"", " LAST")).startswith("250 2.0.0 Ok ")
        first, second, _ = room.hostile.taken
        assert first.message.endswith(b"\r\nSubject: x\r\n\r\n.\r\n.\r\n")
        assert second.message.endswith(b"\r\n" + wire + b"\r\n")


async def test_pieces_that_come_at_the_wrong_time_are_not_taken_for_commands(
    tmp_path: Path,
) -> None:
    hostile = HostileSmarthost(refused={"no@example.com": "550 5.1.1 no such user"})
    quit_ = b"QUIT\r\n"
    async with mailroom(tmp_path, hostile, max_size=1000) as room, room.client() as client:
        await client.say("EHLO me")
        assert await bdat(client, quit_, " LAST") == "503 5.5.1 say MAIL first"
        await client.say("MAIL FROM:<a@example.com>")
        assert await bdat(client, quit_) == "554 5.5.1 no valid recipients"
        assert (await client.say("RCPT TO:<no@example.com>")).startswith("550")
        assert await bdat(client, quit_, " LAST") == "554 5.5.1 no valid recipients"
        await client.say("RCPT TO:<b@example.com>")
        assert await bdat(client, quit_) == "250 2.0.0 6 bytes"
        for command in ("DATA", "RCPT TO:<c@example.com>", "MAIL FROM:<c@example.com>"):
            assert (await client.say(command)).startswith("503 5.5.1")
        assert (await bdat(client, bytes(1000))).startswith("552 5.3.4")
        assert await bdat(client, quit_, " LAST") == "503 5.5.1 say MAIL first"
        await client.say(*ANNOUNCED)
        assert await bdat(client, b"left\r\n") == "250 2.0.0 6 bytes"
        assert await client.say("RSET") == "250 2.0.0 Ok"
        await client.say(*ANNOUNCED)
        assert (await bdat(client, b"Subject: x\r\n\r\nx\r\n", " LAST")).startswith("250")
        [taken] = room.hostile.taken
        assert b"QUIT" not in taken.message
        assert b"left" not in taken.message
        assert room.server.memory.held == 0


@pytest.mark.parametrize(
    ("command", "code"),
    [
        *((f"BDAT{wrong}", "501 5.5.4") for wrong in ("", " x", " -1", " 1 LAST x", " 1LAST")),
        (f"BDAT {'9' * 30}", "501 5.5.4"),
        ("BDAT 2001", "552 5.3.4"),
    ],
)
async def test_what_follows_a_wrong_bdat_is_not_read(
    tmp_path: Path, command: str, code: str
) -> None:
    async with mailroom(tmp_path, max_size=1000) as room, room.client() as client:
        await client.say("EHLO me", *ANNOUNCED)
        client.send(command, "DATA", "Subject: x", "", "x", ".")
        assert (await client.reply()).startswith(code)
        assert not await client.reply()
        assert not room.hostile.taken


async def test_strangers_send_no_pieces(tmp_path: Path) -> None:
    async with mailroom(tmp_path, allow=()) as room, room.client() as client:
        await client.say("EHLO me")
        client.send("BDAT 6 LAST", "QUIT")
        assert await client.reply() == "530 5.7.0 sign in first (AUTH)"
        assert not await client.reply()
