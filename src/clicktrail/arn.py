"""Event destinations named by ARN, the one text field that SES v2 clients pass through unchanged.

===================================================================== =====================
``arn:clicktrail:stream:::<name>``                                    the built-in stream
``arn:clicktrail:webhook:::<URL>``                                    Standard Webhooks
``arn:yc:yds:<region>::<endpoint URL>:<stream>``                      Kinesis API (Postbox)
``arn:aws:kinesis:<region>:<account>:stream/<name>``                  Kinesis Data Streams
``arn:aws:firehose:<region>:<account>:deliverystream/<name>``         Data Firehose
``arn:clicktrail:kafka:::<bootstrap servers>/<topic>``                Kafka protocol
``arn:clicktrail:nats:::<server>/<subject>``                          NATS JetStream
===================================================================== =====================

Credentials never stand in an ARN.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

from clicktrail.errors import InvalidInput

ARN_LIMIT = 2048
STREAM_PREFIX = "arn:clicktrail:stream:::"
WEBHOOK_PREFIX = "arn:clicktrail:webhook:::"

_STREAM_NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}")


class Kind(StrEnum):
    """What an ARN names."""

    STREAM = "stream"
    WEBHOOK = "webhook"
    KINESIS = "kinesis"
    FIREHOSE = "firehose"
    YDS = "yds"
    KAFKA = "kafka"
    NATS = "nats"


DELIVERABLE = frozenset({Kind.STREAM, Kind.WEBHOOK})
"""The kinds that events can be sent to."""


@dataclass(frozen=True, slots=True)
class Arn:
    """A parsed ARN. ``str()`` gives the text it was parsed from."""

    kind: Kind
    name: str
    """Stream, delivery stream, topic or subject; of a webhook its URL."""
    text: str
    endpoint: str = ""
    """``yds``: the endpoint's URL; ``kafka`` and ``nats``: the servers."""
    region: str = ""
    account: str = ""

    def __str__(self) -> str:
        return self.text


def parse_arn(text: str) -> Arn:
    """Return what an ARN names. Raises `InvalidInput` saying what is expected."""
    # No white space or control characters: an ARN goes into logs, tables and HTTP requests.
    if len(text) > ARN_LIMIT or not text.isascii() or any(c <= " " or c == "\x7f" for c in text):
        raise InvalidInput(
            f"{text[:100]!r} is not an ARN: expected at most {ARN_LIMIT} ASCII characters"
            " without white space"
        )
    head, partition, service, region, account, rest = (*text.split(":", 5), *[""] * 5)[:6]
    parse = _PARSERS.get((partition, service)) if head == "arn" else None
    if parse is None:
        raise InvalidInput(
            f"{text!r} names no event destination: expected {STREAM_PREFIX}NAME"
            f" or {WEBHOOK_PREFIX}URL"
        )
    return parse(text, region, account, rest)


def check_deliverable(text: str) -> Arn:
    """Return a parsed ARN that events can be sent to.

    Raises `InvalidInput` for a text that is no ARN, and for kinds that cannot be used.
    """
    arn = parse_arn(text)
    if arn.kind not in DELIVERABLE:
        raise InvalidInput(
            f"events cannot be sent to {text!r}: use a built-in stream ({STREAM_PREFIX}NAME)"
            f" or a webhook ({WEBHOOK_PREFIX}https://…)"
        )
    return arn


def stream_arn(name: str) -> str:
    """Return the ARN of the built-in stream of that name. Raises `InvalidInput`."""
    return parse_arn(STREAM_PREFIX + name).text


def webhook_arn(url: str) -> str:
    """Return the ARN of the webhook at that URL. Raises `InvalidInput`."""
    return parse_arn(WEBHOOK_PREFIX + url).text


def _stream(text: str, region: str, account: str, name: str) -> Arn:
    if region or account or not _STREAM_NAME.fullmatch(name):
        raise InvalidInput(
            f"{text!r} names no built-in stream: expected {STREAM_PREFIX}NAME with a name of 1 to"
            " 128 letters, digits, '.', '_', '-'"
        )
    return Arn(Kind.STREAM, name, text)


def _webhook(text: str, region: str, account: str, url: str) -> Arn:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("https", "http") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, or a bracket without its pair
        usable = False
    if region or account or not usable:
        raise InvalidInput(
            f"{text!r} names no webhook: expected {WEBHOOK_PREFIX} followed by an https:// URL"
        )
    if parts.username is not None or parts.fragment:
        raise InvalidInput(
            f"the webhook URL in {WEBHOOK_PREFIX}… must not hold a user name, a password or a"
            " #fragment: deliveries are signed instead"
        )
    return Arn(Kind.WEBHOOK, url, text)


def _yds(text: str, region: str, account: str, rest: str) -> Arn:
    endpoint, _, name = rest.rpartition(":")  # the stream's name may hold slashes, but no colon
    if not region or account or not endpoint.startswith(("https://", "http://")) or not name:
        raise InvalidInput(
            f"{text!r} names no data stream: expected arn:yc:yds:REGION::ENDPOINT_URL:STREAM"
        )
    return Arn(Kind.YDS, name, text, endpoint=endpoint, region=region)


def _aws(kind: Kind, resource: str) -> Callable[[str, str, str, str], Arn]:
    def parse(text: str, region: str, account: str, rest: str) -> Arn:
        name = rest.removeprefix(resource)
        if not region or not account or name == rest or not name:
            raise InvalidInput(
                f"{text!r} names no stream: expected arn:aws:{kind}:REGION:ACCOUNT:{resource}NAME"
            )
        return Arn(kind, name, text, region=region, account=account)

    return parse


def _servers(kind: Kind, last: str) -> Callable[[str, str, str, str], Arn]:
    def parse(text: str, region: str, account: str, rest: str) -> Arn:
        servers, _, name = rest.partition("/")
        if region or account or not servers or "@" in servers or not name:
            raise InvalidInput(
                f"{text!r} is incomplete: expected arn:clicktrail:{kind}:::SERVERS/{last}"
            )
        return Arn(kind, name, text, endpoint=servers)

    return parse


_PARSERS: dict[tuple[str, str], Callable[[str, str, str, str], Arn]] = {
    ("clicktrail", "stream"): _stream,
    ("clicktrail", "webhook"): _webhook,
    ("clicktrail", "kafka"): _servers(Kind.KAFKA, "TOPIC"),
    ("clicktrail", "nats"): _servers(Kind.NATS, "SUBJECT"),
    ("yc", "yds"): _yds,
    ("aws", "kinesis"): _aws(Kind.KINESIS, "stream/"),
    ("aws", "firehose"): _aws(Kind.FIREHOSE, "deliverystream/"),
}
