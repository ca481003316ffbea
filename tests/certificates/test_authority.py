"""What is made of the answers of an authority."""

import time
from collections.abc import Iterator
from datetime import datetime
from email.utils import formatdate

import pytest
import requests

from clicktrail.certificates.authority import Client


@pytest.fixture(params=["UTC", "UTC-3", "UTC+8"])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("told", "least", "most"),
    [
        ("600", 590, 600),
        ("tomorrow", 80000, 86401),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.5, 1),
        ("0", 0.5, 1),
        ("soon", 40, 50),
        ("", 40, 50),
        ("9" * 400, 40, 50),
        ("-5", 40, 50),
        ("nan", 40, 50),
    ],
)
def test_it_is_waited_as_long_as_it_says_in_every_time_zone(
    zone: str, told: str, least: float, most: float
) -> None:
    if told == "tomorrow":
        told = formatdate(time.time() + 86400, usegmt=True)
    answer = requests.Response()
    answer.headers["Retry-After"] = told
    left = (Client.retry_after(answer, 50) - datetime.now()).total_seconds()
    assert least <= left <= most
