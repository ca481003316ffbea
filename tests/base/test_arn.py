"""Event destinations by ARN: what is understood, and what is said about the rest."""

import pytest

from clicktrail.arn import Arn, Kind, check_deliverable, parse_arn, stream_arn, webhook_arn
from clicktrail.errors import InvalidInput

GOOD = {
    "arn:clicktrail:stream:::clicks.2": (Kind.STREAM, "clicks.2", "", "", ""),
    "arn:clicktrail:webhook:::https://example.com:8443/a?b=c:d": (
        (Kind.WEBHOOK, "https://example.com:8443/a?b=c:d", "", "", "")
    ),
    "arn:yc:yds:ru-central1::https://yds.example.net:443:/region/folder/stream": (
        (Kind.YDS, "/region/folder/stream", "https://yds.example.net:443", "ru-central1", "")
    ),
    "arn:aws:kinesis:eu-west-1:123456789012:stream/clicks": (
        (Kind.KINESIS, "clicks", "", "eu-west-1", "123456789012")
    ),
    "arn:aws:firehose:eu-west-1:123456789012:deliverystream/clicks": (
        (Kind.FIREHOSE, "clicks", "", "eu-west-1", "123456789012")
    ),
    "arn:clicktrail:kafka:::one:9092,two:9092/clicks": (
        (Kind.KAFKA, "clicks", "one:9092,two:9092", "", "")
    ),
    "arn:clicktrail:nats:::localhost:4222/clicks.all": (
        (Kind.NATS, "clicks.all", "localhost:4222", "", "")
    ),
}  # fmt: skip


@pytest.mark.parametrize("text", GOOD)
def test_an_arn_is_taken_apart(text: str) -> None:
    kind, name, endpoint, region, account = GOOD[text]
    assert parse_arn(text) == Arn(kind, name, text, endpoint, region, account)
    assert str(parse_arn(text)) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "expected arn:clicktrail:stream:::NAME"),
        ("clicks", "expected arn:clicktrail:stream:::NAME"),
        ("arn:clicktrail:stream", "expected arn:clicktrail:stream"),
        ("arn:clicktrail:stream:::", "name of 1 to 128"),
        ("arn:clicktrail:stream:::a b", "without white space"),
        ("arn:clicktrail:stream:::a/b", "name of 1 to 128"),
        ("arn:clicktrail:stream:::ы", "ASCII"),
        ("arn:clicktrail:stream:region::a", "name of 1 to 128"),
        ("arn:clicktrail:webhook:::example.com", "followed by an https:// URL"),
        ("arn:clicktrail:webhook:::ftp://example.com", "followed by an https:// URL"),
        ("arn:clicktrail:webhook:::https:///path", "followed by an https:// URL"),
        ("arn:clicktrail:webhook:::https://example.com:port/", "followed by an https:// URL"),
        ("arn:clicktrail:webhook:::https://[::1/", "followed by an https:// URL"),
        ("arn:clicktrail:webhook:::https://user:password@example.com/", "user name"),
        ("arn:clicktrail:webhook:::https://example.com/#part", "#fragment"),
        ("arn:yc:yds:::https://example.com:stream", "arn:yc:yds:REGION"),
        ("arn:aws:kinesis:eu-west-1:1:clicks", "stream/NAME"),
        ("arn:aws:firehose:eu-west-1::deliverystream/clicks", "deliverystream/NAME"),
        ("arn:aws:sns:eu-west-1:1:topic", "names no event destination"),
        ("arn:clicktrail:kafka:::broker:9092", "SERVERS/TOPIC"),
        ("arn:clicktrail:nats:::user:password@server/subject", "SERVERS/SUBJECT"),
        ("arn:clicktrail:stream:::" + "a" * 3000, "at most 2048"),
    ],
)
def test_what_is_no_arn_is_refused_with_what_is_expected(text: str, expected: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        parse_arn(text)
    assert expected in str(raised.value)


def test_only_streams_and_webhooks_can_be_used() -> None:
    assert check_deliverable(stream_arn("clicks")).name == "clicks"
    assert check_deliverable(webhook_arn("https://example.com/")).kind is Kind.WEBHOOK
    for text, (kind, *_) in GOOD.items():
        if kind not in (Kind.STREAM, Kind.WEBHOOK):
            with pytest.raises(InvalidInput, match=r"use a built-in stream .* or a webhook"):
                check_deliverable(text)
