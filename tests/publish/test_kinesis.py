"""Kinesis and Firehose: against moto's server, and against one that answers what a test says."""

import asyncio
import ipaddress
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from clicktrail.base.arn import parse_arn
from clicktrail.errors import DeliveryFailed
from clicktrail.publish.destinations import BatchDestination
from clicktrail.publish.destinations.aws import AwsClient, AwsSettings, Limits, put_in_parts
from clicktrail.publish.destinations.firehose import FirehoseDestination
from clicktrail.publish.destinations.kinesis import KinesisDestination
from support.batches import event
from support.stream_servers import ACCOUNT, KEYS, REGION, Moto, Pretender

LOOPBACK = [ipaddress.ip_network("127.0.0.0/8")]
STREAM = parse_arn(f"arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/clicks")
DELIVERY = parse_arn(f"arn:aws:firehose:{REGION}:{ACCOUNT}:deliverystream/clicks")


@pytest.fixture(scope="module")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moto]:
    with Moto(tmp_path_factory.mktemp("moto")) as server:
        server.make_stream("clicks")
        server.make_delivery_stream("clicks")
        yield server


@asynccontextmanager
async def client(endpoint: str = "", **changes: Any) -> AsyncIterator[AwsClient]:
    given = {"access_key_id": KEYS["aws_access_key_id"], "secret_access_key": "secret", **changes}
    made = AwsClient(AwsSettings(endpoint=endpoint, **given))
    try:
        yield made
    finally:
        await made.close()


async def test_events_become_records_with_the_email_as_their_partition_key(moto: Moto) -> None:
    events = [event(n) for n in range(100)]
    async with client(moto.url) as aws:
        assert await KinesisDestination(aws).send_many(STREAM, events) == [None] * 100
    taken = moto.stream("clicks")
    assert sorted(data for _, data in taken) == sorted(e.payload for e in events)
    assert {key for key, _ in taken} == {"message-0", "message-1", "message-2"}
    assert all(json.loads(data)["mail"]["messageId"] == key for key, data in taken)


async def test_the_postbox_form_of_an_arn_names_the_endpoint(moto: Moto) -> None:
    moto.make_stream("postbox")
    arn = parse_arn(f"arn:yc:yds:{REGION}::{moto.url}:postbox")
    async with client(allowed=LOOPBACK) as aws:
        assert await KinesisDestination(aws).send_many(arn, [event(1)]) == [None]
    assert moto.stream("postbox") == [("message-1", event(1).payload)]


async def test_events_become_lines_of_firehose(moto: Moto) -> None:
    events = [event(n) for n in range(100)]
    async with client(moto.url) as aws:
        assert await FirehoseDestination(aws).send_many(DELIVERY, events) == [None] * 100
    assert [data for _, data in moto.delivery_stream("clicks")] == [e.payload for e in events]


async def test_a_missing_stream_is_named_and_may_come(moto: Moto) -> None:
    none = parse_arn(f"arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/later")
    async with client(moto.url) as aws:
        failed = await KinesisDestination(aws).send_many(none, [event(1)])
        assert "HTTP 400: ResourceNotFoundException: Stream later" in str(failed[0])
        assert failed[0] is not None
        assert not failed[0].permanent
        moto.make_stream("later")
        assert await KinesisDestination(aws).send_many(none, [event(1)]) == [None]


async def test_signatures_are_right_and_wrong_credentials_are_told(moto: Moto) -> None:
    iam = moto.client("iam")
    iam.create_user(UserName="clicktrail")
    allow = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    iam.put_user_policy(UserName="clicktrail", PolicyName="all", PolicyDocument=policy)
    key = iam.create_access_key(UserName="clicktrail")["AccessKey"]
    good = {
        "access_key_id": key["AccessKeyId"],
        "secret_access_key": key["SecretAccessKey"],
    }
    await check_signatures(moto, 0)
    try:
        async with client(moto.url, **good) as aws:
            assert await KinesisDestination(aws).send_many(STREAM, [event(1)]) == [None]
        async with client(moto.url, **{**good, "secret_access_key": "wrong"}) as aws:
            [failed] = await KinesisDestination(aws).send_many(STREAM, [event(1)])
            assert "HTTP 403" in str(failed)
        async with client(moto.url) as aws:
            [failed] = await KinesisDestination(aws).send_many(STREAM, [event(1)])
            assert "HTTP 403" in str(failed)
    finally:
        await check_signatures(moto, 1_000_000)


async def check_signatures(moto: Moto, after: int) -> None:
    """Let the server check credentials after so many more calls."""
    reader, writer = await asyncio.open_connection("127.0.0.1", moto.port)
    body = str(after)
    writer.write(
        f"POST /moto-api/reset-auth HTTP/1.1\r\nHost: moto\r\nContent-Length: {len(body)}\r\n"
        f"Connection: close\r\n\r\n{body}".encode()
    )
    assert b" 200 " in await reader.readline()
    writer.close()
    await writer.wait_closed()


async def test_without_an_access_key_the_environment_gives_one(
    moto: Moto, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAFROMOUTSIDE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "session")
    async with Pretender(all_taken) as server, client(server.url, access_key_id="") as aws:
        assert await KinesisDestination(aws).send_many(STREAM, [event(1)]) == [None]
    headers, _ = server.calls[0]
    assert "Credential=AKIAFROMOUTSIDE/" in headers["authorization"]
    assert headers["x-amz-security-token"] == "session"


async def test_without_any_credentials_it_says_where_they_may_stand(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    async with client("http://127.0.0.1:1", access_key_id="") as aws:
        [failed] = await KinesisDestination(aws).send_many(STREAM, [event(1)])
    assert "set kinesis.access_key_id and kinesis.secret_access_key" in str(failed)


def all_taken(body: dict[str, Any]) -> tuple[int, bytes]:
    name = "Records" if "StreamName" in body else "RequestResponses"
    return 200, json.dumps({name: [{} for _ in body["Records"]]}).encode()


def some_refused(body: dict[str, Any]) -> tuple[int, bytes]:
    refused = {"ErrorCode": "Throughput", "ErrorMessage": "slow down"}
    name = "Records" if "StreamName" in body else "RequestResponses"
    return 200, json.dumps(
        {name: [{} if n % 2 else refused for n in range(len(body["Records"]))]}
    ).encode()


@pytest.mark.parametrize("kind", [KinesisDestination, FirehoseDestination])
async def test_of_a_batch_only_what_was_refused_fails(kind: type[Any]) -> None:
    arn = STREAM if kind is KinesisDestination else DELIVERY
    async with Pretender(some_refused) as server, client(server.url) as aws:
        outcomes = await kind(aws).send_many(arn, [event(n) for n in range(4)])
    assert [str(o) for o in outcomes] == ["Throughput: slow down", "None"] * 2
    assert not outcomes[0].permanent


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (503, b"<html>busy</html>", "the answer was HTTP 503"),
        (400, b'{"__type":"com.x#Limit","Message":"no"}', "the answer was HTTP 400: Limit: no"),
        (307, b"", "the answer was HTTP 307"),
        (200, b"not JSON", "the answer cannot be understood"),
        (200, b'{"Records":[]}', "the answer tells of 0 records, not of 2"),
        (200, b'{"Records":"' + b"x" * 5_000_000, "longer than 4194304 bytes"),
    ],
)
async def test_whatever_else_is_answered_is_a_failure(status: int, body: bytes, said: str) -> None:
    async with Pretender(lambda _: (status, body)) as server, client(server.url) as aws:
        outcomes = await KinesisDestination(aws).send_many(STREAM, [event(1), event(2)])
    assert len(server.calls) == 1
    assert [said in str(each) for each in outcomes] == [True, True]
    assert not any(each.permanent for each in outcomes if each)


async def test_a_server_that_does_not_answer_or_is_not_there_is_a_failure(moto: Moto) -> None:
    async with client(moto.url, timeout=0.3) as aws:
        with moto.hung():
            [failed] = await KinesisDestination(aws).send_many(STREAM, [event(1)])
        assert "no answer in time" in str(failed)
    async with client("http://127.0.0.1:1") as aws:
        [failed] = await KinesisDestination(aws).send_many(STREAM, [event(1)])
    assert "the call failed" in str(failed)


@pytest.mark.parametrize(
    ("host", "why"),
    [
        ("http://127.0.0.1:1", "must be listed in webhook.allow"),
        ("https://localhost:1", "must be listed in webhook.allow"),
        ("https://169.254.169.254", "must be listed in webhook.allow"),
        ("https://[::ffff:10.0.0.1]", "must be listed in webhook.allow"),
        ("http://8.8.8.8", "without https only networks listed in webhook.allow"),
    ],
)
async def test_endpoints_in_arns_reach_no_private_network(host: str, why: str) -> None:
    arn = parse_arn(f"arn:yc:yds:{REGION}::{host}:clicks")
    # What the operator gives for arn:aws is no excuse.
    async with client("http://127.0.0.1:1") as aws:
        [failed] = await KinesisDestination(aws).send_many(arn, [event(1)])
    assert why in str(failed)


async def test_large_batches_become_requests_within_the_limits_of_each_service() -> None:
    large = [event(n, 600_000) for n in range(20)]
    many = [event(n) for n in range(1200)]
    async with Pretender(all_taken) as server, client(server.url) as aws:
        kinesis, firehose = KinesisDestination(aws), FirehoseDestination(aws)
        destination: BatchDestination
        for destination, arn, total, needed in (
            (kinesis, STREAM, 5 * 1024 * 1024, 3),
            (firehose, DELIVERY, 4 * 1024 * 1024, 4),
        ):
            for events, number in ((large, needed), (many, 3)):
                server.calls.clear()
                assert set(await destination.send_many(arn, events)) == {None}
                requests = [server.records(n) for n in range(len(server.calls))]
                assert all(len(r) <= 500 and sum(map(len, r)) <= total for r in requests)
                assert len(requests) == number
                sent = [record.rstrip(b"\n") for request in requests for record in request]
                assert sent == [e.payload for e in events]


async def test_one_event_that_is_too_large_fails_alone_and_for_good() -> None:
    async def put(part: Any) -> list[str]:
        return [""] * len(part)

    limits = Limits(records=10, each=200, total=1000)
    events = [event(1), event(2, 500), event(3)]
    outcomes = await put_in_parts(events, lambda e: len(e.payload), limits, put)
    assert [o and o.permanent for o in outcomes] == [None, True, None]


async def test_after_a_request_that_failed_no_more_are_made() -> None:
    calls = 0

    async def put(part: Any) -> list[str]:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise DeliveryFailed("down")
        return [""] * len(part)

    events = [event(n) for n in range(10)]
    outcomes = await put_in_parts(events, lambda _: 1, Limits(3, 10, 10), put)
    assert [str(each) for each in outcomes] == ["None"] * 3 + ["down"] * 7
    assert calls == 2
