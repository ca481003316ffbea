import asyncio
import contextlib
import smtplib
import socket
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from ipaddress import ip_network
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from clicktrail.ingress.smtp.session import Session
from clicktrail.model import MessageState
from clicktrail.settings.kinds import Address
from support.certificates import make_certificate
from support.hostile_smarthost import HostileSmarthost
from support.mailroom import Client, Mailroom, mailroom
from support.service import PATIENCE, SCALES

MESSAGE = (
    b"From: news@example.org\r\nSubject: a\r\n\r\n"
    b".dot\r\n..two\r\n.\r\ntrailing \t \r\n\xff\xfe\x00\r\n\r\nlone\nand\rend\r\n\r\n"
)
NOWHERE = (ip_network("203.0.113.0/24"),)


def without_trace(message: bytes) -> bytes:
    lines = message.split(b"\r\n", 3)
    assert lines[0].startswith(b"Received: from me ([127.0.0.1])")
    assert lines[1].startswith(b"\tby clicktrail.test")
    return lines[3]


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Mailroom]:
    async with mailroom(tmp_path) as opened:
        yield opened


@pytest.fixture
async def client(room: Mailroom) -> AsyncIterator[Client]:
    async with room.client() as connected:
        yield connected


async def test_the_greeting_says_what_is_offered(client: Client) -> None:
    assert client.greeting == "220 clicktrail.test ESMTP Clicktrail"
    assert (await client.say("EHLO me")).split("\n") == [
        "250-clicktrail.test",
        "250-SIZE 10485760",
        "250-8BITMIME",
        "250-SMTPUTF8",
        "250-PIPELINING",
        "250-CHUNKING",
        "250-ENHANCEDSTATUSCODES",
        "250 AUTH PLAIN LOGIN",
    ]
    assert await client.say("HELO me") == "250 clicktrail.test"


@pytest.mark.parametrize(
    "message", [MESSAGE, b"", b"\r\n", b".\r\n", b"x" * 200_000 + b"\r\n", b".a.\r\n" * 50_000]
)
async def test_an_email_goes_on_byte_for_byte(
    room: Mailroom, client: Client, message: bytes
) -> None:
    answer = await client.submit(message)
    kept = await room.message(answer)
    assert kept.source == "news@example.com"
    assert kept.recipients == ("b@example.org",)
    assert kept.source_ip == "127.0.0.1"
    assert without_trace(room.hostile.taken[0].message) == message


async def test_several_emails_go_through_one_connection(room: Mailroom, client: Client) -> None:
    first = await client.submit(b"a: b\r\n\r\n1\r\n")
    second = await client.submit(b"a: b\r\n\r\n2\r\n", "x@y.org", "z@y.org", sender="")
    assert (await room.message(first)).id != (await room.message(second)).id
    assert room.hostile.connections == 1
    assert room.hostile.taken[1].mail == "MAIL FROM:<>"
    assert len(room.hostile.taken[1].rcpts) == 2
    assert await client.say("QUIT") == "221 2.0.0 Bye"
    assert await client.reply() == ""


async def test_a_client_may_say_everything_at_once_and_stop_talking(
    room: Mailroom, client: Client
) -> None:
    client.send("EHLO me", "MAIL FROM:<a@b.org>", "RCPT TO:<c@d.org>", "DATA")
    client.send("Subject: x", "", "text", ".", "QUIT")
    client.writer.write_eof()
    codes = [(await client.reply())[:3] for _ in range(7)]
    assert codes == ["250", "250", "250", "354", "250", "221", ""]
    assert len(room.hostile.taken) == 1


async def test_smtplib_can_send(room: Mailroom) -> None:
    def send() -> None:
        with smtplib.SMTP(room.server.address.host, room.server.address.port) as smtp:
            smtp.sendmail("a@example.com", ["b@example.org"], MESSAGE.replace(b"\nand\r", b""))

    await asyncio.to_thread(send)
    assert len(room.hostile.taken) == 1


@pytest.mark.parametrize(
    ("lines", "answer"),
    [
        (["MAIL FROM:<a@b.org>"], "503 5.5.1"),
        (["EHLO me", "RCPT TO:<a@b.org>"], "503 5.5.1"),
        (["EHLO me", "DATA"], "503 5.5.1"),
        (["EHLO me", "MAIL FROM:<a@b.org>", "MAIL FROM:<a@b.org>"], "503 5.5.1"),
        (["EHLO me", "MAIL FROM:<a@b.org>", "DATA"], "554 5.5.1"),
        (["EHLO me", "MAIL FROM:<a@b.org"], "501 5.5.4"),
        (["EHLO me", "MAIL a@b.org"], "501 5.5.4"),
        (["EHLO me", "MAIL FROM:<a@b.org> SIZE=x"], "501 5.5.4"),
        (["EHLO me", "MAIL FROM:<a@b.org> BODY=BINARYMIME"], "501 5.5.4"),
        (["EHLO me", "MAIL FROM:<a@b.org> RET=FULL"], "250 2.1.0"),
        (["EHLO me", "MAIL FROM:<a@b.org> COLOR=RED"], "555 5.5.4"),
        (["EHLO me", "MAIL FROM:<a@b.org> SIZE=10485761"], "552 5.3.4"),
        (["EHLO me", "MAIL FROM:<ä@b.org>"], "553 5.6.7"),
        (["EHLO me", "MAIL FROM:<a@b.org> AUTH=<>"], "250 2.1.0"),
        (["EHLO me", "MAIL FROM: a@b.org"], "250 2.1.0"),
        (["HELO me", "MAIL FROM:<a@b.org> SIZE=1"], "501 5.5.4"),
        (["EHLO me", "MAIL FROM:<>", "RCPT TO:<>"], "501 5.1.3"),
        (["EHLO me", "MAIL FROM:<>", "RCPT TO:<a@b.org> NOTIFY=NEVER"], "250 2.1.5"),
        (["EHLO me", "MAIL FROM:<>", "RCPT TO:<a@b.org> COLOR=RED"], "555 5.5.4"),
        (["EHLO me", "MAIL FROM:<>", "RSET", "RCPT TO:<a@b.org>"], "503 5.5.1"),
        (["EHLO"], "501 5.5.4"),
        (["NOOP"], "250 2.0.0"),
        (["EXPN x"], "502 5.5.1"),
        (["VRFY <a@b.org>"], "252 2.0.0"),
        (["WHAT"], "500 5.5.2"),
        (["x" * 20_000], "500 5.5.2"),
        (["x" * 200_000], "500 5.5.2"),
        (["STARTTLS"], "454 4.7.0"),
    ],
)
async def test_answers_have_enhanced_codes(client: Client, lines: list[str], answer: str) -> None:
    assert (await client.say(*lines)).startswith(answer + " ")


@pytest.mark.parametrize(
    ("path", "address"),
    [
        ("<@relay.org,@x.org:a@b.org>", "a@b.org"),
        ('<"a > b"@b.org>', '"a > b"@b.org'),
        ("  <a+b@b.org>", "a+b@b.org"),
        ("<postmaster>", "postmaster"),
    ],
)
async def test_addresses_go_on_as_they_are(
    room: Mailroom, client: Client, path: str, address: str
) -> None:
    answer = await client.say("EHLO me", "MAIL FROM:<>", f"RCPT TO:{path}")
    assert answer == "250 2.1.5 Ok"
    assert room.hostile.commands[-1] == f"RCPT TO:<{address}>"


async def test_unicode_addresses_and_8bit_bodies_are_announced(
    room: Mailroom, client: Client
) -> None:
    mail = "MAIL FROM:<ä@ö.org> SMTPUTF8 BODY=8BITMIME SIZE=99"
    assert (await client.say("EHLO me", mail, "RCPT TO:<ü@b.org>", "DATA")).startswith("354")
    answer = await client.say("Subject: ä\r\n\r\ntext\r\n.")
    assert (await room.message(answer)).recipients == ("ü@b.org",)


async def test_too_large_an_email_is_refused_and_the_next_one_is_taken(tmp_path: Path) -> None:
    async with mailroom(tmp_path, max_size=1024) as room, room.client() as client:
        for size in (1025, 5000, 12_000):
            answer = await client.submit(b"x" * (size - 2) + b"\r\n")
            assert answer.startswith("552 5.3.4")
        assert (await client.submit(b".x\r\n" * 256)).startswith("250")  # stuffing is not counted
        assert len(room.hostile.taken) == 1


async def test_an_email_that_does_not_end_ends_the_connection(tmp_path: Path) -> None:
    async with mailroom(tmp_path, max_size=1024) as room, room.client() as client:
        with contextlib.suppress(ConnectionError):  # what was not read makes it a reset
            assert (await client.submit(b"x" * 20_000 + b"\r\n"))[:3] in ("421", "")
            assert await client.reply() == ""
        assert client.reader.at_eof() or client.reader.exception() is not None
        assert room.hostile.taken == []


@pytest.mark.parametrize("stage", ["MAIL", "RCPT"])
async def test_the_smarthosts_refusal_reaches_the_sender_for_each_recipient(
    room: Mailroom, client: Client, stage: str
) -> None:
    room.hostile.answers[stage] = "550-5.1.1 not\r\n550 5.1.1 here"
    answer = await client.say("EHLO me", "MAIL FROM:<a@b.org>", "RCPT TO:<c@d.org>")
    assert answer == "550-5.1.1 not\n550 5.1.1 here"
    assert (await client.say("DATA")).startswith("554 5.5.1")
    room.hostile.answers.clear()
    assert await client.say("RCPT TO:<c@d.org>") == "250 2.1.5 Ok"


async def test_an_email_with_some_recipients_refused_goes_to_the_others(
    room: Mailroom, client: Client
) -> None:
    room.hostile.refused["no@example.org"] = "452 4.2.2 full"
    named = ["RCPT TO:<b@example.org>", "RCPT TO:<no@example.org>"]
    answer = await client.say("EHLO me", "MAIL FROM:<news@example.com>", *named)
    assert answer == "452 4.2.2 full"
    await client.say("DATA")
    kept = await room.message(await client.say("Subject: x\r\n\r\nx\r\n."))
    assert kept.recipients == ("b@example.org",)
    assert kept.state is MessageState.SENT


@pytest.mark.parametrize("stage", ["DATA", "DOT"])
@pytest.mark.parametrize("words", ["554 5.7.1 spam", "451 greylisted", "452 4.3.1 no room"])
async def test_the_smarthosts_refusal_of_the_email_has_its_own_words(
    room: Mailroom, client: Client, stage: str, words: str
) -> None:
    room.hostile.answers[stage] = words
    assert await client.submit(MESSAGE) == words
    room.hostile.answers.clear()
    assert (await client.submit(MESSAGE)).startswith("250 2.0.0 Ok ")


@pytest.mark.parametrize("stage", ["MAIL", "RCPT", "DATA", "DOT"])
async def test_a_smarthost_that_ends_its_connection_does_not_end_ours(
    room: Mailroom, client: Client, stage: str
) -> None:
    room.hostile.answers[stage] = "421 4.3.2 closing"
    answer = await client.submit(MESSAGE)
    if stage in ("MAIL", "RCPT"):
        answer = await client.say("RCPT TO:<c@d.org>")
    # A further recipient after the smarthost has gone is told so in our words.
    assert answer == "451 4.3.2 closing" or (stage == "RCPT" and answer.startswith("451 4.4.1 "))
    room.hostile.answers.clear()
    assert (await client.submit(MESSAGE)).startswith("250 2.0.0 Ok ")


@pytest.mark.parametrize("stage", ["CONNECT", "EHLO", "MAIL", "RCPT", "DATA", "BODY", "DOT"])
@pytest.mark.parametrize("fault", ["drops", "stalls"])
async def test_a_smarthost_that_is_away_is_a_temporary_failure(
    tmp_path: Path, stage: str, fault: str
) -> None:
    hostile = HostileSmarthost()
    getattr(hostile, fault).add(stage)
    patience = 0.5 if fault == "stalls" else PATIENCE
    async with mailroom(tmp_path, hostile, patience=patience) as room, room.client() as client:
        answer = await client.submit(MESSAGE)
        if stage in ("CONNECT", "EHLO", "MAIL", "RCPT"):
            assert answer.startswith("554 5.5.1")  # DATA: no recipients
            answer = await client.say("RCPT TO:<c@d.org>")
        assert hostile.taken == []
        if stage in ("BODY", "DOT"):  # it may have all of it
            assert answer.startswith("451 4.4.2 ")
            [kept] = await room.store.browse.messages(10)
            assert kept.state is MessageState.UNKNOWN
        else:
            assert answer.startswith("451 4.4.1 ")


async def test_a_smarthost_that_wants_something_else_of_us_is_a_temporary_failure(
    room: Mailroom, client: Client
) -> None:
    room.hostile.answers["MAIL"] = "530 5.7.0 Must issue a STARTTLS command first"
    await client.say("EHLO me", "MAIL FROM:<a@b.org>")
    assert (await client.say("RCPT TO:<c@d.org>")).startswith("451 4.4.1 ")


async def test_a_smarthost_that_goes_away_between_recipients_is_a_temporary_failure(
    room: Mailroom, client: Client
) -> None:
    await client.say("EHLO me", "MAIL FROM:<a@b.org>", "RCPT TO:<c@d.org>")
    room.hostile.cut_all()
    for line in ("RCPT TO:<e@f.org>", "DATA", "RCPT TO:<e@f.org>"):
        assert (await client.say(line)).startswith("451 4.4.1 ")
    assert await client.say("RSET") == "250 2.0.0 Ok"
    assert (await client.submit(MESSAGE)).startswith("250")


@pytest.mark.parametrize("how", ["RSET", "QUIT", "EHLO again", "close", "abort"])
async def test_an_email_that_is_given_up_is_given_up_at_the_smarthost(
    room: Mailroom, how: str
) -> None:
    async with room.client() as client:
        await client.say("EHLO me", "MAIL FROM:<a@b.org>", "RCPT TO:<c@d.org>")
        if how == "close":
            await client.close()
        elif how == "abort":
            client.writer.transport.abort()
        else:
            assert (await client.say(how))[0] == "2"
        await room.hostile.heard("RSET")
    assert room.hostile.taken == []


async def test_a_client_that_leaves_in_the_middle_of_the_email_sends_nothing(
    room: Mailroom,
) -> None:
    async with room.client() as client:
        await client.say("EHLO me", "MAIL FROM:<a@b.org>", "RCPT TO:<c@d.org>", "DATA")
        client.send("Subject: half", "", "text")
    await room.hostile.heard("RSET")
    assert room.hostile.taken == []


async def test_what_the_smarthost_has_taken_is_kept_even_if_the_client_is_gone(
    room: Mailroom,
) -> None:
    room.hostile.stalls.add("DOT")
    async with room.client() as client:
        await client.say("EHLO me", "MAIL FROM:<a@b.org>", "RCPT TO:<c@d.org>", "DATA")
        client.send("Subject: x\r\n\r\nx\r\n.")
        await room.hostile.reached.wait()
        client.writer.transport.abort()
    room.hostile.let_go.set()
    await room.server.stop()
    assert (await room.only_message()).state is MessageState.SENT


async def test_an_email_that_cannot_be_kept_is_not_sent(room: Mailroom, client: Client) -> None:
    room.sql("ALTER TABLE message_contents RENAME TO away")
    assert (await client.submit(MESSAGE)).startswith("451 4.3.0 ")
    assert room.hostile.taken == []


async def test_an_email_that_was_sent_is_accepted_even_if_that_cannot_be_kept(
    room: Mailroom, client: Client
) -> None:
    room.hostile.stalls.add("DOT")
    submitting = asyncio.create_task(client.submit(MESSAGE))
    await room.hostile.reached.wait()
    room.sql("ALTER TABLE message_contents RENAME TO away")
    room.hostile.let_go.set()
    assert (await submitting).startswith("250 2.0.0 Ok ")
    room.sql("ALTER TABLE away RENAME TO message_contents")
    assert (await room.only_message()).state is MessageState.PENDING


async def test_a_fault_of_ours_is_not_shown_to_the_client(
    room: Mailroom, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: bytes) -> None:
        raise RuntimeError("secret details")

    monkeypatch.setattr("clicktrail.ingress.inspection.read_header", broken)
    answer = await client.submit(MESSAGE)
    assert answer.startswith("451 4.3.0 ")
    assert "secret" not in answer
    assert room.hostile.commands[-1] == "RSET"
    monkeypatch.setattr("clicktrail.ingress.smtp.session.read_mail", broken)
    answer = await client.say("MAIL FROM:<a@b.org>")
    assert answer.startswith("451 4.3.0 ")
    assert "secret" not in answer


async def test_an_unknown_configuration_set_is_told_to_the_sender(
    room: Mailroom, client: Client
) -> None:
    answer = await client.submit(b"X-SES-CONFIGURATION-SET: nope\r\n\r\nx\r\n")
    assert answer == "554 5.6.0 there is no configuration set 'nope'"
    assert room.hostile.taken == []


def plain(name: str, password: str) -> str:
    return b64encode(f"\0{name}\0{password}".encode()).decode()


def coded(text: str) -> str:
    return b64encode(text.encode()).decode()


async def test_a_session_ends_for_a_user_who_is_deleted(tmp_path: Path) -> None:
    async with mailroom(tmp_path, allow=NOWHERE) as room:
        password = await room.store.users.create("shop")
        async with room.client() as client:
            await client.say("EHLO me")
            await client.say(f"AUTH PLAIN {plain('shop', password)}")
            assert (await client.submit(MESSAGE)).startswith("250")
            await room.store.users.delete("shop")
            assert (await client.say("MAIL FROM:<a@b.org>")).startswith("530 5.7.0")
            other = await room.store.users.create("shop")
            assert (await client.say("MAIL FROM:<a@b.org>")).startswith("530 5.7.0")
            assert (await client.say(f"AUTH PLAIN {plain('shop', other)}")).startswith("235")
            assert (await client.submit(MESSAGE)).startswith("250")
            await room.store.close()
            assert (await client.say("MAIL FROM:<a@b.org>")).startswith("451 4.3.0 whether")


async def test_who_is_not_allowed_must_sign_in(tmp_path: Path) -> None:
    async with mailroom(tmp_path, allow=NOWHERE) as room:
        password = await room.store.users.create("shop")
        async with room.client() as client:
            assert (await client.submit(MESSAGE)).startswith("503")
            assert (await client.say("EHLO me", "MAIL FROM:<a@b.org>")).startswith("530 5.7.0")
            assert (await client.say(f"AUTH PLAIN {plain('shop', 'no')}")).startswith("535 5.7.8")
            assert (await client.say("AUTH PLAIN")) == "334 "
            assert (await client.say(plain("shop", password))).startswith("235 2.7.0")
            assert (await client.say("AUTH PLAIN")).startswith("503 5.5.1")
            assert (await client.submit(MESSAGE)).startswith("250")
        async with room.client() as client:
            assert (await client.say("EHLO me", "auth login")) == f"334 {coded('Username:')}"
            assert (await client.say(coded("shop"))) == f"334 {coded('Password:')}"
            assert (await client.say(coded(password))).startswith("235 2.7.0")
            assert b"with ESMTPA id" in room.hostile.taken[0].message


@pytest.mark.parametrize(
    ("lines", "answer"),
    [
        (["AUTH PLAIN eA=="], "501 5.5.2"),
        (["AUTH PLAIN ="], "501 5.5.2"),
        (["AUTH PLAIN %%"], "501 5.5.2"),
        (["AUTH PLAIN", "*"], "501 5.7.0"),
        (["AUTH LOGIN", "*"], "501 5.7.0"),
        (["AUTH LOGIN eA==", "%%"], "501 5.5.2"),
        (["AUTH LOGIN eA==", "A" * 200_000], "500 5.5.6"),
        (["AUTH LOGIN eA==", "A" * 200_000, "NOOP"], "250 2.0.0"),
        (["AUTH CRAM-MD5"], "504 5.5.4"),
        (["AUTH"], "501 5.5.4"),
        (["MAIL FROM:<>", "AUTH PLAIN"], "503 5.5.1"),
    ],
)
async def test_a_sign_in_that_makes_no_sense_is_refused(
    client: Client, lines: list[str], answer: str
) -> None:
    assert (await client.say("AUTH PLAIN")).startswith("503 5.5.1")
    assert (await client.say("EHLO me", *lines)).startswith(answer)


async def test_a_flood_of_commands_in_one_packet_leaves_others_their_turn(tmp_path: Path) -> None:
    flood = 10_000
    async with mailroom(tmp_path) as room, room.client() as one, room.client() as other:
        one.writer.write(b"NOOP\r\n" * flood)
        assert (await other.say("NOOP")).startswith("250")
        answered = len(one.reader._buffer.splitlines())  # type: ignore[attr-defined]
        assert answered < flood // 10
        for _ in range(flood):
            assert (await one.reply()).startswith("250")


async def test_three_wrong_passwords_end_the_connection(client: Client) -> None:
    wrong = f"AUTH PLAIN {plain('nobody', 'x')}"
    assert (await client.say("EHLO me", wrong, wrong)).startswith("535 5.7.8")
    assert (await client.say(wrong)).startswith("421 4.7.0")
    assert await client.reply() == ""


async def test_starttls_encrypts_and_begins_anew(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    trusting = ssl.create_default_context(cafile=str(certificate))
    async with (
        mailroom(tmp_path, certificate=certificate, key=key) as room,
        room.client() as client,
    ):
        assert "250-STARTTLS" in await client.say("EHLO me")
        # What comes in the clear behind the command must not be heard.
        client.send("STARTTLS", "MAIL FROM:<evil@example.com>")
        assert (await client.reply()).startswith("220 2.0.0")
        await client.writer.start_tls(trusting, server_hostname="localhost")
        assert (await client.say("MAIL FROM:<a@b.org>")).startswith("503 5.5.1")
        offered = await client.say("EHLO me")
        assert "STARTTLS" not in offered
        assert "AUTH PLAIN LOGIN" in offered
        assert (await client.say("STARTTLS")).startswith("503 5.5.1")
        assert (await client.submit(MESSAGE)).startswith("250")
        assert b"with ESMTPS id" in room.hostile.taken[0].message
        assert await client.say("QUIT") == "221 2.0.0 Bye"
        assert await client.reply() == ""


def own_address() -> str:
    """Return an address of this machine that is not loopback; skip the test where it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            asking.connect(("198.51.100.1", 9))  # sends nothing
        except OSError:
            pytest.skip("NOT TESTED: a client that is elsewhere; this machine has no network")
        address: str = asking.getsockname()[0]
    return address


@pytest.mark.parametrize("has_tls", [True, False])
async def test_a_client_that_may_not_send_is_told_the_way_in_that_there_is(
    tmp_path: Path, has_tls: bool
) -> None:
    options: dict[str, Any] = {"listen": Address(own_address(), 0), "allow": ()}
    if has_tls:
        options["certificate"], options["key"] = make_certificate(tmp_path)
    async with mailroom(tmp_path, **options) as room, room.client() as client:
        refused = await client.say("EHLO me", "MAIL FROM:<a@b.org>")
        sign_in = await client.say(f"AUTH PLAIN {plain('shop', 'x')}")
        assert (refused[:9], sign_in[:10]) == ("530 5.7.0", "538 5.7.11")
        for answer in (refused, sign_in):
            assert ("STARTTLS" in answer) == has_tls
            assert ("smtp.tls_certificate" in answer) == (not has_tls)


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not holds():  # noqa: ASYNC110 - what happens sets no event
            await asyncio.sleep(0)


async def test_what_comes_while_the_answer_to_starttls_waits_is_not_heard(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    trusting = ssl.create_default_context(cafile=str(certificate))
    async with (
        mailroom(tmp_path, certificate=certificate, key=key) as room,
        room.client() as client,
    ):
        (session,) = room.server.sessions
        assert isinstance(session, Session)
        served, reading = session.transport, client.writer.transport
        assert isinstance(served, asyncio.Transport)
        assert isinstance(reading, asyncio.Transport)
        # The client does not read, until answers have no room in the system's buffers, however
        # much of what it has promised to take comes late.
        reading.pause_reading()
        for end, option in ((served, socket.SO_SNDBUF), (reading, socket.SO_RCVBUF)):
            end.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, option, 4096)
        served.set_write_buffer_limits(high=1 << 30)
        for number in count():
            if served.get_write_buffer_size() > 200_000:
                break
            name = f"me-{number}"
            client.send(*["HELP"] * 1000, f"EHLO {name}")
            await until(partial(lambda name: session._client_name == name, name))
        served.set_write_buffer_limits(high=0)
        client.send("STARTTLS")
        await until(lambda: session._drain_waiters)  # type: ignore[attr-defined]
        client.send("MAIL FROM:<evil@example.com>")
        await until(lambda: session._reader._buffer)  # type: ignore[attr-defined]
        reading.resume_reading()
        while not (await client.reply()).startswith("220 2.0.0"):
            pass
        await client.writer.start_tls(trusting, server_hostname="localhost")
        assert await client.say("NOOP") == "250 2.0.0 OK"


async def test_a_tls_handshake_that_fails_ends_the_connection(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    async with (
        mailroom(tmp_path, certificate=certificate, key=key) as room,
        room.client() as client,
    ):
        assert (await client.say("EHLO me", "STARTTLS")).startswith("220")
        client.send("this is no handshake")
        async with asyncio.timeout(PATIENCE):
            await client.reader.read()


async def test_one_connection_too_many_is_sent_away(tmp_path: Path) -> None:
    async with mailroom(tmp_path, max_connections=2) as room:
        async with room.client() as first, room.client() as second:
            for client in (first, second):
                await client.say("EHLO me", "MAIL FROM:<a@example.com>")
            third = await Client.connect(room.server.address)
            assert third.greeting == (
                "421 4.3.2 too many connections (smtp.max_connections): try again later"
            )
            assert await third.reply() == ""
            await third.close()
            await second.say("RSET")
            assert (await second.submit(MESSAGE)).startswith("250")
        fourth = ""
        async with asyncio.timeout(PATIENCE):
            while not fourth.startswith("220"):  # until the server has seen the others leave
                async with room.client() as client:
                    fourth = client.greeting


async def test_who_has_said_nothing_makes_room(tmp_path: Path) -> None:
    async with (
        mailroom(tmp_path, max_connections=2) as room,
        room.client() as silent,
        room.client() as sender,
    ):
        assert (await sender.submit(MESSAGE)).startswith("250")
        async with room.client() as third:
            assert (await silent.reply()).startswith("421 4.3.2 too many connections (smtp.max_c")
            assert (await third.submit(MESSAGE)).startswith("250")
            assert (await sender.submit(MESSAGE)).startswith("250")


async def test_a_stranger_has_few_connections_and_little_time(tmp_path: Path) -> None:
    async with (
        mailroom(tmp_path, allow=(), max_per_address=2, first_timeout=0.5) as room,
        room.client() as first,
        room.client() as second,
        room.client() as third,
    ):
        assert await first.reply() == (
            "421 4.3.2 too many connections from your address (smtp.max_per_address): try again"
            " later"
        )
        for client in (second, third):
            assert (await client.reply()).startswith("421 4.4.2")


async def test_who_signs_in_is_no_stranger(tmp_path: Path) -> None:
    async with mailroom(tmp_path, allow=()) as room:
        password = await room.store.users.create("app")
        plain = b64encode(f"\0app\0{password}".encode()).decode()
        for scale in SCALES:
            room.server.options = replace(room.server.options, first_timeout=0.5 * scale)
            async with room.client() as client, room.client() as stranger:
                answer = await client.say("EHLO me", f"AUTH PLAIN {plain}")
                if not answer.startswith("235") and scale != SCALES[-1]:
                    continue  # the machine is busy: it took more than the time of a stranger
                assert answer.startswith("235")
                assert (await stranger.reply()).startswith("421 4.4.2")
                async with room.client() as later:
                    assert (await later.reply()).startswith("421 4.4.2")
                assert (await client.submit(MESSAGE)).startswith("250")
                return


async def test_there_is_memory_for_so_many_emails_at_once(tmp_path: Path) -> None:
    large = b"From: a@example.com\r\n\r\n" + (b"x" * 98 + b"\r\n") * 1900
    async with mailroom(tmp_path, max_size=200_000, memory=1) as room:
        memory = room.server.memory

        async def until(least: int, most: int) -> None:
            async with asyncio.timeout(PATIENCE):
                while not least <= memory.held <= most:  # noqa: ASYNC110 - it tells nobody
                    await asyncio.sleep(0.01)

        async with room.client() as late, room.client() as small:
            async with AsyncExitStack() as stack:
                for number in range(5):
                    client = await stack.enter_async_context(room.client())
                    started = await client.say(
                        "EHLO me", "MAIL FROM:<a@example.com>", "RCPT TO:<b@example.org>", "DATA"
                    )
                    assert started.startswith("354")
                    client.writer.write(large)  # and no end
                    await until((number + 1) * 50_000, 400_000)
                assert (await late.submit(large)).startswith("452 4.3.1")
                assert (await small.submit(MESSAGE)).startswith("250")
            await until(0, 0)
            assert (await late.submit(large)).startswith("250")
            assert memory.held == 0


async def test_a_silent_client_is_sent_away(tmp_path: Path) -> None:
    async with mailroom(tmp_path, timeout=0.1) as room, room.client() as client:
        assert (await client.reply()).startswith("421 4.4.2")
        assert await client.reply() == ""


async def test_a_slow_smarthost_is_not_held_against_the_client(tmp_path: Path) -> None:
    hostile = HostileSmarthost(stalls={"DOT"})
    async with (
        mailroom(tmp_path, hostile, patience=1, timeout=0.5) as room,
        room.client() as client,
    ):
        assert (await client.submit(MESSAGE)).startswith("451 4.4.2")  # and not 421 before


async def test_stopping_answers_the_email_that_is_on_its_way(room: Mailroom) -> None:
    room.hostile.stalls.add("DOT")
    async with room.client() as busy, room.client() as idle:
        submitting = asyncio.create_task(busy.submit(MESSAGE))
        await room.hostile.reached.wait()
        stopping = asyncio.create_task(room.server.stop())
        assert (await idle.reply()).startswith("421 4.3.2")
        assert not stopping.done()
        room.hostile.let_go.set()
        assert (await submitting).startswith("250 2.0.0 Ok ")
        assert (await busy.reply()).startswith("421 4.3.2")
        await stopping
        with pytest.raises(OSError, match=r"Connect call failed|refused"):
            await Client.connect(room.server.address)
    assert (await room.only_message()).state is MessageState.SENT
