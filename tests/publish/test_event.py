"""Notifications, field by field."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clicktrail.model import Click, Identity, Link, Message, Verdict
from clicktrail.publish.addresses import domain_in, split_addresses
from clicktrail.publish.event import (
    HEADERS_LIMIT,
    click_event,
    click_object,
    event_id_for,
    mail_object,
    reduced_mail_object,
    send_event,
)

MESSAGE = Message(
    id="QA_JPkU2fkpIWdkxAOASH",
    accepted_at=1_795_457_284_933_666,
    source="user@example.com",
    recipients=("recipient@example.com",),
    identity=Identity("ZtYk0rrjN87m-Ovxjte1G", "example.com"),
    configuration_set="news",
    source_ip="192.0.2.7",
    headers=(
        ("From", "User <user@example.com>"),
        ("To", "Recipient Name <recipient@example.com>"),
        ("X-SES-CONFIGURATION-SET", "news"),
        ("x-ses-message-tags", "campaign=summer"),
        ("Subject", "=?utf-8?q?H=C3=A9llo?="),
        ("Date", "Thu, 27 Jun 2024 14:05:45 +0000"),
        ("Message-ID", "<a@b>"),
        ("Received", "from a by b"),
        ("Received", "from b by c"),
    ),
    tags={"campaign": ["summer"]},
    links=(Link(0, "https://example.com/some-link", (("product", "book"), ("genre", "fiction"))),),
)
CLICK = Click(
    event_id="jdMtnVniDeHqlQX8ygwEX",
    message_id=MESSAGE.id,
    link=0,
    url="https://example.com/some-link",
    clicked_at=1_795_457_351_120_000,
    ip="192.0.2.1",
    user_agent="Mozilla/5.0 …",
)


def mail(**changes: Any) -> dict[str, Any]:
    values = {name: getattr(MESSAGE, name) for name in MESSAGE.__slots__}
    made: dict[str, Any] = json.loads(mail_object(Message(**{**values, **changes})))
    return made


def test_a_click_event_is_as_documented() -> None:
    clicked = click_object(CLICK, MESSAGE.links[0].tags, Verdict.HUMAN, ())
    event = click_event(mail_object(MESSAGE), clicked, event_id_for(CLICK.event_id, 0))
    assert json.loads(event) == {
        "eventType": "Click",
        "mail": {
            "timestamp": "2026-11-23T18:08:04.933666Z",
            "messageId": "QA_JPkU2fkpIWdkxAOASH",
            "identityId": "ZtYk0rrjN87m-Ovxjte1G",
            "source": "user@example.com",
            "destination": ["recipient@example.com"],
            "commonHeaders": {
                "from": ["User <user@example.com>"],
                "to": ["Recipient Name <recipient@example.com>"],
                "subject": "=?utf-8?q?H=C3=A9llo?=",
                "date": "Thu, 27 Jun 2024 14:05:45 +0000",
                "messageId": "QA_JPkU2fkpIWdkxAOASH",
                "originalMessageId": "<a@b>",
            },
            "headers": [
                {"name": "From", "value": "User <user@example.com>"},
                {"name": "To", "value": "Recipient Name <recipient@example.com>"},
                {"name": "Subject", "value": "=?utf-8?q?H=C3=A9llo?="},
                {"name": "Date", "value": "Thu, 27 Jun 2024 14:05:45 +0000"},
                {"name": "Message-ID", "value": "<a@b>"},
                {"name": "Received", "value": "from a by b"},
                {"name": "Received", "value": "from b by c"},
            ],
            "tags": {
                "ses:configuration-set": ["news"],
                "ses:from-domain": ["example.com"],
                "ses:source-ip": ["192.0.2.7"],
                "campaign": ["summer"],
            },
        },
        "click": {
            "ipAddress": "192.0.2.1",
            "timestamp": "2026-11-23T18:09:11.120000Z",
            "userAgent": "Mozilla/5.0 …",
            "url": "https://example.com/some-link",
            "link": "https://example.com/some-link",
            "linkTags": {"product": ["book"], "genre": ["fiction"]},
            "bot": {"verdict": "human", "reasons": []},
        },
        "eventId": "jdMtnVniDeHqlQX8ygwEX:0",
    }


def test_a_send_event_has_the_mail_and_an_empty_send() -> None:
    event = json.loads(send_event(mail_object(MESSAGE), "an-id:1"))
    assert list(event) == ["eventType", "mail", "send", "eventId"]
    assert (event["eventType"], event["send"], event["eventId"]) == ("Send", {}, "an-id:1")
    assert event["mail"] == mail()


def test_a_lost_email_is_told_by_its_id_alone() -> None:
    assert json.loads(reduced_mail_object("the-id")) == {"messageId": "the-id"}


def test_a_link_without_tags_has_none_and_a_tag_given_twice_keeps_both() -> None:
    assert json.loads(click_object(CLICK, (), Verdict.HUMAN, ()))["linkTags"] == {}
    tags = (("k", "b"), ("k", "a"), ("ключ", "a:b"))
    told = json.loads(click_object(CLICK, tags, Verdict.MACHINE, ("burst", "too-fast")))
    assert told["linkTags"] == {"k": ["b", "a"], "ключ": ["a:b"]}
    assert told["bot"] == {"verdict": "machine", "reasons": ["burst", "too-fast"]}


def test_headers_over_ten_kib_are_cut_at_the_end() -> None:
    long = "x" * (HEADERS_LIMIT // 2 - 1)
    exact = (("A", long), ("B", long))
    assert len(mail(headers=exact)["headers"]) == 2
    assert "headersTruncated" not in mail(headers=exact)
    cut = mail(headers=(*exact, ("C", ""), ("From", "a@b.c")))
    assert [h["name"] for h in cut["headers"]] == ["A", "B"]
    assert cut["headersTruncated"] is True
    assert cut["commonHeaders"]["from"] == ["a@b.c"]


def test_headers_are_measured_in_bytes_and_without_those_left_out() -> None:
    wide = (("A", "ж" * (HEADERS_LIMIT // 2)),)
    assert mail(headers=wide)["headersTruncated"] is True
    control = (("X-SES-SOURCE-ARN", "x" * HEADERS_LIMIT), ("A", "b"))
    assert mail(headers=control)["headers"] == [{"name": "A", "value": "b"}]


def test_an_email_with_little_in_it_has_the_same_fields() -> None:
    bare = mail(headers=(), identity=None, configuration_set=None, source_ip=None, tags={})
    assert bare["identityId"] == ""
    assert bare["tags"] == {"ses:from-domain": ["example.com"]}
    assert bare["commonHeaders"] == {
        "from": [],
        "to": [],
        "subject": "",
        "date": "",
        "messageId": MESSAGE.id,
        "originalMessageId": "",
    }


def test_the_from_domain_is_that_of_the_from_header() -> None:
    assert mail(source="bounce@mta.example.net")["tags"]["ses:from-domain"] == ["example.com"]
    other = mail(headers=(("FROM", '"a@b" <c@Sub.Example.ORG>, d@e.f'),), source="")
    assert other["tags"]["ses:from-domain"] == ["sub.example.org"]
    assert other["source"] == ""


def test_senders_tags_cannot_replace_those_of_the_service() -> None:
    tags = mail(tags={"ses:source-ip": ["1.1.1.1"], "ses:own": ["x"], "k": ["a", "b"]})["tags"]
    assert tags["ses:source-ip"] == ["192.0.2.7"]
    assert tags["ses:own"] == ["x"]
    assert tags["k"] == ["a", "b"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a@b.c", ["a@b.c"]),
        (" A <a@b.c> ,b@c.d", ["A <a@b.c>", "b@c.d"]),
        ('"Doe, \\"J\\"" <a@b.c>, X <x@y.z>', ['"Doe, \\"J\\"" <a@b.c>', "X <x@y.z>"]),
        ("=?utf-8?q?A=2C_B?= <a@b.c>", ["=?utf-8?q?A=2C_B?= <a@b.c>"]),
        ("a@b.c (one, two (three))", ["a@b.c (one, two (three))"]),
        ('"odd, local"@b.c, <a@b.c>', ['"odd, local"@b.c', "<a@b.c>"]),
        ("a@[192.0.2.1], b@[IPv6:2001:db8::1]", ["a@[192.0.2.1]", "b@[IPv6:2001:db8::1]"]),
        ("Имя <a@почта.рф>", ["Имя <a@почта.рф>"]),
        ("Team: a@b.c, D <d@e.f>;, x@y.z", ["a@b.c", "D <d@e.f>", "x@y.z"]),
        ("undisclosed-recipients:;", []),
        ("a@b.c,, d@e.f,", ["a@b.c", "d@e.f"]),
        ("", []),
        ("   ", []),
        ("no address here", ["no address here"]),
        (" a@b.c, no address ", ["a@b.c, no address"]),
        ('"never closed <a@b.c>', ['"never closed <a@b.c>']),
        ("a@b.c (never closed", ["a@b.c (never closed"]),
        ("Team: a@b.c", ["Team: a@b.c"]),
        ("<<a@b.c>>", ["<<a@b.c>>"]),
        ("<>", ["<>"]),
        ("a b@c.d", ["a b@c.d"]),
    ],
)
def test_address_lists_are_split_as_they_are_written(value: str, expected: list[str]) -> None:
    assert split_addresses(value) == expected


@given(st.text('ab@.,;:<>()[]"\\ \t', max_size=40))
def test_splitting_never_fails_and_never_makes_anything_up(value: str) -> None:
    items = split_addresses(value)
    for item in items:
        assert item in value
        assert item == item.strip()
        assert domain_in(item) or items == [value.strip()]


def test_splitting_takes_no_time_on_hostile_values() -> None:
    for hostile in (
        "(" * 5000,
        '"' + "\\" * 5000,
        "<" * 5000,
        "a@" * 5000,
        "(a(b" * 3000,
        "," * 9000,
    ):
        assert split_addresses(hostile) in ([hostile], [])
