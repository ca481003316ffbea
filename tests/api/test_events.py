"""The library's events: read from what the service really writes, and trusted if it signed it."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import fields

from clicktrail import api
from clicktrail.api import InvalidInput, InvalidSignature, Verdict, read_event, verify_webhook
from clicktrail.model import Message
from clicktrail.publish.event import (
    mail_object,
    open_event,
    open_object,
    reduced_mail_object,
    rendering_failure_event,
    send_event,
    subscription_object,
    unsubscribe_event,
)
from clicktrail.store.clicks.opens import Open
from clicktrail.store.clicks.unsubscribes import Unsubscribe
from clicktrail.store.people.erased import reduced_event
from support.signing import AT, BODY, EVENT_ID, SECRET, signed


def test_every_field_that_is_written_is_read() -> None:
    """Nothing is lost but ``url``, which is ``link`` by another name."""
    event = read_event(BODY)
    assert (event.event_type, event.event_id, event.test) == ("Click", EVENT_ID, True)
    assert event.click is not None
    assert event.click.timestamp == datetime(2026, 11, 23, 18, 8, 4, 933666, UTC)
    assert event.click.bot is not None
    assert event.click.bot.verdict is Verdict.HUMAN
    assert event.mail.common_headers is not None
    assert event.mail.common_headers.from_ == ("Sender <sender@example.com>",)
    assert event.mail.tags["ses:configuration-set"] == ("news",)
    written = json.loads(BODY)
    for name, value in (("mail", event.mail), ("click", event.click)):
        read = {each.encode_name for each in fields(value)}
        assert written[name].keys() - {"url"} <= read


def test_events_of_every_type_are_read() -> None:
    mail = mail_object(Message("m", AT, "a@example.com", ("b@example.com",)))
    assert read_event(send_event(mail, "1:0")).click is None
    failed = read_event(rendering_failure_event(mail, "t", "no such part", "1:0"))
    assert failed.failure is not None
    assert failed.failure.error_message == "no such part"
    gone = read_event(send_event(reduced_mail_object("m"), "1:0"))
    assert (gone.mail.message_id, gone.mail.timestamp) == ("m", None)
    later = read_event('{"eventType":"Bounce","eventId":"2","mail":{"messageId":"m"},"bounce":{}}')
    assert later.event_type == "Bounce"


def test_every_field_of_an_open_is_read() -> None:
    opened = Open("1", "m", AT, Verdict.SUSPECT, ("proxy",), "Gmail", "192.0.2.1", "Mozilla/5.0")
    body = open_event(reduced_mail_object("m"), open_object(opened), "1:0")
    read = read_event(body)
    assert (read.event_type, read.click) == ("Open", None)
    assert read.open == api.Open(
        timestamp=datetime(2026, 11, 23, 18, 8, 4, 933666, UTC),
        ip_address="192.0.2.1",
        user_agent="Mozilla/5.0",
        bot=api.Bot(verdict=Verdict.SUSPECT, reasons=("proxy",)),
        proxy="Gmail",
    )
    assert json.loads(body)["open"].keys() == {each.encode_name for each in fields(api.Open)}
    erased = read_event(reduced_event(body)).open
    assert erased is not None
    assert (erased.ip_address, erased.user_agent) == ("", "")


def test_every_field_of_an_unsubscribe_is_read() -> None:
    made = Unsubscribe("1", "m", AT, "news", "sport")
    body = unsubscribe_event(reduced_mail_object("m"), subscription_object(made), "1:0")
    read = read_event(body)
    assert read.event_type == "Unsubscribe"
    assert read.subscription == api.Subscription(
        contact_list="news",
        timestamp=datetime(2026, 11, 23, 18, 8, 4, 933666, UTC),
        source="UnsubscribeHeader",
        topic="sport",
    )
    names = {each.encode_name for each in fields(api.Subscription)}
    assert json.loads(body)["subscription"].keys() == names


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b"\xff", b"[" * 100_000, b'{"eventType":1}'])
def test_what_is_no_event_is_refused(text: bytes) -> None:
    with pytest.raises(InvalidInput, match="it is no event of Clicktrail"):
        read_event(text)


def test_only_what_was_signed_just_now_is_trusted() -> None:
    assert verify_webhook(SECRET, signed(BODY), BODY) == read_event(BODY)
    now = datetime.now(UTC)
    other = "whsec_" + "A" * 32
    for headers, body in (
        ({}, BODY),
        (signed(BODY), BODY.replace(b"news", b"olds")),
        (signed(BODY, secret=other), BODY),
        (signed(BODY, now - timedelta(minutes=6)), BODY),
        (signed(BODY, now + timedelta(minutes=6)), BODY),
        (signed(BODY) | {"WEBHOOK-SIGNATURE": "v1"}, BODY),
        (signed(BODY) | {"WEBHOOK-SIGNATURE": "v1,é"}, BODY),
        (signed(BODY) | {"webhook-timestamp": "nan"}, BODY),
        (signed(BODY), b"\xff"),
    ):
        with pytest.raises(InvalidSignature, match="not to be trusted"):
            verify_webhook(SECRET, headers, body)
    for secret in ("", "whsec_", "whsec_é"):
        with pytest.raises(InvalidInput, match="expected whsec_ and base64"):
            verify_webhook(secret, signed(BODY), BODY)
