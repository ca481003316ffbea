"""Notifications as JSON bytes: one object per event and destination.

The fields are those of Yandex Cloud Postbox; ``link`` beside ``url``, so that readers of Amazon
SES events work unmodified; ``bot`` is our own.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from clicktrail.base.ids import rfc3339
from clicktrail.model import Click, Header, Message, Tags, Verdict, domain_of
from clicktrail.publish.addresses import domain_in, split_addresses
from clicktrail.store.clicks.opens import Open
from clicktrail.store.clicks.unsubscribes import Unsubscribe

HEADERS_LIMIT = 10 * 1024
"""Bytes of header names and values that a notification carries."""

CONTROL_HEADERS = "x-ses-"
"""Headers that begin so speak to the service, which takes them out of the email."""

_encode = msgspec.json.Encoder().encode


def mail_object(message: Message) -> bytes:
    """Return the ``mail`` object of an email."""
    headers, truncated = _headers(message.headers)
    values: dict[str, list[str]] = {}
    for name, value in message.headers:
        values.setdefault(name.lower(), []).append(value)
    senders = _addresses(values.get("from"))
    mail: dict[str, Any] = {
        "timestamp": rfc3339(message.accepted_at),
        "messageId": message.id,
        "identityId": message.identity.id if message.identity else "",
        "source": message.source,
        "destination": message.recipients,
        "commonHeaders": _common_headers(message.id, senders, values),
        "headers": [{"name": name, "value": value} for name, value in headers],
        "tags": _tags(message, senders),
    }
    if truncated:
        mail["headersTruncated"] = True
    return _encode(mail)


def reduced_mail_object(message_id: str) -> bytes:
    """Return the ``mail`` object of an email of which nothing else is known any more."""
    return _encode({"messageId": message_id})


def anonymous_mail_object(set_name: str) -> bytes:
    """Return the ``mail`` object of an email of which nothing is told but its set."""
    return _encode({"messageId": "", "tags": {"ses:configuration-set": [set_name]}})


def click_object(
    click: Click,
    tags: Sequence[tuple[str, str]],
    verdict: Verdict,
    reasons: Sequence[str],
) -> bytes:
    """Return the ``click`` object of a click on a link with those tags."""
    by_tag: Tags = {}
    for tag, value in tags:
        by_tag.setdefault(tag, []).append(value)
    told: dict[str, Any] = {
        "ipAddress": click.ip,
        "timestamp": rfc3339(click.clicked_at),
        "userAgent": click.user_agent,
        "url": click.url,
        "link": click.url,
        "linkTags": by_tag,
        "bot": {"verdict": verdict, "reasons": reasons},
    }
    if click.destination != "":
        told["destination"] = click.destination
    return _encode(told)


def open_object(opened: Open) -> bytes:
    """Return the ``open`` object of an open."""
    told: dict[str, Any] = {
        "ipAddress": opened.ip,
        "timestamp": rfc3339(opened.opened_at),
        "userAgent": opened.user_agent,
        "bot": {"verdict": opened.verdict, "reasons": opened.reasons},
    }
    if opened.proxy:
        told["proxy"] = opened.proxy
    return _encode(told)


def open_event(mail: bytes, opened: bytes, event_id: str) -> bytes:
    """Return an Open event; its parts are JSON from `mail_object` and `open_object`."""
    return b'{"eventType":"Open","mail":%b,"open":%b,"eventId":%b}' % (
        mail,
        opened,
        _encode(event_id),
    )


def subscription_object(made: Unsubscribe) -> bytes:
    """Return the ``subscription`` object of an unsubscribe."""
    told: dict[str, Any] = {
        "contactList": made.contact_list,
        "timestamp": rfc3339(made.unsubscribed_at),
        "source": "UnsubscribeHeader",
    }
    if made.topic:
        told["topic"] = made.topic
    return _encode(told)


def unsubscribe_event(mail: bytes, subscription: bytes, event_id: str) -> bytes:
    """Return an Unsubscribe event; its parts are JSON from `mail_object` and
    `subscription_object`."""
    return b'{"eventType":"Unsubscribe","mail":%b,"subscription":%b,"eventId":%b}' % (
        mail,
        subscription,
        _encode(event_id),
    )


def click_event(mail: bytes, click: bytes, event_id: str) -> bytes:
    """Return a Click event; its parts are JSON from `mail_object` and `click_object`."""
    return b'{"eventType":"Click","mail":%b,"click":%b,"eventId":%b}' % (
        mail,
        click,
        _encode(event_id),
    )


def verdict_changed_event(mail: bytes, click: bytes, of: str, before: str, event_id: str) -> bytes:
    """Return an event, our own, that corrects the verdict of a click that was told.

    Its ``click`` has the new one. ``of`` is the part of the Click event's ``eventId`` before the
    colon, which is the same for all destinations.
    """
    return b'{"eventType":"VerdictChanged","mail":%b,"click":%b,%b,"eventId":%b}' % (
        mail,
        click,
        b'"verdictChanged":' + _encode({"clickEventId": of, "previousVerdict": before}),
        _encode(event_id),
    )


def send_event(mail: bytes, event_id: str) -> bytes:
    """Return a Send event."""
    return b'{"eventType":"Send","mail":%b,"send":{},"eventId":%b}' % (mail, _encode(event_id))


def sample_event(set_name: str, event_id: str, at: int) -> bytes:
    """Return a Click event that nobody made, to try a destination.

    It has every field of a real one, and beside them ``"test": true``; its message id, which no
    email has, and its addresses are examples.
    """
    message = Message(
        id=f"test-{event_id.partition(':')[0]}",
        accepted_at=at,
        source="sender@example.com",
        recipients=("reader@example.com",),
        identity=None,
        configuration_set=set_name,
        source_ip="192.0.2.1",
        headers=(
            ("From", "Sender <sender@example.com>"),
            ("To", "Reader <reader@example.com>"),
            ("Subject", "A test of the event destination"),
        ),
        links=(),
    )
    click = Click(event_id, message.id, 0, "https://example.com/", at, "192.0.2.2", "Clicktrail")
    seen = click_object(click, (), Verdict.HUMAN, ())
    event = click_event(mail_object(message), seen, event_id)
    return event.removesuffix(b"}") + b',"test":true}'


def rendering_failure_event(mail: bytes, template: str, error: str, event_id: str) -> bytes:
    """Return a Rendering Failure event (SES: "Contents of event data", ``failure``)."""
    return b'{"eventType":"Rendering Failure","mail":%b,"failure":%b,"eventId":%b}' % (
        mail,
        _encode({"errorMessage": error, "templateName": template}),
        _encode(event_id),
    )


def event_id_for(event_id: str, place: int) -> str:
    """Return the ``eventId`` of the destination at that place among those that are notified."""
    return f"{event_id}:{place}"


def _headers(headers: Sequence[Header]) -> tuple[list[Header], bool]:
    kept: list[Header] = []
    size = 0
    for name, value in headers:
        if name.lower().startswith(CONTROL_HEADERS):
            continue
        size += len(name.encode()) + len(value.encode())
        if size > HEADERS_LIMIT:
            return kept, True
        kept.append((name, value))
    return kept, False


def _common_headers(
    message_id: str, senders: Sequence[str], values: Mapping[str, Sequence[str]]
) -> dict[str, Any]:
    return {
        "from": senders,
        "to": _addresses(values.get("to")),
        "subject": _first(values.get("subject")),
        "date": _first(values.get("date")),
        "messageId": message_id,
        "originalMessageId": _first(values.get("message-id")),
    }


def _addresses(values: Sequence[str] | None) -> list[str]:
    return [address for value in values or () for address in split_addresses(value)]


def _first(values: Sequence[str] | None) -> str:
    return values[0] if values else ""


def _tags(message: Message, senders: Sequence[str]) -> Tags:
    domain = domain_in(senders[0]) if senders else ""
    system = {
        "ses:configuration-set": message.configuration_set,
        "ses:from-domain": domain or domain_of(message.source),
        "ses:source-ip": message.source_ip,
    }
    tags: Tags = {name: [value] for name, value in system.items() if value}
    # The sender cannot speak in the service's name.
    tags.update((name, values) for name, values in message.tags.items() if name not in system)
    return tags
