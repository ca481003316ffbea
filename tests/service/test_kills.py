"""Killed at random moments under clicks: what got its 302 is counted once and notified."""

import http.client
import random
import threading
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from support.service import Service, email_with, hrefs, html_of, wait_for

CLIENTS = 8


class Clicker(threading.Thread):
    """Clicks again and again, each time on a URL of its own; keeps what was answered 302."""

    def __init__(self, port: int, links: list[str], chance: random.Random) -> None:
        super().__init__(daemon=True)
        self._port, self._links, self._chance = port, links, chance
        self.redirected: list[str] = []
        self.tried = 0
        self.halt = threading.Event()

    def run(self) -> None:
        connection: http.client.HTTPConnection | None = None
        while not self.halt.is_set():
            link = self._chance.choice(self._links)
            mark = f"{self.name}-{self.tried}"
            self.tried += 1
            try:
                if connection is None:
                    connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=5)
                # The User-Agent tells the clicks apart: it comes back in the notification.
                connection.request("GET", urlsplit(link).path, headers={"User-Agent": mark})
                answer = connection.getresponse()
                answer.read()
                if answer.status == 302:
                    self.redirected.append(mark)
            except (OSError, http.client.HTTPException):
                if connection is not None:
                    connection.close()
                connection = None
                self.halt.wait(0.02)
        if connection is not None:
            connection.close()


def kill_round(folder: Path, kills: int, seed: int) -> None:
    chance = random.Random(seed)
    with Service(folder) as service:
        name = service.configuration_set()
        html = "".join(f'<a href="http://a.example/{n}">x</a>' for n in range(5))
        links = hrefs(html_of(service.send(email_with(html, name))))
        clickers = [Clicker(service.http, links, random.Random(seed + n)) for n in range(CLIENTS)]
        for clicker in clickers:
            clicker.start()
        for _ in range(kills):
            clickers[0].halt.wait(chance.uniform(0.02, 0.4))
            service.kill()
            service.start()
        clickers[0].halt.wait(0.2)
        for clicker in clickers:
            clicker.halt.set()
        for clicker in clickers:
            clicker.join(10)
        redirected = Counter(mark for clicker in clickers for mark in clicker.redirected)
        tried = {f"{c.name}-{n}" for c in clickers for n in range(c.tried)}
        assert sum(redirected.values()) > kills, "the clients must have clicked between the kills"

        def settled() -> bool | None:
            events = {event["eventId"]: event for event in service.events(name)}
            marks = Counter(event["click"]["userAgent"] for event in events.values())
            counted = service.statistics("--configuration-set", name)["clicks"]
            # A click that was logged, but whose 302 the kill cut off, is a click as well.
            return (counted == len(events) and redirected.keys() <= marks.keys()) or None

        wait_for(settled, "every redirected click in the statistics and in the stream")
        events = service.events(name)
        marks = Counter(e["click"]["userAgent"] for e in {e["eventId"]: e for e in events}.values())
        assert {mark: number for mark, number in marks.items() if number > 1} == {}
        assert marks.keys() <= tried, "nothing is counted that nobody clicked"
        assert redirected.keys() <= marks.keys()
        # What was never answered may have been logged; it cannot be more than was under way.
        assert len(marks.keys() - redirected.keys()) <= kills * CLIENTS


def test_five_kills_under_clicks_lose_and_invent_nothing(tmp_path: Path) -> None:
    kill_round(tmp_path, kills=5, seed=11)


@pytest.mark.long
def test_fifty_kills_under_clicks_lose_and_invent_nothing(tmp_path: Path) -> None:
    kill_round(tmp_path, kills=50, seed=12)
