"""The HTTP API: the built-in stream read over a real socket."""

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import quote

import httpx
import pytest

from clicktrail.doors.asgi import AsgiServer
from clicktrail.ingress.sesv2.api import create_api
from clicktrail.settings.kinds import Address
from clicktrail.store import Store
from clicktrail.store.clicks.streams import NewStreamEvent
from support.service import PATIENCE

TOKEN = "the-token"
SIGNED_IN = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
async def api(store: Store) -> AsyncIterator[httpx.AsyncClient]:
    made = create_api(store.streams, TOKEN, do_not_track=store.do_not_track)
    server = AsgiServer(made, Address("127.0.0.1", 0))
    await server.start()
    retrying = httpx.AsyncHTTPTransport(retries=5)
    async with httpx.AsyncClient(
        base_url=f"http://{server.address}", transport=retrying, headers=SIGNED_IN, timeout=PATIENCE
    ) as client:
        yield client
    await server.stop()


async def put(store: Store, number: int, stream: str = "clicks") -> None:
    payload = b'{"number":%d}' % number
    await store.streams.append([NewStreamEvent(stream, f"event-{number}:0", payload, number)])


async def test_events_are_read_page_by_page(store: Store, api: httpx.AsyncClient) -> None:
    for number in range(5):
        await put(store, number)
    await put(store, 99, "other")
    seen, after = [], 0
    for size in (2, 2, 1, 0):
        answer = await api.get(f"/v1/streams/clicks/events?after={after}&limit=2")
        assert answer.status_code == 200
        found = answer.json()
        assert len(found["events"]) == size
        seen += [each["event"]["number"] for each in found["events"]]
        after = found["next"]
    assert seen == [0, 1, 2, 3, 4]


async def test_an_answer_waits_for_the_first_event(store: Store, api: httpx.AsyncClient) -> None:
    asking = asyncio.create_task(api.get("/v1/streams/clicks/events?wait=8"))
    await asyncio.sleep(0.1)
    assert not asking.done()
    await put(store, 7)
    assert [each["event"] for each in (await asking).json()["events"]] == [{"number": 7}]


@pytest.mark.parametrize("value", ["", "Bearer", "Bearer no", "Basic the-token", "the-token"])
async def test_without_the_token_there_is_no_answer(api: httpx.AsyncClient, value: str) -> None:
    answer = await api.get("/v1/streams/clicks/events", headers={"Authorization": value})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert "token" in answer.json()["message"]


@pytest.mark.parametrize("query", ["after=-1", "after=x", "limit=0", "limit=9999", "wait=nan"])
async def test_a_wrong_number_is_named(api: httpx.AsyncClient, query: str) -> None:
    answer = await api.get(f"/v1/streams/clicks/events?{query}")
    assert answer.status_code == 400
    assert query.partition("=")[0] in answer.json()["message"]


async def test_other_paths_and_methods_are_refused_as_json(api: httpx.AsyncClient) -> None:
    assert (await api.get("/nowhere")).status_code == 404
    assert (await api.post("/v1/streams/clicks/events")).status_code == 405
    assert "message" in (await api.get("/nowhere")).json()
    assert (await api.get("/healthz")).json() == {"status": "ok"}


@pytest.mark.parametrize("entry", ["anna@example.com", "a/b@example.com", "a?b#c%@example.com"])
async def test_any_address_is_put_on_the_list_of_who_is_not_tracked(
    api: httpx.AsyncClient, entry: str
) -> None:
    path = f"/v1/do-not-track/{quote(entry, safe='')}"
    for _ in range(2):
        answer = await api.put(path)
        assert (answer.status_code, answer.json()) == (200, {"entry": entry})
    listed = (await api.get("/v1/do-not-track")).json()
    assert [each["entry"] for each in listed["entries"]] == [entry]
    assert (await api.delete(path)).status_code == 200
    assert (await api.delete(path)).status_code == 404
    assert (await api.put(path, headers={"Authorization": "Bearer x"})).status_code == 401
