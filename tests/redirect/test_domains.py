"""Paths about domains: is it ours, is it us; over real sockets."""

import asyncio
import ipaddress
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from clicktrail.doors.forwarded import Visitors
from clicktrail.errors import InvalidInput, StoreUnavailable
from clicktrail.keys.probe import ask
from clicktrail.keys.token import Key, KeyRing
from clicktrail.redirect.domains import DomainPages, OwnDomains
from support.redirecting import RING, House, house_in, path_of, request, statuses

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)
ALLOWED = "/domains/allowed"


class Sets:
    """The custom domains of configuration sets, as they are now."""

    def __init__(self, *domains: str) -> None:
        self.domains = list(domains)
        self.error: Exception | None = None

    async def read(self) -> list[str]:
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        return self.domains


@pytest.fixture
def sets() -> Sets:
    return Sets("Custom.example", "with-port.example:8443", "почта.рф", "no/host")


def pages(sets: Sets, ring: KeyRing = RING) -> DomainPages:
    domains = OwnDomains(("click.example.com:8080", "old.example", "192.0.2.1"), sets.read)
    return DomainPages(lambda: ring, Visitors(LOOPBACK), domains)


@pytest.fixture
async def house(tmp_path: Path, sets: Sets) -> AsyncIterator[House]:
    async with house_in(tmp_path, trusted=LOOPBACK, pages=pages(sets)) as house:
        yield house


async def is_allowed(house: House, domain: str) -> int:
    return (await house.http.get(ALLOWED, params={"domain": domain})).status_code


class TestAllowed:
    @pytest.mark.parametrize(
        "domain",
        [
            "click.example.com",
            "CLICK.Example.com.",
            "old.example",
            "custom.example",
            "with-port.example",
            "xn--80a1acny.xn--p1ai",
            "192.0.2.1",
        ],
    )
    async def test_a_domain_of_ours_is(self, house: House, domain: str) -> None:
        answer = await house.http.get(ALLOWED, params={"domain": domain})
        assert (answer.status_code, answer.text) == (200, "yes\n")
        assert answer.headers["cache-control"] == "no-store"

    @pytest.mark.parametrize(
        "domain", ["", "example.com", "a.custom.example", "custom.example.evil", "../x", "no/host"]
    )
    async def test_another_is_not(self, house: House, domain: str) -> None:
        answer = await house.http.get(ALLOWED, params={"domain": domain})
        assert (answer.status_code, answer.text) == (404, "no\n")

    @pytest.mark.parametrize("query", ["", "?", "?domain", "?x=custom.example", "?domain=%ff%00"])
    async def test_a_question_without_a_domain_is_answered_no(
        self, house: House, query: str
    ) -> None:
        assert (await house.http.get(ALLOWED + query)).status_code == 404

    async def test_two_domains_in_one_question_are_not_answered_by_either(
        self, house: House
    ) -> None:
        query = "?domain=custom.example&domain=evil.example"
        assert (await house.http.get(ALLOWED + query)).status_code == 404

    async def test_a_change_holds_at_once(self, house: House, sets: Sets) -> None:
        assert await is_allowed(house, "new.example") == 404
        sets.domains.append("new.example")
        assert await is_allowed(house, "new.example") == 200
        sets.domains.clear()
        assert await is_allowed(house, "new.example") == 404

    async def test_head_and_other_methods(self, house: House) -> None:
        answer = await house.http.head(ALLOWED, params={"domain": "custom.example"})
        assert (answer.status_code, answer.content) == (200, b"")
        assert (await house.http.post(ALLOWED + "?domain=custom.example")).status_code == 405

    @pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded"])
    async def test_people_behind_the_proxy_are_told_nothing(
        self, house: House, header: str
    ) -> None:
        for value in ("for=192.0.2.9", ""):
            answer = await house.http.get(
                ALLOWED, params={"domain": "custom.example"}, headers={header: value}
            )
            assert answer.status_code == 404

    @pytest.mark.parametrize("error", [StoreUnavailable("down"), RuntimeError("a fault of ours")])
    async def test_where_it_cannot_be_known_the_answer_is_neither(
        self, house: House, sets: Sets, error: Exception
    ) -> None:
        sets.error = error
        assert await is_allowed(house, "custom.example") == 503
        assert await is_allowed(house, "old.example") == 200  # known from the settings
        assert await is_allowed(house, "no/host") == 404
        sets.error = None
        assert await is_allowed(house, "custom.example") == 200

    async def test_when_the_store_fails_what_was_known_last_still_holds(
        self, house: House, sets: Sets
    ) -> None:
        assert await is_allowed(house, "custom.example") == 200
        sets.error = StoreUnavailable("down")
        assert await is_allowed(house, "custom.example") == 200
        assert await is_allowed(house, "new.example") == 404

    async def test_clicks_go_on_meanwhile_and_answers_keep_their_order(
        self, house: House, sets: Sets
    ) -> None:
        one = f"GET {ALLOWED}?domain=custom.example HTTP/1.1\r\nHost: x\r\n\r\n".encode()
        assert statuses(await house.say(one + one.replace(b"custom", b"other") + request())) == [
            200,
            404,
            302,
        ]
        assert len(await house.clicks()) == 1


class TestProbe:
    async def test_a_question_of_ours_is_answered_with_the_proof(self, house: House) -> None:
        question = ask(RING, time.time())
        answer = await house.http.get(
            question.path, headers={"Host": "custom.example", "X-Forwarded-For": "203.0.113.7"}
        )
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.json() == {
            "proof": question.proof,
            "host": "custom.example",
            "client": "203.0.113.7",
        }

    async def test_a_question_of_others_gets_the_page_that_any_wrong_link_gets(
        self, house: House
    ) -> None:
        foreign = KeyRing([Key(1, bytes(64), 0)])
        wrong = (await house.http.get("/nothing-here")).content
        for path in (ask(foreign, time.time()).path, "/domains/probe/x", "/domains/probe/%ff"):
            answer = await house.http.get(path)
            assert (answer.status_code, answer.content) == (404, wrong)
        assert statuses(await house.say(request("/domains/probe/\xe9"))) == [400]

    async def test_it_is_no_click(self, house: House) -> None:
        await house.http.get(ask(RING, time.time()).path)
        assert await house.clicks() == []

    async def test_without_a_key_ring_it_is_not_answered(self, tmp_path: Path, sets: Sets) -> None:
        def broken() -> KeyRing:
            raise InvalidInput("the key ring cannot be read")

        made = DomainPages(broken, Visitors(()), OwnDomains((), sets.read))
        async with house_in(tmp_path, pages=made) as house:
            assert (await house.http.get(ask(RING, time.time()).path)).status_code == 404


async def test_other_paths_are_as_before(house: House) -> None:
    assert (await house.http.get("/robots.txt")).status_code == 200
    assert (await house.http.get("/domains/")).status_code == 404
    assert (await house.http.get("/domains/allowed/")).status_code == 404
    assert (await house.http.get(path_of())).status_code == 302
