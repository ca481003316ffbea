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

Credentials never stand in an ARN. Some kinds need a library that comes with an extra of the
package (`EXTRAS`).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from importlib.util import find_spec
from urllib.parse import urlsplit

from clicktrail.errors import InvalidInput

ARN_LIMIT = 2048
STREAM_PREFIX = "arn:clicktrail:stream:::"
WEBHOOK_PREFIX = "arn:clicktrail:webhook:::"

_STREAM_NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}")
_REGION = re.compile(r"[a-z0-9-]{1,64}")  # it becomes a part of a host name
_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")  # as Kafka allows
_SUBJECT = re.compile(r"[^.*>/]+(?:\.[^.*>/]+)*")  # of NATS, without wildcards
_SERVER = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")


class Kind(StrEnum):
    """What an ARN names."""

    STREAM = "stream"
    WEBHOOK = "webhook"
    KINESIS = "kinesis"
    FIREHOSE = "firehose"
    YDS = "yds"
    KAFKA = "kafka"
    NATS = "nats"


EXTRAS = {
    Kind.KAFKA: ("kafka", "confluent_kafka"),
    Kind.NATS: ("nats", "nats"),
}
"""The kinds that need an extra of the package: its name, and the module that it brings."""


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

    @property
    def host(self) -> str:
        """Scheme, host and port of a webhook: what follows may hold a token of its receiver."""
        parts = urlsplit(self.name)
        return f"{parts.scheme}://{parts.netloc}"

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
            f"{text!r} names no event destination: expected {STREAM_PREFIX}NAME,"
            f" {WEBHOOK_PREFIX}URL, arn:aws:kinesis:…, arn:aws:firehose:…, arn:yc:yds:…,"
            " arn:clicktrail:kafka:::SERVERS/TOPIC or arn:clicktrail:nats:::SERVERS/SUBJECT"
        )
    return parse(text, region, account, rest)


def check_deliverable(text: str) -> Arn:
    """Return a parsed ARN that events can be sent to.

    Raises `InvalidInput` for a text that is no ARN, and for kinds whose library is not installed.
    """
    arn = parse_arn(text)
    if missing := missing_extra(arn.kind):
        raise InvalidInput(f"events cannot be sent to {text!r}: {missing}")
    return arn


def missing_extra(kind: Kind) -> str:
    """Return what a kind needs and is not installed, with the command; ``""`` if nothing."""
    extra, module = EXTRAS.get(kind, ("", ""))
    if not extra or find_spec(module) is not None:
        return ""
    return (
        f"destinations of the kind {kind} need the package {module.replace('_', '-')};"
        f" install it with: pip install 'clicktrail[{extra}]'"
    )


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
    if not _REGION.fullmatch(region) or account or not _is_endpoint(endpoint) or not name:
        raise InvalidInput(
            f"{text!r} names no data stream: expected arn:yc:yds:REGION::ENDPOINT_URL:STREAM"
        )
    return Arn(Kind.YDS, name, text, endpoint=endpoint, region=region)


def _is_endpoint(url: str) -> bool:
    try:
        parts = urlsplit(url)
        plain = parts.port != 0 and not (parts.username or parts.query or parts.fragment)
    except ValueError:
        return False
    return parts.scheme in ("https", "http") and bool(parts.hostname) and plain


def _aws(kind: Kind, resource: str) -> Callable[[str, str, str, str], Arn]:
    def parse(text: str, region: str, account: str, rest: str) -> Arn:
        name = rest.removeprefix(resource)
        if not _REGION.fullmatch(region) or not account or name == rest or not name:
            raise InvalidInput(
                f"{text!r} names no stream: expected arn:aws:{kind}:REGION:ACCOUNT:{resource}NAME"
            )
        return Arn(kind, name, text, region=region, account=account)

    return parse


def _servers(kind: Kind, last: str, names: re.Pattern[str]) -> Callable[[str, str, str, str], Arn]:
    def parse(text: str, region: str, account: str, rest: str) -> Arn:
        servers, _, name = rest.partition("/")
        known = bool(servers) and all(map(_SERVER.fullmatch, servers.split(",")))
        if region or account or not known or not names.fullmatch(name):
            raise InvalidInput(
                f"{text!r} cannot be used: expected arn:clicktrail:{kind}:::SERVERS/{last},"
                " the servers as host:port separated by commas"
            )
        return Arn(kind, name, text, endpoint=servers)

    return parse


_PARSERS: dict[tuple[str, str], Callable[[str, str, str, str], Arn]] = {
    ("clicktrail", "stream"): _stream,
    ("clicktrail", "webhook"): _webhook,
    ("clicktrail", "kafka"): _servers(Kind.KAFKA, "TOPIC", _TOPIC),
    ("clicktrail", "nats"): _servers(Kind.NATS, "SUBJECT", _SUBJECT),
    ("yc", "yds"): _yds,
    ("aws", "kinesis"): _aws(Kind.KINESIS, "stream/"),
    ("aws", "firehose"): _aws(Kind.FIREHOSE, "deliverystream/"),
}
