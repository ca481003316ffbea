import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from clicktrail.base.faults import Faults
from clicktrail.base.redact import told_chain
from clicktrail.errors import (
    MessageRefused,
    SettingError,
    SmarthostRefused,
    SmarthostRefusesUs,
    SmarthostSilent,
    SmarthostUnavailable,
)
from clicktrail.ingress.submission import Transaction
from clicktrail.model import Envelope, Recipient, Reply
from clicktrail.relay import open_smarthost
from clicktrail.relay.smarthost import FAULT, SmtpSmarthost, SmtpTransaction
from clicktrail.settings.settings import Settings
from support.certificates import Authority, make_certificate
from support.hostile_smarthost import HostileSmarthost, waited_for
from support.service import PATIENCE

MESSAGE = b"Subject: x\r\n\r\n.dot\r\n..two\r\ntrailing  \r\n\xff\xfe\r\n.\r\nlone\nand\rend\r\n"


@asynccontextmanager
async def relay(
    hostile: HostileSmarthost,
    _faults: Faults | None = None,
    patience: float = PATIENCE,
    /,
    **settings: str,
) -> AsyncIterator[SmtpSmarthost]:
    given = waited_for(hostile.address, patience)
    given |= {f"smarthost.{k}": v for k, v in settings.items()}
    smarthost = open_smarthost(Settings({k: (v, "test") for k, v in given.items()}), _faults)
    assert isinstance(smarthost, SmtpSmarthost)
    try:
        yield smarthost
    finally:
        await smarthost.close()


async def begin(smarthost: SmtpSmarthost, sender: str = "a@example.com") -> Transaction:
    """Begin an email, and say MAIL."""
    transaction = await smarthost.begin(Envelope(sender))
    await transaction.rcpt(())
    return transaction


async def name(transaction: Transaction, address: str = "b@example.com") -> Reply:
    """Name a recipient; raise a refusal."""
    [(code, text)] = await transaction.rcpt([Recipient(address)])
    if code >= 400:
        raise SmarthostRefused(code, text)
    return code, text


async def send(smarthost: SmtpSmarthost, message: bytes = MESSAGE) -> Reply:
    transaction = await smarthost.begin(Envelope("a@example.com"))
    try:
        await name(transaction)
        return await transaction.data(message)
    finally:
        await transaction.abort()


async def test_an_email_arrives_byte_for_byte() -> None:
    async with HostileSmarthost() as hostile, relay(hostile) as smarthost:
        assert await send(smarthost) == (250, "2.0.0 queued")
        assert hostile.taken[0].message == MESSAGE
        assert hostile.taken[0].mail == "MAIL FROM:<a@example.com>"
        assert hostile.taken[0].rcpts == ["RCPT TO:<b@example.com>"]


@pytest.mark.parametrize(
    ("message", "wire"),
    [(b"", b""), (b"a: b\r\n\r\nno end", b"a: b\r\n\r\nno end\r\n"), (b".\r\n", b"..\r\n")],
)
async def test_the_final_dot_stands_on_a_line_of_its_own(message: bytes, wire: bytes) -> None:
    async with HostileSmarthost() as hostile, relay(hostile) as smarthost:
        await send(smarthost, message)
        assert hostile.taken[0].wire == wire


async def test_a_connection_is_used_again_after_success_refusal_and_abort() -> None:
    hostile = HostileSmarthost(refused={"no@example.com": "550 no"})
    async with hostile, relay(hostile) as smarthost:
        await send(smarthost)
        aborted = await begin(smarthost)
        await name(aborted)
        await aborted.abort()
        refused = await begin(smarthost)
        with pytest.raises(SmarthostRefused):
            await name(refused, "no@example.com")
        await refused.abort()
        await refused.abort()
        await send(smarthost)
        assert hostile.connections == 1
        assert len(hostile.taken) == 2
        await smarthost.close()
        await hostile.heard("QUIT")


@pytest.mark.parametrize("stage", ["MAIL", "RCPT", "DATA", "DOT"])
@pytest.mark.parametrize("answer", ["451 4.7.1 greylisted", "550 5.7.1 no\tthanks", "552 full"])
async def test_a_refusal_has_the_smarthosts_own_words(stage: str, answer: str) -> None:
    async with HostileSmarthost({stage: answer}) as hostile, relay(hostile) as smarthost:
        with pytest.raises(SmarthostRefused) as caught:
            await send(smarthost)
        assert f"{caught.value.code} {caught.value.text}" == answer
        assert not hostile.taken


async def test_a_refused_email_leaves_the_connection_clean_for_the_next() -> None:
    async with HostileSmarthost({"DATA": "451 later"}) as hostile, relay(hostile) as smarthost:
        with pytest.raises(SmarthostRefused):
            await send(smarthost)
        hostile.answers.clear()
        await send(smarthost)
        assert hostile.connections == 1
        assert "RSET" in hostile.commands
        assert len(hostile.taken[0].rcpts) == 1


async def test_all_lines_of_a_refusal_are_kept() -> None:
    hostile = HostileSmarthost({"RCPT": "550-5.1.1 one\r\n550 5.1.1 two"})
    async with hostile, relay(hostile) as smarthost:
        with pytest.raises(SmarthostRefused) as caught:
            await send(smarthost)
        assert caught.value.text == "5.1.1 one\n5.1.1 two"


@pytest.mark.parametrize("stage", ["CONNECT", "EHLO", "MAIL", "RCPT", "DATA", "BODY", "DOT"])
@pytest.mark.parametrize("fault", ["drops", "stalls"])
async def test_a_smarthost_that_goes_away_or_stalls_is_unavailable(stage: str, fault: str) -> None:
    hostile = HostileSmarthost()
    getattr(hostile, fault).add(stage)
    patience = 0.2 if fault == "stalls" else PATIENCE
    async with hostile, relay(hostile, None, patience) as smarthost:
        with pytest.raises(SmarthostUnavailable):
            await send(smarthost)
        assert not hostile.taken


@pytest.mark.parametrize("stage", ["CONNECT", "EHLO"])
async def test_a_refusal_of_us_is_not_told_to_the_sender_as_one_of_the_email(stage: str) -> None:
    hostile = HostileSmarthost({stage: "554 go away", "HELO": "554 go"})
    async with hostile, relay(hostile) as smarthost:
        with pytest.raises(SmarthostUnavailable, match="go"):
            await send(smarthost)


@pytest.mark.parametrize("answer", ["hello", "999 what", "100 hm", "354 more"])
async def test_nonsense_after_the_email_is_no_success(answer: str) -> None:
    async with HostileSmarthost({"DOT": answer}) as hostile, relay(hostile) as smarthost:
        with pytest.raises(SmarthostUnavailable):
            await send(smarthost)
        hostile.answers.clear()
        assert (await send(smarthost))[0] == 250
        assert hostile.connections == 2


async def test_a_smarthost_that_is_down_is_unavailable() -> None:
    async with HostileSmarthost() as hostile:
        pass
    async with relay(hostile) as smarthost:
        with pytest.raises(SmarthostUnavailable):
            await begin(smarthost)


async def test_a_connection_that_died_idle_is_replaced() -> None:
    async with HostileSmarthost() as hostile, relay(hostile) as smarthost:
        await send(smarthost)
        hostile.cut_all()
        await send(smarthost)
        assert hostile.connections == 2
        assert len(hostile.taken) == 2


@pytest.mark.parametrize("how", ["drops", "answers"])
async def test_a_used_connection_that_ends_at_mail_is_replaced(how: str) -> None:
    async with HostileSmarthost() as hostile, relay(hostile) as smarthost:
        await send(smarthost)
        if how == "drops":
            hostile.drops.add("MAIL")
        else:
            hostile.answers["MAIL"] = "421 4.3.2 had enough"
        with pytest.raises((SmarthostUnavailable, SmarthostRefused)):
            await begin(smarthost)
        assert hostile.connections == 2  # the used one, then a fresh one, which is not replaced


async def test_an_email_is_never_sent_twice() -> None:
    async with HostileSmarthost() as hostile, relay(hostile) as smarthost:
        await send(smarthost)
        hostile.drops.add("DOT")
        with pytest.raises(SmarthostUnavailable):
            await send(smarthost)
        assert hostile.commands.count("DATA") == 2


LARGE = b"Subject: x\r\n\r\n" + b"x" * 999 + b"\r\n" * 3 + b".y\r\n" * 2_000_000


async def test_a_large_email_may_take_longer_than_one_answer() -> None:
    hostile = HostileSmarthost(pause=0.02)
    async with hostile, relay(hostile) as smarthost:
        assert await send(smarthost, LARGE) == (250, "2.0.0 queued")
        assert hostile.taken[0].message == LARGE


@pytest.mark.parametrize("answer", ["552 5.3.4 too large", "421 4.3.2 closing", "250 2.0.0 what"])
async def test_an_answer_in_the_middle_of_a_large_email_counts(answer: str) -> None:
    hostile = HostileSmarthost({"BODY": answer})
    async with hostile, relay(hostile) as smarthost:
        with pytest.raises((SmarthostRefused, SmarthostUnavailable)) as caught:
            await send(smarthost, LARGE)
        assert isinstance(caught.value, SmarthostRefused) == (answer[0] != "2")
        assert isinstance(caught.value, SmarthostUnavailable) or str(caught.value) == answer
        hostile.answers.clear()
        await send(smarthost)
        assert hostile.connections == 2
        assert len(hostile.taken) == 1


@pytest.mark.parametrize("fault", ["drops", "stalls"])
async def test_a_large_email_that_is_cut_or_not_read_is_not_taken(fault: str) -> None:
    hostile = HostileSmarthost()
    getattr(hostile, fault).add("BODY")
    patience = 0.2 if fault == "stalls" else PATIENCE
    async with hostile, relay(hostile, None, patience) as smarthost:
        with pytest.raises(SmarthostUnavailable) as caught:
            await send(smarthost, LARGE)
        assert not isinstance(caught.value, SmarthostSilent)  # it cannot have taken a part
        assert not hostile.taken


async def test_no_more_connections_than_allowed_are_open() -> None:
    hostile = HostileSmarthost()
    async with hostile, relay(hostile, None, 1, connections="2") as smarthost:
        first, second = await begin(smarthost), await begin(smarthost)
        with pytest.raises(SmarthostUnavailable, match="in use"):
            await begin(smarthost)
        await first.abort()
        third = await begin(smarthost)
        await second.abort()
        await third.abort()
        assert hostile.connections == 2


async def hang_up(hostile: HostileSmarthost, transaction: Transaction) -> None:
    """Let the smarthost hang up, and return when we know."""
    assert isinstance(transaction, SmtpTransaction)
    hostile.cut_all()
    while transaction._connection.is_open:  # noqa: ASYNC110 - a test may look
        await asyncio.sleep(0.001)


@pytest.mark.parametrize("goes", ["given away", "hung up"])
async def test_an_email_that_rested_goes_on_with_those_who_were_taken(goes: str) -> None:
    refused = {"no@example.com": "550 5.1.1 no such user"}
    hostile = HostileSmarthost(refused=refused)
    async with hostile, relay(hostile, connections="1") as smarthost:
        resting = await begin(smarthost)
        await name(resting)
        with pytest.raises(SmarthostRefused, match="no such user"):
            await name(resting, "no@example.com")
        if goes == "given away":
            assert (await send(smarthost))[0] == 250
        else:
            await hang_up(hostile, resting)
        await name(resting, "c@example.com")
        if goes == "given away":
            assert (await send(smarthost))[0] == 250
        assert (await resting.data(MESSAGE))[0] == 250
        assert hostile.taken[-1].rcpts == ["RCPT TO:<b@example.com>", "RCPT TO:<c@example.com>"]
        assert hostile.connections == (1 if goes == "given away" else 2)
        assert (await send(smarthost))[0] == 250


@pytest.mark.parametrize("step", ["rcpt", "data"])
@pytest.mark.parametrize("change", ["recipient", "sender", "8BITMIME", "down"])
async def test_an_email_that_rested_is_not_sent_where_it_is_not_taken_as_before(
    change: str, step: str
) -> None:
    hostile = HostileSmarthost()
    async with hostile, relay(hostile, connections="1") as smarthost:
        resting = await begin(smarthost)
        await name(resting)
        await hang_up(hostile, resting)
        if change == "recipient":
            hostile.refused["b@example.com"] = "550 5.1.1 no such user"
        elif change == "sender":
            hostile.answers["MAIL"] = "451 4.7.1 slow down"
        elif change == "8BITMIME":
            hostile.offers = ("PIPELINING",)
        else:
            hostile.drops.add("CONNECT")
        with pytest.raises((MessageRefused, SmarthostUnavailable)) as raised:
            await (name(resting, "c@example.com") if step == "rcpt" else resting.data(MESSAGE))
        if isinstance(raised.value, MessageRefused):
            assert raised.value.code == 451  # the sender has it still, and tries again
        assert not hostile.taken
        hostile.refused.clear()
        hostile.answers.clear()
        hostile.drops.clear()
        assert (await send(smarthost))[0] == 250  # its place is free


@pytest.mark.parametrize("stage", ["MAIL", "RCPT", "DATA", "DOT", "CONNECT"])
@pytest.mark.parametrize("fault", ["drops", "stalls", "answers"])
async def test_a_fault_gives_its_place_among_the_connections_back(stage: str, fault: str) -> None:
    hostile = HostileSmarthost()
    patience = 0.5 if fault == "stalls" else PATIENCE
    async with hostile, relay(hostile, None, patience, connections="1") as smarthost:
        for _ in range(2):
            if fault == "answers":
                hostile.answers[stage] = "421 4.3.2 closing"
            else:
                getattr(hostile, fault).add(stage)
            with pytest.raises((SmarthostUnavailable, SmarthostRefused)):
                await asyncio.wait_for(send(smarthost), PATIENCE)
            hostile.answers.clear()
            hostile.drops.clear()
            hostile.stalls.clear()
            assert (await send(smarthost))[0] == 250
            hostile.cut_all()  # so that the next round connects


async def test_a_transaction_that_is_interrupted_cannot_confuse_the_next() -> None:
    hostile = HostileSmarthost(stalls={"RCPT"})
    async with hostile, relay(hostile, connections="1", timeout="5") as smarthost:
        transaction = await begin(smarthost)
        naming = asyncio.create_task(name(transaction))
        await hostile.reached.wait()
        naming.cancel()
        await asyncio.wait([naming])
        await transaction.abort()
        hostile.stalls.clear()
        assert (await send(smarthost))[0] == 250
        assert len(hostile.taken) == 1


async def test_mail_says_what_the_smarthost_understands() -> None:
    async with HostileSmarthost() as hostile, relay(hostile) as smarthost:
        transaction = await smarthost.begin(
            Envelope("ä@ö.example", body_8bit=True, smtputf8=True, size=77)
        )
        await name(transaction, "ü@example.com")
        await transaction.abort()
        assert "MAIL FROM:<ä@ö.example> SMTPUTF8 BODY=8BITMIME SIZE=77" in hostile.commands
        assert "RCPT TO:<ü@example.com>" in hostile.commands


async def test_mail_leaves_out_what_the_smarthost_does_not_offer() -> None:
    async with HostileSmarthost(offers=()) as hostile, relay(hostile) as smarthost:
        transaction = await smarthost.begin(Envelope("", body_8bit=True, size=77))
        await transaction.rcpt(())
        await transaction.abort()
        assert "MAIL FROM:<>" in hostile.commands
        with pytest.raises(MessageRefused, match=r"550 5\.6\.7"):
            await smarthost.begin(Envelope("a@b", smtputf8=True))


@pytest.mark.parametrize("address", ["a@b\r\nRCPT TO:<c@d>", "a b@c", "a@b> X<c@d", "\0@b"])
async def test_an_address_cannot_carry_commands(address: str) -> None:
    async with HostileSmarthost() as hostile, relay(hostile) as smarthost:
        with pytest.raises(MessageRefused, match="553"):
            await begin(smarthost, address)
        transaction = await begin(smarthost, '"a > b"@example.com')
        with pytest.raises(MessageRefused, match="553"):
            await name(transaction, address)
        await transaction.abort()
        assert 'MAIL FROM:<"a > b"@example.com>' in hostile.commands


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ("535 5.7.8 not open-", "535 5.7.8"),
        ("535 open%2Dses%61me", "535"),
        ("535 5.7.8open sesame", "535"),
        ("454-4.7.0 open\r\n454 4.7.0 -sesame", "454 4.7.0"),
        ("sesame, not open", "-1"),
    ],
)
async def test_what_is_said_of_a_sign_in_is_told_by_its_code_alone(answer: str, told: str) -> None:
    hostile = HostileSmarthost(offers=("AUTH PLAIN",), answers={"AUTH": answer})
    login = {"username": "shop", "password": "open-sesame"}
    async with hostile, relay(hostile, **login) as smarthost:
        with pytest.raises(SmarthostUnavailable) as refused:
            await begin(smarthost)
    chain = str(told_chain(refused.value))
    assert f"it answered {told} to AUTH: smarthost.username" in chain
    assert "sesame" not in chain
    assert "s%61me" not in chain


@pytest.mark.parametrize("tls", ["if-offered", "required", "never"])
async def test_starttls_is_used_as_set(tls: str, tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    hostile = HostileSmarthost(offers=("STARTTLS", "AUTH PLAIN"), tls=context)
    async with (
        hostile,
        relay(hostile, tls=tls, verify="no", username="u", password="p") as smarthost,
    ):
        await send(smarthost)
        assert ("STARTTLS" in hostile.commands) == (tls != "never")
        assert any(c.startswith("AUTH PLAIN") for c in hostile.commands)


async def test_a_certificate_that_cannot_be_checked_ends_it(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    hostile = HostileSmarthost(offers=("STARTTLS",), tls=context)
    async with hostile, relay(hostile, tls="required") as smarthost:
        with pytest.raises(SmarthostUnavailable):
            await begin(smarthost)


async def test_its_certificate_is_checked_against_an_authority_of_ones_own(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ours")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("localhost"))
    hostile = HostileSmarthost(offers=("STARTTLS",), tls=context)
    others = Authority(tmp_path / "theirs").file
    async with hostile:
        named = {"url": f"smtp://localhost:{hostile.port}", "tls": "required"}
        async with relay(hostile, tls_ca=str(authority.file), **named) as smarthost:
            assert (await send(smarthost))[0] == 250
        async with relay(hostile, tls_ca=str(others), **named) as smarthost:
            with pytest.raises(SmarthostRefusesUs, match="certificate"):
                await send(smarthost)


REFUSALS = {
    "MAIL": ("530 5.7.0 Must issue a STARTTLS command first", "535 5.7.8 sign in again"),
    "RCPT": (
        "504 5.5.2 <me>: Helo command rejected: need fully-qualified hostname",
        "530 5.7.0 no",
    ),
    "DATA": ("530 5.7.1 authentication required",),
    "EHLO": ("554 5.7.1 go away",),
}


@pytest.mark.parametrize(
    ("stage", "answer"), [(s, a) for s, each in REFUSALS.items() for a in each]
)
async def test_what_it_has_against_us_is_our_trouble_until_it_takes_an_email(
    stage: str, answer: str
) -> None:
    hostile = HostileSmarthost({stage: answer, "HELO": answer})
    faults = Faults()
    async with hostile, relay(hostile, faults) as smarthost:
        for _ in range(2):
            with pytest.raises(SmarthostRefusesUs):
                await send(smarthost)
        assert smarthost.refuses_us
        assert answer[:3] in faults.current()[FAULT]
        hostile.answers.clear()
        await send(smarthost)
        assert faults.current() == {}


@pytest.mark.parametrize("stage", ["CONNECT", "MAIL"])
async def test_a_greeting_tells_that_it_takes_us_again(stage: str) -> None:
    faults = Faults()
    async with (
        HostileSmarthost({stage: "554 no" if stage == "CONNECT" else "530 no"}) as hostile,
        relay(hostile, faults) as smarthost,
    ):
        for _ in range(2):
            with pytest.raises(SmarthostRefusesUs):
                await smarthost.greet()
            assert list(faults.current()) == [FAULT]
        # What is said of nobody's email is not about us.
        hostile.answers = {"MAIL": "550 5.1.8 no null sender here"}
        await smarthost.greet()
        assert faults.current() == {}


@pytest.mark.parametrize("fault", ["drops", "stalls"])
@pytest.mark.parametrize("message", [MESSAGE, LARGE], ids=["small", "large"])
async def test_an_email_that_was_sent_whole_without_an_answer_may_have_been_taken(
    fault: str, message: bytes
) -> None:
    hostile = HostileSmarthost()
    getattr(hostile, fault).add("DOT")
    async with hostile, relay(hostile, None, 0.5 if fault == "stalls" else PATIENCE) as smarthost:
        with pytest.raises(SmarthostSilent):
            await send(smarthost, message)


async def test_required_tls_that_is_not_offered_ends_it() -> None:
    async with HostileSmarthost() as hostile, relay(hostile, tls="required") as smarthost:
        with pytest.raises(SmarthostUnavailable):
            await begin(smarthost)
        assert not any(c.startswith("MAIL") for c in hostile.commands)


@pytest.mark.parametrize(
    "url", ["", "smtp://", "smtp://h:x", "smtp://h:0", "smtp://u:p@h", "smtp://h/path"]
)
def test_a_url_that_cannot_be_used_is_named(url: str) -> None:
    with pytest.raises(SettingError, match=r"smarthost\.url"):
        open_smarthost(Settings({"smarthost.url": (url, "test")}))
