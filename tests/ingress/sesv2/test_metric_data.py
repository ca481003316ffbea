from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from clicktrail.base.ids import new_id
from clicktrail.ingress.sesv2.metric_data import MetricData
from clicktrail.ingress.sesv2.operations import ApiError, Call, Principal
from clicktrail.ingress.sesv2.send_shapes import BatchGetMetricDataRequest
from clicktrail.model import Identity, Message, MessageState
from clicktrail.store import Store

CALL = Call(Principal("AKIA", frozenset({"read"})), {})


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


async def asked(store: Store, start: str, end: str, *metrics: str, **dimensions: str) -> Any:
    query = {"Namespace": "VDM", "StartDate": at(start), "EndDate": at(end)}
    body = {"Queries": [{"Id": m, "Metric": m, "Dimensions": dimensions, **query} for m in metrics]}
    request = msgspec.json.decode(msgspec.json.encode(body), type=BatchGetMetricDataRequest)
    return await MetricData(store).batch_get_metric_data(CALL, request)


async def store_with_emails(folder: Path) -> Store:
    """Return a store with emails of three days: 2, 1 and 4 of them."""
    store = await Store.open(f"sqlite:///{folder / 'clicktrail.db'}")
    for day, number in (("2026-03-01", 2), ("2026-03-02", 1), ("2026-03-04", 4)):
        for n in range(number):
            when = at(f"{day}T23:59:59") * 1_000_000
            to = ("r@gmail.com",) if n == 0 else ("r@example.org",)
            identity = Identity("i", "example.com")
            message = Message(new_id(when), when, "s@example.com", to, identity, "news")
            await store.messages.add(message)
            await store.messages.finish(message.id, MessageState.SENT, to, when)
    return store


async def test_every_day_that_begins_before_the_end_has_a_value(tmp_path: Path) -> None:
    store = await store_with_emails(tmp_path)
    for start, end, first, values in (
        ("2026-03-01", "2026-03-05", "2026-03-01", [2, 1, 0, 4]),
        ("2026-03-01T13:00", "2026-03-04T00:00", "2026-03-01", [2, 1, 0]),
        ("2026-03-03", "2026-03-04T00:00:01", "2026-03-03", [0, 4]),
        ("2026-02-28T23:59:59", "2026-03-01", "2026-02-28", [0]),
    ):
        answer = await asked(store, start, end, "SEND", CONFIGURATION_SET="news")
        days = [at(first) + 86_400 * n for n in range(len(values))]
        assert answer == {
            "Results": [{"Id": "SEND", "Timestamps": days, "Values": values}],
            "Errors": [],
        }
    await store.close()


@pytest.mark.parametrize(
    ("dimensions", "values"),
    [
        ({}, [2, 1]),
        ({"ISP": "Google"}, [1, 1]),
        ({"ISP": "other"}, [1, 0]),
        ({"ISP": "Yandex"}, [0, 0]),
        ({"EMAIL_IDENTITY": "Example.com", "CONFIGURATION_SET": "news"}, [2, 1]),
        ({"EMAIL_IDENTITY": "example.org"}, [0, 0]),
        ({"CONFIGURATION_SET": "other"}, [0, 0]),
    ],
)
async def test_dimensions_narrow_what_is_counted(
    tmp_path: Path, dimensions: dict[str, str], values: list[int]
) -> None:
    store = await store_with_emails(tmp_path)
    answer = await asked(store, "2026-03-01", "2026-03-03", "SEND", "CLICK", **dimensions)
    assert [result["Values"] for result in answer["Results"]] == [values, [0, 0]]
    await store.close()


async def test_a_metric_that_is_not_counted_fails_alone(tmp_path: Path) -> None:
    store = await store_with_emails(tmp_path)
    answer = await asked(store, "2026-03-01", "2026-03-02", "DELIVERY", "SEND", "x" * 10)
    assert [result["Id"] for result in answer["Results"]] == ["SEND"]
    assert [(e["Id"], e["Code"]) for e in answer["Errors"]] == [
        ("DELIVERY", "ACCESS_DENIED"),
        ("x" * 10, "ACCESS_DENIED"),
    ]
    assert "SEND, CLICK, DELIVERY_CLICK, OPEN" in answer["Errors"][0]["Message"]
    await store.close()


@pytest.mark.parametrize(
    ("start", "end", "dimensions", "what"),
    [
        ("2026-03-02", "2026-03-02", {}, "EndDate must be after StartDate"),
        ("2020-03-02", "2026-03-02", {}, "at most 1100 days"),
        ("2026-03-01", "2026-03-02", {"ISP": "Acme"}, "Mail.Ru Group"),
        ("2026-03-01", "2026-03-02", {"COLOUR": "red"}, "CONFIGURATION_SET, EMAIL_IDENTITY, ISP"),
    ],
)
async def test_queries_that_make_no_sense_are_refused(
    tmp_path: Path, start: str, end: str, dimensions: dict[str, str], what: str
) -> None:
    store = await Store.open(f"sqlite:///{tmp_path / 'clicktrail.db'}")
    with pytest.raises(ApiError, match=what) as caught:
        await asked(store, start, end, "SEND", **dimensions)
    assert (caught.value.status, caught.value.code) == (400, "BadRequestException")
    await store.close()


@pytest.mark.parametrize("number", [float("inf"), 1e18, -1e18, 1e300])
async def test_dates_out_of_range_are_refused(tmp_path: Path, number: float) -> None:
    store = await Store.open(f"sqlite:///{tmp_path / 'clicktrail.db'}")
    query = {"id": "a", "namespace": "VDM", "metric": "SEND", "end_date": number}
    body = msgspec.convert(
        {"Queries": [{k.title().replace("_", ""): v for k, v in query.items()} | {"StartDate": 0}]},
        BatchGetMetricDataRequest,
    )
    with pytest.raises(ApiError):
        await MetricData(store).batch_get_metric_data(CALL, body)
    await store.close()
