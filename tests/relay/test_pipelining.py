"""Commands that go out together (RFC 2920), and emails without an answer before them (RFC 3030)."""

import pytest
from aiosmtplib import SMTP
from aiosmtplib.errors import SMTPServerDisconnected

from clicktrail.errors import (
    MessageRefused,
    SmarthostRefused,
    SmarthostRefusesUs,
    SmarthostSilent,
    SmarthostUnavailable,
)
from clicktrail.model import Envelope, Recipient, Reply
from clicktrail.relay.smarthost import SmtpSmarthost
from clicktrail.relay.wire import Wire
from relay.test_smarthost import LARGE, MESSAGE, relay, send
from support.hostile_smarthost import HostileSmarthost
from support.service import PATIENCE

NAMES = ("a@example.net", "b@example.net", "c@example.net")
CHUNKING = ("8BITMIME", "PIPELINING", "CHUNKING")


async def send_to(smarthost: SmtpSmarthost, *addresses: str) -> list[Reply]:
    """Send an email to those that are taken; return the answers to all."""
    transaction = await smarthost.begin(Envelope("a@example.com"))
    answers = await transaction.rcpt([*map(Recipient, addresses)])
    if any(code < 400 for code, _ in answers):
        await transaction.data(MESSAGE)
    await transaction.abort()
    return answers


def named(hostile: HostileSmarthost) -> list[str]:
    """Return who the last email that was taken is for."""
    return [line[len("RCPT TO:<") : -1] for line in hostile.taken[-1].rcpts]


async def test_mail_and_recipients_go_out_together_where_that_is_offered() -> None:
    async with HostileSmarthost(lazy={"MAIL"}) as hostile, relay(hostile) as smarthost:
        for _ in range(2):
            assert [code for code, _ in await send_to(smarthost, *NAMES)] == [250] * 3
            assert named(hostile) == list(NAMES)
        assert hostile.connections == 1


async def test_they_go_out_one_by_one_where_it_is_not() -> None:
    hostile = HostileSmarthost(offers=("8BITMIME",), refused={NAMES[1]: "550 no"})
    async with hostile, relay(hostile) as smarthost:
        assert [code for code, _ in await send_to(smarthost, *NAMES)] == [250, 550, 250]
        hostile.answers["MAIL"] = "451 later"
        with pytest.raises(SmarthostRefused, match="451 later"):
            await send_to(smarthost, "d@example.net")
        assert hostile.ahead == []
        assert "RCPT TO:<d@example.net>" not in hostile.commands


@pytest.mark.parametrize("offers", [("8BITMIME",), CHUNKING])
async def test_each_recipient_gets_the_answer_that_is_his(offers: tuple[str, ...]) -> None:
    hostile = HostileSmarthost(
        offers=offers, refused={NAMES[0]: "550 no", NAMES[2]: "450-a\r\n450 b"}
    )
    async with hostile, relay(hostile) as smarthost:
        asked = [NAMES[0], "ä@example.net", NAMES[1], NAMES[2]]
        answers = await send_to(smarthost, *asked)
        assert answers == [
            (550, "no"),
            (553, "5.6.7 a non-ASCII address needs SMTPUTF8"),
            (250, "2.1.5 Ok"),
            (450, "a\nb"),
        ]
        assert named(hostile) == [NAMES[1]]


@pytest.mark.parametrize("taken", [True, False])
async def test_a_refused_email_leaves_nobody_named_for_the_next(taken: bool) -> None:
    hostile = HostileSmarthost({"MAIL": "552 5.3.4 too large"})
    if not taken:
        hostile.refused = dict.fromkeys(NAMES, "503 5.5.1 need MAIL")
    async with hostile, relay(hostile) as smarthost:
        with pytest.raises(SmarthostRefused, match=r"552 5\.3\.4 too large"):
            await send_to(smarthost, *NAMES)
        assert ("RSET" in hostile.commands) == taken
        hostile.answers.clear()
        hostile.refused.clear()
        assert await send_to(smarthost, "d@example.net") == [(250, "2.1.5 Ok")]
        assert named(hostile) == ["d@example.net"]
        assert hostile.connections == 1


async def test_an_end_among_recipients_answers_those_behind_it() -> None:
    hostile = HostileSmarthost(refused={NAMES[1]: "421 4.7.0 too many"})
    async with hostile, relay(hostile) as smarthost:
        transaction = await smarthost.begin(Envelope("a@example.com"))
        answers = await transaction.rcpt([*map(Recipient, NAMES)])
        assert [code for code, _ in answers] == [250, 421, 421]
        with pytest.raises(SmarthostUnavailable):
            await transaction.data(MESSAGE)
        await send_to(smarthost, NAMES[0])
        assert hostile.connections == 2


async def test_what_it_has_against_us_among_recipients_is_our_trouble() -> None:
    hostile = HostileSmarthost(refused={NAMES[1]: "530 5.7.0 sign in"})
    async with hostile, relay(hostile) as smarthost:
        with pytest.raises(SmarthostRefusesUs):
            await send_to(smarthost, *NAMES)
        assert smarthost.refuses_us


@pytest.mark.parametrize("stage", ["MAIL", "RCPT"])
async def test_a_used_connection_that_is_cut_before_the_email_is_replaced(stage: str) -> None:
    async with HostileSmarthost() as hostile, relay(hostile) as smarthost:
        await send_to(smarthost, *NAMES)
        hostile.drops.add(stage)
        with pytest.raises(SmarthostUnavailable):  # the fresh one is cut too
            await send_to(smarthost, *NAMES)
        assert (hostile.connections, len(hostile.taken)) == (2, 1)
        hostile.drops.clear()
        await send_to(smarthost, *NAMES)
        assert (hostile.connections, len(hostile.taken)) == (3, 2)


async def test_another_connection_is_told_what_it_understands() -> None:
    async with HostileSmarthost(offers=CHUNKING) as hostile, relay(hostile) as smarthost:
        await send(smarthost)
        transaction = await smarthost.begin(Envelope("a@example.com", body_8bit=True))
        hostile.offers = ()
        hostile.cut_all()
        await transaction.rcpt([Recipient(NAMES[0])])
        await transaction.data(MESSAGE)
        assert hostile.taken[-1].mail == "MAIL FROM:<a@example.com>"
        assert hostile.taken[-1].stuffed
        transaction = await smarthost.begin(Envelope("a@example.com"))
        await transaction.abort()


async def test_an_email_that_the_next_connection_cannot_take_is_refused() -> None:
    async with HostileSmarthost() as hostile, relay(hostile) as smarthost:
        await send(smarthost)
        transaction = await smarthost.begin(Envelope("a@example.com", smtputf8=True))
        hostile.offers = ()
        hostile.cut_all()
        with pytest.raises(MessageRefused, match=r"550 5\.6\.7"):
            await transaction.rcpt([Recipient(NAMES[0])])
        await send(smarthost)
        assert hostile.connections == 2


@pytest.mark.parametrize("stage", ["RSET", "DOT", "RCPT"])
async def test_an_answer_too_many_is_never_that_of_the_next_email(stage: str) -> None:
    answer = {"RSET": "250 ok", "DOT": "451 later", "RCPT": "550 no"}[stage]
    hostile = HostileSmarthost({stage: f"{answer}\r\n250 2.0.0 extra"})
    async with hostile, relay(hostile) as smarthost:
        if stage == "RSET":
            transaction = await smarthost.begin(Envelope("a@example.com"))
            await transaction.rcpt([Recipient(NAMES[0])])
            await transaction.abort()
        else:
            with pytest.raises((SmarthostRefused, SmarthostUnavailable)):
                await send(smarthost)
        hostile.answers = {"DOT": "554 5.7.1 spam"}
        with pytest.raises(SmarthostRefused, match=r"554 5\.7\.1 spam"):
            await send(smarthost)
        assert (hostile.connections, hostile.taken) == (2, [])


@pytest.mark.parametrize("message", [MESSAGE, LARGE, b"", b".\r\n", b"a: b\r\n\r\nno end"])
async def test_by_bdat_an_email_arrives_byte_for_byte(message: bytes) -> None:
    hostile = HostileSmarthost(offers=CHUNKING, pause=0.001)
    async with hostile, relay(hostile) as smarthost:
        for _ in range(2):
            assert await send(smarthost, message) == (250, "2.0.0 queued")
        whole = message if message.endswith(b"\r\n") else message + b"\r\n"
        assert [each.wire for each in hostile.taken] == [whole] * 2
        assert f"BDAT {len(whole)} LAST" in hostile.commands
        assert hostile.connections == 1


@pytest.mark.parametrize("message", [MESSAGE, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("fault", ["drops", "stalls"])
@pytest.mark.parametrize("stage", ["BODY", "DOT"])
async def test_by_bdat_an_email_without_an_answer_may_have_been_taken(
    message: bytes, fault: str, stage: str
) -> None:
    hostile = HostileSmarthost(offers=CHUNKING)
    getattr(hostile, fault).add(stage)
    async with hostile, relay(hostile, None, 0.5 if fault == "stalls" else PATIENCE) as smarthost:
        with pytest.raises(SmarthostUnavailable) as caught:
            await send(smarthost, message)
        # A small one is out before it can be known that nobody reads it.
        whole = message == MESSAGE or stage == "DOT"
        assert isinstance(caught.value, SmarthostSilent) == whole
        assert not hostile.taken


@pytest.mark.parametrize("message", [MESSAGE, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("stage", ["BODY", "DOT"])
async def test_by_bdat_a_refusal_has_the_smarthosts_own_words(stage: str, message: bytes) -> None:
    hostile = HostileSmarthost({stage: "552 5.3.4 too large"}, offers=CHUNKING)
    async with hostile, relay(hostile) as smarthost:
        with pytest.raises(SmarthostRefused, match=r"552 5\.3\.4 too large"):
            await send(smarthost, message)
        hostile.answers.clear()
        await send(smarthost)
        assert len(hostile.taken) == 1
        assert len(hostile.taken[0].rcpts) == 1


@pytest.mark.parametrize("offers", [("8BITMIME",), CHUNKING])
@pytest.mark.parametrize("stage", ["CONNECT", "EHLO", "MAIL", "RCPT", "DATA", "DOT"])
async def test_an_end_right_behind_an_answer_is_no_fault_of_ours(
    stage: str, offers: tuple[str, ...]
) -> None:
    async with (
        HostileSmarthost(offers=offers, ends={stage}) as hostile,
        relay(hostile) as smarthost,
    ):
        for number in range(1, 4):
            if stage == "DOT" or (stage == "DATA" and offers == CHUNKING):
                assert (await send(smarthost))[0] == 250
                assert len(hostile.taken) == number
            else:
                with pytest.raises(SmarthostUnavailable):
                    await send(smarthost)
                assert not hostile.taken
        hostile.ends.clear()
        assert (await send(smarthost))[0] == 250


async def test_a_connection_that_has_gone_is_not_taken_over() -> None:
    async with HostileSmarthost() as hostile:
        client = SMTP(hostname="127.0.0.1", port=hostile.port, start_tls=False)
        await client.connect()
        client.close()  # as it does by itself where the connection is lost
        with pytest.raises(SMTPServerDisconnected):
            Wire.take_over(client)
