"""Scanners and people before the whole service: what is counted as a person's in the end."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import pytest

from clicktrail.keys.token import PATH
from clicktrail.store.clicks.judging.reasons import REASONS
from support.service import BROWSER, PATIENCE, Service, email_with, hrefs, html_of, wait_for

LINKS = "".join(f'<p><a href="https://shop.example/{n}">{n}</a></p>' for n in range(5))
OFFICE = "Mozilla/4.0 (compatible; ms-office; MSOffice rmj)"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service behind a proxy of its own, whose emails have the hidden link."""
    flags = ("--redirect-trusted-proxies", "127.0.0.1", "--machine-honeypot", "*")
    folder = tmp_path_factory.mktemp("machines")
    with Service(folder, "--identities-required", "no", *flags) as running:
        yield running


class Email:
    """An email that was sent; ``links`` are its own five, ``hidden`` is the one beside them."""

    def __init__(self, house: Service) -> None:
        self._house = house
        self.name = house.configuration_set()
        found = [h for h in hrefs(html_of(house.send(email_with(LINKS, self.name)))) if PATH in h]
        *self.links, self.hidden = found
        assert len(self.links) == 5
        read_at = time.time() + 1.1  # before that every click is too fast for a person
        wait_for(lambda: time.time() > read_at or None, "a second after the email was accepted")

    def open(self, link: str, ip: str, agent: str = BROWSER) -> None:
        headers = {"X-Forwarded-For": ip, "User-Agent": agent}
        assert self._house.request(link, headers=headers).status == 302

    def counted(self, clicks: int, human: int) -> None:
        """Wait until so many clicks, and no more, are counted as people's."""

        def look() -> dict[str, Any] | None:
            found = self._house.statistics("--configuration-set", self.name)
            return found if (found["clicks"], found["humanClicks"]) == (clicks, human) else None

        wait_for(look, f"{human} of {clicks} clicks are human")


def at_once(email: Email, *links: str) -> None:
    with ThreadPoolExecutor(len(links)) as pool:
        list(pool.map(email.open, links, [f"203.0.113.{n}" for n in range(len(links))]))


def test_five_links_at_once_from_five_addresses_are_no_people(house: Service) -> None:
    email = Email(house)
    at_once(email, *email.links)
    email.counted(5, 0)


def test_nor_are_they_where_one_of_the_addresses_follows_the_hidden_link(house: Service) -> None:
    email = Email(house)
    at_once(email, email.links[0], email.hidden)
    email.counted(1, 0)


def test_office_looks_at_the_link_and_a_person_opens_it(house: Service) -> None:
    email = Email(house)
    email.open(email.links[0], "198.51.100.3", OFFICE)
    email.open(email.links[0], "198.51.100.3")
    email.counted(2, 1)


def test_two_people_and_a_link_that_is_opened_twice_stay_people(house: Service) -> None:
    email = Email(house)
    for ip in ("198.51.100.3", "198.51.100.3", "192.0.2.200"):
        email.open(email.links[0], ip)
    email.counted(3, 3)


def test_what_is_found_out_after_a_restart_corrects_what_was_counted_before(
    house: Service,
) -> None:
    email = Email(house)
    for _ in range(2):
        email.open(email.links[0], "203.0.113.9")
    email.counted(2, 2)
    house.stop()
    house.start()
    email.open(email.hidden, "203.0.113.9")
    email.counted(2, 0)


def test_why_is_told_in_words(house: Service) -> None:
    email = Email(house)
    email.open(email.links[0], "198.51.100.3", OFFICE)
    [event] = house.wait_for_events(email.name, 1)
    told = house.cli("clicks", "explain", event["eventId"])
    assert told.startswith("machine: ")
    assert "user-agent (weighs 2)\n" in told
    assert REASONS["user-agent"].sentence in told
    as_json = json.loads(house.cli("clicks", "explain", event["eventId"], "--json"))
    assert as_json["verdict"] == "machine"
    assert [each["reason"] for each in as_json["reasons"]] == ["user-agent"]
    email.open(email.links[0], "198.51.100.3")
    person = next(
        e for e in house.wait_for_events(email.name, 2) if e["eventId"] != event["eventId"]
    )
    assert "Nothing speaks against a person." in house.cli("clicks", "explain", person["eventId"])


def test_a_request_without_a_browsers_headers_is_no_persons(house: Service) -> None:
    email = Email(house)
    headers = {"X-Forwarded-For": "198.51.100.3", "Accept": "*/*", "User-Agent": BROWSER}
    parts = urlsplit(email.links[0])
    with closing(HTTPConnection("127.0.0.1", house.http, timeout=PATIENCE)) as connection:
        connection.request("GET", parts.path, headers=headers)
        assert connection.getresponse().status == 302
    email.counted(1, 0)


def test_what_was_looked_at_first_is_no_persons(house: Service) -> None:
    email = Email(house)
    headers = {"X-Forwarded-For": "198.51.100.3"}
    assert house.request(email.links[0], "HEAD", headers).status == 302
    email.open(email.links[0], "198.51.100.3")
    email.open(email.links[0], "192.0.2.200")
    email.counted(2, 1)
