"""Event destinations by ARN: what is understood, and what is said about the rest."""

import tomllib
from pathlib import Path

import pytest

from clicktrail.base.arn import EXTRAS, Arn, Kind, check_deliverable, parse_arn
from clicktrail.errors import InvalidInput

ROOT = Path(__file__).resolve().parents[2]
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
        ("arn:clicktrail:nats:::server:4222/clicks.*", "SERVERS/SUBJECT"),
        ("arn:clicktrail:nats:::server:4222/clicks..all", "SERVERS/SUBJECT"),
        ("arn:clicktrail:nats:::one,,two/clicks", "host:port separated by commas"),
        ("arn:clicktrail:kafka:::broker:9092/a/b", "SERVERS/TOPIC"),
        ("arn:clicktrail:kafka:::broker:port/topic", "SERVERS/TOPIC"),
        ("arn:aws:kinesis:example.com/#:1:stream/clicks", "arn:aws:kinesis:REGION"),
        ("arn:yc:yds:ru-central1::https://user@example.com:stream", "ENDPOINT_URL"),
        ("arn:yc:yds:ru-central1::https://example.com/?a=:stream", "ENDPOINT_URL"),
        ("arn:clicktrail:stream:::" + "a" * 3000, "at most 2048"),
    ],
)
def test_what_is_no_arn_is_refused_with_what_is_expected(text: str, expected: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        parse_arn(text)
    assert expected in str(raised.value)


@pytest.mark.parametrize("text", GOOD)
def test_each_kind_can_be_used(text: str) -> None:
    assert check_deliverable(text).kind is GOOD[text][0]


@pytest.mark.parametrize("text", GOOD)
def test_without_its_library_a_kind_is_refused_with_the_command_that_installs_it(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clicktrail.base.arn.find_spec", lambda name: None)
    kind = GOOD[text][0]
    if kind not in EXTRAS:
        assert check_deliverable(text).kind is kind
        return
    with pytest.raises(InvalidInput, match=r"pip install 'clicktrail\[(kafka|nats)\]'"):
        check_deliverable(text)


def test_the_extras_are_those_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    of_destinations = set(project["optional-dependencies"]) - {"postgresql", "acme"}
    assert {extra for extra, _ in EXTRAS.values()} == of_destinations
