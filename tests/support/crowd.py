"""People who click all the while, in a thread of their own, and the books of their clicks."""

import asyncio
import json
import random
import re
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from typing import Any, Self
from urllib.parse import urlsplit

from clicktrail.keys.token import PATH, UNSUBSCRIBE_PATH
from support.service import PATIENCE, Service, email_with, hrefs, html_of, wait_for


class Crowd:
    """So many people who click links while the context is open, ``rate`` clicks a second in all.

    They click at all ``ports`` (the service's own, where none are given): who is not answered at
    one goes to the next. Each click has a User-Agent of its own, its *mark*, which comes back in
    the notification.
    ``redirected`` are the marks that were answered 302 with the right ``Location``, ``tried`` all,
    ``other`` counts other answers. Where opens are tracked, some look at the email instead:
    ``opened`` are the marks that got the image. With ``leave``, some unsubscribe: ``left`` are the
    marks that were told so; they come back in no notification.

    Links are changed meanwhile by `change`: then ``redirected`` has also those that were led where
    a change says, or told with 410 that the link is blocked. ``led`` says where each was led,
    ``None`` for nowhere.
    """

    _numbers = 0

    def __init__(
        self,
        service: Service,
        configuration_set: str,
        people: int = 64,
        rate: float = 200,
        ports: Sequence[int] = (),
        *,
        leave: bool = False,
    ) -> None:
        Crowd._numbers += 1
        self.name = f"crowd-{Crowd._numbers}"
        self._service, self._set = service, configuration_set
        self._ports = ports or (service.http,)
        self._people = people
        self._pause = people / rate
        self._pages = [f"http://a.example/{number}" for number in range(5)]
        html = "".join(f'<a href="{page}">x</a>' for page in self._pages)
        message = email_with(html + LEAVE * leave, configuration_set)
        if leave:
            message["X-SES-LIST-MANAGEMENT-OPTIONS"] = f"contactListName={self.name}"
        shown = html_of(service.send(message))
        self.paths = [urlsplit(link).path for link in [*hrefs(shown), *images(shown)]]
        self._halt = threading.Event()
        self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)
        self._changes: list[str] = []
        """Ids of those that hold, the oldest first."""
        self._may_lead: dict[str, set[str | None]] = {page: {page} for page in self._pages}
        self._changed = 0
        self.redirected: set[str] = set()
        self.led: dict[str, str | None] = {}
        self.opened: set[str] = set()
        self.left: set[str] = set()
        self.tried: set[str] = set()
        self.other: Counter[int] = Counter()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Let nobody click any more."""
        self._halt.set()
        self._thread.join()

    def wait_for(self, more: int, patience: float = PATIENCE) -> None:
        """Return when that many more clicks were answered 302."""
        goal = len(self.redirected) + more
        wait_for(lambda: len(self.redirected) >= goal or None, f"{more} more redirects", patience)

    def change(self) -> None:
        """Change a link, by turns: lead one elsewhere, block one, and undo both again."""
        turn, page = self._changed % 4, self._pages[self._changed % 2]
        self._changed += 1
        if turn >= 2:
            self._service.cli("link", "undo", self._changes.pop(0))
            return
        where = ("--configuration-set", self._set, "--json")
        if turn == 0:
            to = f"http://b.example/{self.name}/{self._changed}"
            self._may_lead[page].add(to)
            made = self._service.cli("link", "replace", page, to, *where)
        else:
            self._may_lead[page].add(None)
            made = self._service.cli("link", "block", page, "--because", "Recalled", *where)
        self._changes.append(json.loads(made)["id"])

    def wait_for_changes(self) -> None:
        """Return when some were led elsewhere, and some nowhere."""

        def seen() -> bool | None:
            led = set(self.led.copy().values())
            return (None in led and not led <= {None, *self._pages}) or None

        wait_for(seen, "clicks on links that were changed")

    def told_of(self, mark: str) -> dict[str, str | None]:
        """Return what the event of a click says of where it was led."""
        to = self.led[mark]
        return {} if to in self._pages else {"destination": to}

    def _run(self) -> None:
        async def all_of_them() -> None:
            await asyncio.gather(*(self._person(number) for number in range(self._people)))

        asyncio.run(all_of_them())

    async def _person(self, number: int) -> None:
        chance = random.Random(f"{self.name}-{number}")
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        count, turn = 0, number
        while not self._halt.is_set():
            await asyncio.sleep(self._pause * chance.uniform(0.5, 1.5))
            count += 1
            try:
                async with asyncio.timeout(10):
                    if streams is None:
                        streams = await asyncio.open_connection(
                            "127.0.0.1", self._ports[turn % len(self._ports)]
                        )
                    path = chance.choice(self.paths)
                    await self._click(path, f"{self.name}-{number}-{count}", *streams)
                    if path.startswith(UNSUBSCRIBE_PATH):  # a request with a body is the last one
                        streams[1].close()
                        streams = None
            except (OSError, EOFError):  # killed, restarting, or (TimeoutError) stopped
                turn += 1
                if streams is not None:
                    streams[1].transport.abort()
                    streams = None
        if streams is not None:
            streams[1].close()
            with suppress(OSError):
                await streams[1].wait_closed()

    async def _click(
        self, path: str, mark: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.tried.add(mark)
        leaves = path.startswith(UNSUBSCRIBE_PATH)
        method, form = ("POST", FORM) if leaves else ("GET", "\r\n")
        head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nUser-Agent: {mark}\r\n{form}"
        writer.write(head.encode())
        lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines[1:-2])
        await reader.readexactly(int(headers["Content-Length"]))
        status = int(lines[0].split()[1])
        if status == 200 and not path.startswith(PATH):
            (self.left if leaves else self.opened).add(mark)
        elif (to := headers.get("Location")) in self._may_lead.get(self._page(path), ()) and (
            status == (302 if to else 410)
        ):
            self.led[mark] = to
            self.redirected.add(mark)
        else:
            self.other[status] += 1

    def _page(self, path: str) -> str:
        at = self.paths.index(path)
        return self._pages[at] if at < len(self._pages) else ""


LEAVE = '<a href="{{amazonSESUnsubscribeUrl}}">off</a>'
FORM = (
    "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 26\r\n\r\n"
    "List-Unsubscribe=One-Click"
)


def images(html: str) -> list[str]:
    """Return the URLs of images that tell of opens."""
    return re.findall(r'<img src="(http[^"]*/o/[^"]*)"', html)


def counted_beside(service: Service, configuration_set: str, what: str) -> int:
    """Return how many ``opens`` or ``unsubscribes`` are counted."""
    where = ("--configuration-set", configuration_set)
    days = json.loads(service.cli("statistics", f"--{what}", "--json", *where))
    return sum(day[what] for day in days)


def settle(service: Service, left_in_journal: Callable[[], int] | None = None) -> None:
    """Return when all that was logged is published: nothing is left in the spool or the journal.

    ``left_in_journal`` tells how much is in a journal that is not a file.
    """

    def settled() -> bool | None:
        if list((service.data / "spool").glob("*.spool")):
            return None
        if left_in_journal is not None:
            return not left_in_journal() or None
        with closing(sqlite3.connect(service.data / "journal.db")) as journal:
            left = journal.execute("SELECT count(*) FROM batch WHERE records <> x''").fetchone()[0]
        return not left or None

    wait_for(settled, "empty journal and spool")


def marks_of(events: list[dict[str, Any]]) -> dict[str, str]:
    """Return the mark of each click and open that was notified, and its event id.

    Fails when one has two of them: it would be counted twice.
    """
    found: dict[str, str] = {}
    for event in events:
        seen = event["click"] if "click" in event else event["open"]
        mark, id_ = seen["userAgent"], event["eventId"]
        assert found.setdefault(mark, id_) == id_, f"{mark} is two of them"
    return found


def check_books(
    service: Service,
    configuration_set: str,
    *crowds: Crowd,
    left_in_journal: Callable[[], int] | None = None,
) -> None:
    """See that each redirected click is counted once and notified, with where it was led, and that
    no other click exists; and the same of opens.

    One whose answer was cut off by a fault may be there or not.
    """
    settle(service, left_in_journal)
    redirected = set[str]().union(*(crowd.redirected for crowd in crowds))
    tried = set[str]().union(*(crowd.tried for crowd in crowds))
    opened = set[str]().union(*(crowd.opened for crowd in crowds))
    events = service.events(configuration_set)
    clicks = marks_of([event for event in events if event["eventType"] == "Click"]).keys()
    opens = marks_of([event for event in events if event["eventType"] == "Open"]).keys()
    leaves = [event["eventId"] for event in events if event["eventType"] == "Unsubscribe"]
    left = set[str]().union(*(crowd.left for crowd in crowds))
    told = marks_of([event for event in events if event["eventType"] != "Unsubscribe"]).keys()
    assert redirected - clicks == set(), "redirected, and not notified"
    assert opened - opens == set(), "shown the image, and not notified"
    assert told - tried == set(), "notified, and nobody clicked"
    destinations = {
        event["click"]["userAgent"]: {
            name: value for name, value in event["click"].items() if name == "destination"
        }
        for event in events
        if event["eventType"] == "Click"
    }
    for crowd in crowds:
        for mark in crowd.redirected:
            assert destinations[mark] == crowd.told_of(mark), mark
    counted = service.statistics("--configuration-set", configuration_set)["clicks"]
    assert counted == len(clicks)
    assert counted_beside(service, configuration_set, "opens") == len(opens)
    assert (
        counted_beside(service, configuration_set, "unsubscribes") == len(set(leaves)) >= len(left)
    )
    assert len(set(leaves)) <= len(left) + len(tried - told - left)  # those that were cut off
    assert [crowd.other for crowd in crowds] == [Counter()] * len(crowds)
