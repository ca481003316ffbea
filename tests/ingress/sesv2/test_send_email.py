"""SendEmail on real parts, before a smarthost that answers as a test wants."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from clicktrail.ingress.sesv2.operations import ApiError, Call, Principal
from clicktrail.ingress.sesv2.send_email import EmailSender, SendOptions
from clicktrail.ingress.sesv2.send_shapes import SendEmailRequest
from clicktrail.ingress.sesv2.sending.templates import Templates
from clicktrail.model import EventDestination, EventType, MessageState, Reason
from clicktrail.publish.rendering_failure import RenderingFailures
from support.hostile_smarthost import HostileSmarthost
from support.mailroom import Mailroom, mailroom

CALL = Call(Principal("AKIA", frozenset({"send"})), {}, source_ip="192.0.2.7")
PAGE = {
    "Simple": {
        "Subject": {"Data": "hello"},
        "Body": {"Html": {"Data": '<a href="https://example.com/">x</a>'}},
    }
}


@contextlib.asynccontextmanager
async def sending(
    folder: Path, hostile: HostileSmarthost | None = None, identities: str = "no"
) -> AsyncIterator[tuple[Mailroom, EmailSender]]:
    async with mailroom(folder, hostile, identities) as room:
        sender = EmailSender(
            SendOptions("clicktrail.test", 1_000_000),
            room.acceptor,
            room.smarthost,
            room.store.configuration,
            RenderingFailures(room.store),
            Templates(room.store.templates, 1_000_000),
        )
        try:
            yield room, sender
        finally:
            await sender.stop()


async def send(sender: EmailSender, **more: Any) -> str:
    body = {
        "FromEmailAddress": "News <news@example.com>",
        "Destination": {"ToAddresses": ["b@example.org"]},
        "Content": PAGE,
        **more,
    }
    request = msgspec.json.decode(msgspec.json.encode(body), type=SendEmailRequest)
    answer = await sender.send_email(CALL, request)
    return answer["MessageId"]


async def refusal(sender: EmailSender, **more: Any) -> tuple[int, str, str]:
    with pytest.raises(ApiError) as caught:
        await send(sender, **more)
    return caught.value.status, caught.value.code, caught.value.message


async def test_an_email_is_tracked_kept_and_handed_to_the_smarthost(tmp_path: Path) -> None:
    async with sending(tmp_path) as (room, sender):
        tags = [{"Name": "a", "Value": "1"}, {"Name": "a", "Value": "2"}]
        message_id = await send(sender, EmailTags=tags)
        kept = await room.store.messages.get(message_id)
        (taken,) = room.hostile.taken
    assert kept.state is MessageState.SENT
    assert kept.configuration_set == "tracked"  # bound to the identity
    assert kept.source_ip == "192.0.2.7"
    assert kept.tags == {"a": ["1", "2"]}
    assert kept.recipients == ("b@example.org",)
    assert taken.mail.startswith("MAIL FROM:<news@example.com>")
    assert b"http" in taken.message
    assert b"https://example.com/" not in taken.message
    received = taken.message.partition(b"From:")[0].decode()
    assert "[192.0.2.7]" in received
    assert "with HTTP id" in received


async def test_the_email_says_whether_its_clicks_are_tracked(tmp_path: Path) -> None:
    async with sending(tmp_path) as (room, sender):
        found = {}
        for name in ("tracked", "untracked"):
            for wanted in (None, "ENABLED", "DISABLED"):
                overrides = {"Tracking": {"ClickTrackingEnabled": wanted}} if wanted else {}
                id_ = await send(
                    sender, ConfigurationSetName=name, ConfigurationOverrides=overrides
                )
                found[name, wanted] = (await room.store.messages.get(id_)).reason
    assert found == {
        ("tracked", None): None,
        ("tracked", "ENABLED"): None,
        ("tracked", "DISABLED"): Reason.OFF,
        ("untracked", None): Reason.OFF,
        ("untracked", "ENABLED"): None,
        ("untracked", "DISABLED"): Reason.OFF,
    }


async def test_cc_and_bcc_get_it_too_and_then_nothing_is_tracked(tmp_path: Path) -> None:
    async with sending(tmp_path) as (room, sender):
        given = {"ToAddresses": ["a@x.org"], "BccAddresses": ["c@x.org", "a@x.org"]}
        kept = await room.store.messages.get(await send(sender, Destination=given))
        (taken,) = room.hostile.taken
    assert kept.reason is Reason.SEVERAL_RECIPIENTS
    assert [line[:17] for line in taken.rcpts] == ["RCPT TO:<a@x.org>", "RCPT TO:<c@x.org>"]
    assert b"c@x.org" not in taken.message


async def test_bytes_over_127_are_announced(tmp_path: Path) -> None:
    async with sending(tmp_path) as (room, sender):
        raw = {"Raw": {"Data": "Subject: ü\n\nö\n".encode()}}
        await send(sender, Content=raw)
        (taken,) = room.hostile.taken
    assert "BODY=8BITMIME" in taken.mail
    assert "ö".encode() in taken.message


@pytest.mark.parametrize(
    ("stage", "answer", "expected"),
    [
        ("RCPT", "550 5.1.1 no such user", (400, "MessageRejected")),
        ("RCPT", "451 4.7.1 greylisted", (429, "TooManyRequestsException")),
        ("DOT", "554 5.7.1 spam", (400, "MessageRejected")),
        ("DOT", "452 4.3.1 no room", (429, "TooManyRequestsException")),
        ("MAIL", "553 5.7.1 not you", (400, "MessageRejected")),
    ],
)
async def test_the_smarthosts_refusal_reaches_the_client_in_its_words(
    tmp_path: Path, stage: str, answer: str, expected: tuple[int, str]
) -> None:
    async with sending(tmp_path, HostileSmarthost(answers={stage: answer})) as (room, sender):
        status, code, message = await refusal(sender)
        assert (status, code) == expected
        assert answer in message
        assert room.hostile.taken == []


@pytest.mark.parametrize("stage", ["CONNECT", "RCPT", "DOT"])
async def test_a_smarthost_that_goes_away_is_an_error_that_clients_try_again(
    tmp_path: Path, stage: str
) -> None:
    async with sending(tmp_path, HostileSmarthost(drops={stage})) as (_, sender):
        status, _, message = await refusal(sender)
        assert status in (429, 503)
        assert ("may have sent it" if stage == "DOT" else "try again later") in message


async def test_an_email_goes_to_all_its_recipients_or_to_none(tmp_path: Path) -> None:
    hostile = HostileSmarthost(refused={"no@x.org": "550 5.1.1 unknown"})
    async with sending(tmp_path, hostile) as (room, sender):
        given = {"ToAddresses": ["yes@x.org", "no@x.org"]}
        status, code, message = await refusal(sender, Destination=given)
        assert (status, code) == (400, "MessageRejected")
        assert message == "no@x.org: 550 5.1.1 unknown"
        assert hostile.taken == []
        await send(sender)  # the connection is fit for the next one
        assert len(hostile.taken) == 1
        assert [m.recipients for m in [await room.only_message()]] == [("b@example.org",)]


async def test_an_email_is_finished_though_its_client_has_gone(tmp_path: Path) -> None:
    hostile = HostileSmarthost(stalls={"DOT"})
    async with sending(tmp_path, hostile) as (room, sender):
        asking = asyncio.create_task(send(sender))
        await hostile.reached.wait()
        asking.cancel()
        await asyncio.wait([asking])
        hostile.let_go.set()
        await sender.stop()
        assert (await room.only_message()).state is MessageState.SENT


async def test_an_unknown_configuration_set_is_not_found(tmp_path: Path) -> None:
    async with sending(tmp_path) as (room, sender):
        status, code, message = await refusal(sender, ConfigurationSetName="nope")
        assert (status, code) == (404, "NotFoundException")
        assert "nope" in message
        assert room.hostile.taken == []


async def test_a_set_with_sending_off_takes_no_emails_at_both_doors(tmp_path: Path) -> None:
    async with sending(tmp_path) as (room, sender):
        await room.store.configuration.update_set("tracked", sending=False)
        status, code, message = await refusal(sender)
        assert (status, code) == (400, "SendingPausedException")
        assert "tracked" in message
        async with room.client() as client:
            answer = await client.submit(b"From: news@example.com\r\n\r\nx\r\n")
            assert answer.startswith("550 5.7.1 sending is turned off")
        assert room.hostile.taken == []
        await room.store.configuration.update_set("tracked", sending=True)
        assert await send(sender)


@pytest.mark.parametrize(
    ("identities", "sender", "header", "allowed"),
    [
        ("auto", "news@example.com", "From: News <news@example.com>", True),
        ("auto", "bounces+1@mail.example.com", "From: n@Example.COM", True),
        ("auto", "", "From: MAILER-DAEMON@example.com", True),
        ("auto", "", "Subject: a bounce", True),
        ("auto", "news@example.com", "Subject: no From", False),
        ("auto", "news@example.com", "From: a@other.org", False),
        ("auto", "a@other.org", "From: news@example.com", False),
        ("auto", "", "From: a@other.org", True),
        ("auto", "news@example.com", "From: news@example.com, a@other.org", False),
        ("auto", "news@example.com", "From: news@example.com\r\nFrom: a@other.org", False),
        ("auto", "news@example.com", 'From: "news@example.com" <a@other.org>', False),
        ("auto", "news@example.com", "From: nobody", False),
        ("yes", "a@other.org", "From: a@other.org", False),
        ("no", "a@other.org", "From: a@other.org", True),
    ],
)
async def test_only_identities_send_by_smtp(
    tmp_path: Path, identities: str, sender: str, header: str, allowed: bool
) -> None:
    async with mailroom(tmp_path, None, identities) as room, room.client() as client:
        answer = await client.submit(f"{header}\r\n\r\nx\r\n".encode(), sender=sender)
        assert answer.startswith("250 2.0.0" if allowed else "553 5.7.1 ")
        assert len(room.hostile.taken) == allowed
        assert (await client.say("NOOP")).startswith("250")


async def test_with_no_identity_at_all_anybody_sends_unless_it_is_required(tmp_path: Path) -> None:
    for number, (identities, expected) in enumerate((("auto", "250"), ("yes", "553"))):
        folder = tmp_path / str(number)
        folder.mkdir()
        async with mailroom(folder, None, identities) as room, room.client() as client:
            await room.store.configuration.delete_identity("example.com")
            answer = await client.submit(b"From: x@y.org\r\n\r\nx\r\n", sender="x@y.org")
            assert answer.startswith(expected)


async def test_only_identities_send_by_the_api(tmp_path: Path) -> None:
    async with sending(tmp_path, None, "auto") as (room, sender):
        for more in (
            {"FromEmailAddress": "a@other.org"},
            {"FeedbackForwardingEmailAddress": "a@other.org"},
            {"Content": {"Raw": {"Data": b"From: a@other.org\n\nx"}}},
        ):
            status, code, message = await refusal(sender, **more)
            assert (status, code) == (400, "MailFromDomainNotVerifiedException")
            assert "a@other.org" in message
        assert room.hostile.taken == []
        assert await send(sender)


async def test_a_rendering_failure_is_told_to_those_who_asked_for_it(tmp_path: Path) -> None:
    async with sending(tmp_path) as (room, sender):
        kinds = frozenset({EventType.RENDERING_FAILURE})
        stream = EventDestination("failures", "arn:clicktrail:stream:::failures", kinds)
        hook = EventDestination("hook", "arn:clicktrail:webhook:::https://example.com/", kinds)
        off = replace(stream, name="off", arn="arn:clicktrail:stream:::off", enabled=False)
        for each in (stream, hook, off):
            await room.store.configuration.add_destination("tracked", each)
        content = {"TemplateContent": {"Subject": "s", "Html": "{{x}}"}, "TemplateName": "hi"}
        status, code, message = await refusal(sender, Content={"Template": content})
        assert (status, code) == (400, "BadRequestException")
        assert message == "Html: Attribute 'x' is not present in the rendering data."
        (told,) = await room.store.streams.read(None, 0, 10)
        assert told.stream == "failures"
        event = msgspec.json.decode(told.payload)
        assert event["eventType"] == "Rendering Failure"
        assert event["failure"] == {"errorMessage": message, "templateName": "hi"}
        assert event["mail"]["source"] == "news@example.com"
        assert event["mail"]["destination"] == ["b@example.org"]
        assert event["mail"]["commonHeaders"]["from"] == ["News <news@example.com>"]
        (waiting,) = await room.store.outbox.waiting()
        assert (waiting.destination, waiting.count) == ("hook", 1)
        assert room.hostile.taken == []
