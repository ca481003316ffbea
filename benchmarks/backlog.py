"""How fast a backlog of clicks drains, in how much memory, and what a click costs beside millions.

    python benchmarks/backlog.py [--waiting 1000000] [--stored 0 1000000 10000000] [--write]

The real processes of ``clicktrail serve``, a role each, on the loopback interface; data in a
temporary folder (``--folder`` says where), which needs 6 GB for each million that waits and 0.8 GB
for each million that is stored. Clicks are of 10,000 emails with twenty links and some twenty
headers each; every click becomes an event of a built-in stream.

* Waiting: that many clicks are in the journal when the service starts. Events per second, from the
  first to the last, and the memory of all processes meanwhile. Afterwards the stream must hold
  each click once, and the counters the same number.
* Stored: beside that many clicks in the store, clicks come at a steady rate over HTTP. What the
  redirect waits, the CPU time of a click in both processes, and how soon a single click is in the
  stream. The services run side by side and take turns, so that all meet the same machine.

``--waiting 0`` or ``--stored`` without a number leaves that part out.
"""

import argparse
import asyncio
import contextlib
import json
import os
import platform
import random
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import uvloop
from rich.console import Console
from rich.table import Table

from clicktrail.ids import new_id, now_us
from clicktrail.journal.sqlite import SqliteJournal
from clicktrail.keyfile import KeyFile
from clicktrail.model import (
    Click,
    ConfigurationSet,
    EventDestination,
    EventType,
    Link,
    Message,
    MessageState,
)
from clicktrail.store import Store
from clicktrail.wiring import ROLES

MESSAGES, LINKS = 10_000, 20
CONNECTIONS = 16
MOST_MEGABYTES, LEAST_RATE = 300, 5000
MOST_RATIO, MOST_WAIT = 1.2, 100
RESULT = Path(__file__).parent / "results" / "backlog.md"
SET = STREAM = "backlog"
DAY = 86_400_000_000
HISTORY = 30 * DAY
"""The emails, and the clicks that are stored, are of so many days."""
RECIPIENTS = ("gmail.com", "yandex.ru", "mail.ru", "outlook.com", "example.org")
APPEND = 2000
INSERT = 50_000
ROUNDS = 5
IDLE_SECONDS = 5


Row = tuple[Any, ...]


# The emails and their clicks


class House:
    """A data folder with emails whose links can be clicked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.messages: list[Message] = []
        self._chance = random.Random(1)
        keys = KeyFile(folder / "keys.json")
        keys.create_if_missing()
        self._ring = keys.ring()

    async def build(self) -> None:
        """Make a configuration set with a built-in stream, and the emails."""
        store = await Store.open(f"sqlite:///{self.folder / 'clicktrail.db'}")
        arn = f"arn:clicktrail:stream:::{STREAM}"
        clicks = EventDestination("to-stream", arn, frozenset({EventType.CLICK}))
        await store.configuration.create_set(ConfigurationSet(SET))
        await store.configuration.add_destination(SET, clicks)
        identity = await store.configuration.create_identity("example.com", SET)
        now = now_us()
        for number in range(MESSAGES):
            at = now - HISTORY + HISTORY * number // MESSAGES
            self.messages.append(email(number, at, self._chance, identity))
        await asyncio.gather(*map(store.messages.add, self.messages))
        sent = MessageState.SENT
        await asyncio.gather(
            *(store.messages.finish(m.id, sent, m.recipients, m.accepted_at) for m in self.messages)
        )
        await store.close()

    def clicks(self, number: int) -> Iterator[Click]:
        """Yield clicks on links by chance, of the last hour, the oldest first."""
        chance, began = self._chance, now_us() - 3_600_000_000
        for place in range(number):
            message = chance.choice(self.messages)
            link = chance.choice(message.links)
            at = began + 3_600_000_000 * place // number
            address = f"198.51.{chance.randrange(256)}.{chance.randrange(256)}"
            yield Click(new_id(at), message.id, link.index, link.url, at, address, agent(chance))

    def request(self) -> bytes:
        """Return a request for a tracking link by chance, as a browser sends it."""
        message = self._chance.choice(self.messages)
        link = self._chance.choice(message.links)
        return (
            f"GET /c/{self._ring.seal(message.id, link.index, link.url)} HTTP/1.1\r\n"
            f"Host: click.example.com\r\nUser-Agent: {agent(self._chance)}\r\n"
            "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n"
            "Accept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br\r\n\r\n"
        ).encode()


def email(number: int, at: int, chance: random.Random, identity: Any) -> Message:
    """Return an email of one of ten mailings: 12 to 30 headers, twenty links, half of them tagged.

    One link is the recipient's own; the others are those of all emails of the mailing.
    """
    mailing = number * 10 // MESSAGES
    recipient = f"reader{number}@{RECIPIENTS[number % len(RECIPIENTS)]}"
    date = format_datetime(datetime.fromtimestamp(at // 1_000_000, UTC))
    headers = [
        *(("From", "Example Shop <news@example.com>"), ("To", f"Reader {number} <{recipient}>")),
        *(("Subject", f"New things for autumn, number {mailing}"), ("Date", date)),
        *(("Message-ID", f"<{number}.{at}@example.com>"), ("MIME-Version", "1.0")),
        ("Content-Type", f'multipart/alternative; boundary="=_{number:032x}"'),
        ("List-Unsubscribe", f"<https://www.example.com/unsubscribe?u={number:x}&id={mailing}>"),
        *(("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"), ("Precedence", "bulk")),
        *(("Reply-To", "service@example.com"), ("X-Mailer", "Example Mailer 4.2")),
    ]
    for more in range(number % 19):
        headers.append((f"X-Campaign-{more}", f"{chance.randrange(10**12):x}-{mailing}"))
    links = [
        Link(
            place,
            f"https://shop.example.com/autumn/{mailing}/{place}"
            f"?utm_source=newsletter&utm_medium=email&utm_campaign=autumn{mailing}",
            (("place", f"block {place}"), ("mailing", str(mailing))) if place % 2 else (),
        )
        for place in range(LINKS - 1)
    ]
    links.append(Link(LINKS - 1, f"https://www.example.com/unsubscribe?u={number:x}&id={mailing}"))
    return Message(
        id=new_id(at),
        accepted_at=at,
        source="bounces@example.com",
        recipients=(recipient,),
        identity=identity,
        configuration_set=SET,
        source_ip="192.0.2.10",
        headers=tuple(headers),
        tags={"campaign": [f"autumn{mailing}"]},
        links=tuple(links),
    )


def agent(chance: random.Random) -> str:
    """Return the User-Agent of one of a thousand browsers."""
    return (
        f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko)"
        f" Chrome/{chance.randrange(120, 145)}.0.{chance.randrange(40)}.0 Safari/537.36"
    )


async def fill_journal(house: House, number: int) -> None:
    """Let that many clicks wait."""
    journal = SqliteJournal(house.folder / "journal.db")
    some: list[Click] = []
    for done, click in enumerate(house.clicks(number), 1):
        some.append(click)
        if len(some) == APPEND or done == number:
            await journal.append(*some)
            some.clear()
            note(f"{done:,} clicks wait")
    await journal.close()


def fill_store(folder: Path, number: int) -> None:
    """Record clicks of earlier emails: two of each, on different links. A tenth are in a stream.

    Straight into the tables, or it would take hours.
    """
    chance, began, message_id = random.Random(2), now_us() - HISTORY, ""
    with contextlib.closing(sqlite3.connect(folder / "clicktrail.db")) as database:
        database.execute("PRAGMA synchronous = OFF")
        event = json.dumps({"eventType": "Click", "mail": "x" * 1000})
        for start in range(0, number, INSERT):
            clicks: list[Row] = []
            links: list[Row] = []
            events: list[Row] = []
            for place in range(start, min(start + INSERT, number)):
                at = began + HISTORY * place // number
                event_id = new_id(at)
                if place % 2 == 0:
                    message_id = new_id(at - chance.randrange(DAY))
                links.append((message_id, place % LINKS))
                url = f"https://shop.example.com/earlier/{place}?utm_source=newsletter"
                seen = ("192.0.2.77", agent(chance), url)
                clicks.append((event_id, message_id, place % LINKS, at, "human", "", *seen))
                if place % 10 == 0:
                    events.append(("earlier", f"{event_id}:0", at, event.encode()))
            with database:
                insert(database, "clicks", "?, ?, ?, ?, ?, ?, ?, ?, ?", clicks)
                insert(database, "clicked_links", "?, ?", sorted(links))
                insert(database, "stream_events", "NULL, ?, ?, ?, ?", events)
            note(f"{start + len(clicks):,} of {number:,} clicks are stored")


def insert(database: sqlite3.Connection, table: str, places: str, rows: list[Row]) -> None:
    database.executemany(f"INSERT INTO {table} VALUES ({places})", rows)


# The service


class Service:
    """The running processes of ``clicktrail serve``; ``pids`` by role, with the supervisor."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.redirect, self.api, smtp, metrics = free_ports(4)
        command = [
            *(sys.executable, "-m", "clicktrail", "serve", "--data", folder),
            *("--smtp-listen", f"127.0.0.1:{smtp}", "--smarthost", f"maildir:{folder / 'mail'}"),
            *("--redirect-listen", f"127.0.0.1:{self.redirect}"),
            *("--api-listen", f"127.0.0.1:{self.api}", "--log-level", "warning"),
            *("--metrics-listen", f"127.0.0.1:{metrics}"),
        ]
        self._process = subprocess.Popen(
            [str(word) for word in command], stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        if not any(line.startswith("Ready") for line in self._process.stdout):
            raise SystemExit("the service did not start")
        self.pids = {"supervisor": self._process.pid}
        for word in children_of(self._process.pid):
            words = Path(f"/proc/{word}/cmdline").read_text().split("\0")
            self.pids |= {role: word for role in ROLES if ["--role", role] == words[-3:-1]}
        uri = f"file:{folder / 'clicktrail.db'}?mode=ro"
        self._database = sqlite3.connect(uri, uri=True)

    def position(self) -> int:
        """Return the newest position in the built-in streams."""
        found = self._database.execute("SELECT max(position) FROM stream_events").fetchone()
        return int(found[0] or 0)

    async def reached(self, position: int, pause: float) -> None:
        """Return when the streams have come so far; look that often."""
        while self.position() < position:  # noqa: ASYNC110 - it is another process that gets there
            await asyncio.sleep(pause)

    def stop(self) -> None:
        self._database.close()
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(60)
        assert self._process.stdout is not None
        self._process.stdout.close()


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[Service]:
    service = Service(folder)
    try:
        yield service
    finally:
        service.stop()


def free_ports(number: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [
            stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(number)
        ]
        return [each.getsockname()[1] for each in sockets]


def children_of(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def megabytes(pid: int, what: str) -> float:
    """Return a line of the memory of a process: now ``Rss``, ``Pss``; at the most ``VmHWM``.

    Rss counts a page of a library in every process that uses it, Pss in all of them together once.
    """
    file = Path(f"/proc/{pid}/{'status' if what[:2] == 'Vm' else 'smaps_rollup'}")
    line = next(line for line in file.read_text().splitlines() if line.startswith(what + ":"))
    return int(line.split()[1]) / 1024


# A million clicks waiting


@dataclass
class Drained:
    """What was seen while the backlog drained."""

    rate: float
    """Events per second."""
    slowest: float
    """The same, of the slowest tenth."""
    cpu: float
    """CPU microseconds of the publisher for an event."""
    most: dict[str, float]
    """The most memory of each process (RSS), in MB."""
    together: float
    """The most memory of all at one time, what they share counted once (PSS), in MB."""
    start: float
    end: float
    """The same in the first and in the last tenth."""


async def drain(folder: Path, waiting: int) -> Drained:
    """Start the service beside a full journal; watch it until the stream holds all."""
    house = House(folder)
    await house.build()
    await fill_journal(house, waiting)
    seen: list[tuple[float, int, float]] = []
    with serving(folder) as service:
        busy = cpu_seconds(service.pids["publisher"])
        position, most_added = 0, 0.0
        while position < waiting:
            position = service.position()
            pids = service.pids.values()
            held, added = (sum(megabytes(pid, what) for pid in pids) for what in ("Pss", "Rss"))
            if position:
                seen.append((time.perf_counter(), position, held))
                most_added = max(most_added, added)
            note(f"{position:,} of {waiting:,} clicks are published; {held:.0f} MB")
            await asyncio.sleep(0.2)
        busy = cpu_seconds(service.pids["publisher"]) - busy
        most = {role: megabytes(pid, "VmHWM") for role, pid in service.pids.items()}
    check(folder, waiting)
    parts = [
        seen[len(seen) * tenth // 10 : len(seen) * (tenth + 1) // 10 + 1] for tenth in range(10)
    ]
    rates = [rate(part) for part in parts if len(part) > 1]
    means = [statistics.mean(held for _, _, held in part) for part in parts if part]
    most["sum of these at one time (RSS)"] = most_added
    return Drained(
        rate(seen),
        min(rates),
        busy / waiting * 1e6,
        most,
        max(held for _, _, held in seen),
        means[0],
        means[-1],
    )


def rate(seen: Sequence[tuple[float, int, float]]) -> float:
    (began, first, _), *_, (ended, last, _) = seen
    return (last - first) / (ended - began)


def check(folder: Path, waiting: int) -> None:
    """Make sure that each click is in the stream once, and counted once."""
    with contextlib.closing(sqlite3.connect(folder / "clicktrail.db")) as database:
        events = database.execute(
            "SELECT count(*), count(DISTINCT event_id) FROM stream_events"
            " WHERE stream = ? AND substr(payload, 1, 20) = ?",
            (STREAM, b'{"eventType":"Click"'),
        ).fetchone()
        clicks = database.execute("SELECT count(*) FROM clicks").fetchone()
        counted = database.execute("SELECT sum(clicks) FROM counters").fetchone()
    if (*events, *clicks, *counted) != (waiting,) * 4:
        raise SystemExit(f"{waiting} clicks; events {events}, clicks {clicks}, counted {counted}")


# Clicks beside millions that are stored


class Asker(asyncio.Protocol):
    """One connection: asks when told to, and notes how long after the due time the answer was."""

    def __init__(self, free: list["Asker"], waits: list[float]) -> None:
        self._free, self._waits = free, waits
        self._due = 0.0
        self._transport: Any = None
        self._answer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._free.append(self)

    def ask(self, request: bytes, due: float) -> None:
        self._due = due
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._answer += data
        head, found, body = self._answer.partition(b"\r\n\r\n")
        if not found or len(body) < length_of(head):
            return
        if not head.startswith(b"HTTP/1.1 302"):
            raise SystemExit(f"not redirected: {head!r}")
        self._answer = b""
        self._waits.append(time.perf_counter() - self._due)
        self._free.append(self)

    def close(self) -> None:
        self._transport.close()


def length_of(head: bytes) -> int:
    return int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])


@dataclass
class Beside:
    """A service with that many clicks stored, and what was measured of it, round by round."""

    stored: int
    house: House
    service: Service
    idle: dict[str, float] = field(default_factory=dict)
    """CPU seconds in a second without clicks, by role."""
    found: dict[str, list[float]] = field(default_factory=dict)

    def note(self, what: str, value: float) -> None:
        self.found.setdefault(what, []).append(value)

    def median(self, what: str) -> float:
        return statistics.median(self.found[what])

    def busy(self) -> dict[str, float]:
        return {role: cpu_seconds(self.service.pids[role]) for role in ("redirect", "publisher")}


async def measure_idle(ones: Sequence[Beside]) -> None:
    before = [one.busy() for one in ones]
    await asyncio.sleep(IDLE_SECONDS)
    for one, then in zip(ones, before, strict=True):
        one.idle = {role: (now - then[role]) / IDLE_SECONDS for role, now in one.busy().items()}


async def measure_load(one: Beside, number: int, per_second: float) -> None:
    """Click at a steady rate; wait until all is published."""
    requests = [one.house.request() for _ in range(number)]
    free: list[Asker] = []
    waits: list[float] = []
    loop = asyncio.get_running_loop()
    for _ in range(CONNECTIONS):
        await loop.create_connection(lambda: Asker(free, waits), "127.0.0.1", one.service.redirect)
    askers = list(free)
    first, before, began = one.service.position(), one.busy(), time.perf_counter()
    count = 0
    while len(waits) < number:
        now = time.perf_counter()
        while free and count < number and began + count / per_second <= now:
            free.pop().ask(requests[count], began + count / per_second)
            count += 1
        await asyncio.sleep(0 if free and len(waits) < count else 0.0005)
    await one.service.reached(first + number, 0.01)
    took = time.perf_counter() - began
    for role, now_busy in one.busy().items():
        busy = now_busy - before[role] - one.idle[role] * took
        one.note(role, busy / number * 1e6)
    for asker in askers:
        asker.close()
    waits.sort()
    one.note("p50", waits[number // 2] * 1000)
    one.note("p99", waits[number * 99 // 100] * 1000)


async def measure_single(one: Beside) -> None:
    """Click once; note when the event is in the stream, and when the API has told of it."""
    service = one.service
    position = service.position()
    token = (service.folder / "api-token").read_text().strip()
    question = f"GET /v1/streams/{STREAM}/events?after={position}&wait=20 HTTP/1.1\r\nHost: x\r\n"
    api = await asyncio.open_connection("127.0.0.1", service.api)
    api[1].write(f"{question}Authorization: Bearer {token}\r\n\r\n".encode())
    redirect = await asyncio.open_connection("127.0.0.1", service.redirect)
    await asyncio.sleep(random.uniform(0.1, 0.3))
    began = time.perf_counter()

    async def told() -> None:
        head = await api[0].readuntil(b"\r\n\r\n")
        body = await api[0].readexactly(length_of(head))
        one.note("told", (time.perf_counter() - began) * 1000)
        if len(json.loads(body)["events"]) != 1:
            raise SystemExit(f"not told of one click: {body!r}")

    redirect[1].write(one.house.request())
    telling = asyncio.create_task(told())
    await service.reached(position + 1, 0.001)
    one.note("stream", (time.perf_counter() - began) * 1000)
    await telling
    for _, writer in (api, redirect):
        writer.close()


async def compare(folder: Path, args: argparse.Namespace) -> list[Beside]:
    """Run a service beside each number of stored clicks, and measure them in turn."""
    with contextlib.ExitStack() as stack:
        ones = []
        for stored in args.stored:
            (folder / f"stored-{stored}").mkdir()
            house = House(folder / f"stored-{stored}")
            await house.build()
            fill_store(house.folder, stored)
            ones.append(Beside(stored, house, stack.enter_context(serving(house.folder))))
        await asyncio.sleep(2)
        await measure_idle(ones)
        for one in ones:  # to warm up
            await measure_load(one, args.clicks // ROUNDS // 2, args.rate)
            one.found.clear()
        for number in range(ROUNDS):
            for one in ones:
                note(f"round {number + 1}: {one.stored:,} stored")
                await measure_load(one, args.clicks // ROUNDS, args.rate)
        for number in range(args.singles):
            for one in ones:
                note(f"single click {number + 1}: {one.stored:,} stored")
                await measure_single(one)
    return ones


# The report


def backlog_table(waiting: int, found: Drained) -> Table:
    table = Table("What", "Measured", "Limit")
    table.add_row("events/s into the stream", f"{found.rate:.0f}", f"≥ {LEAST_RATE}")
    table.add_row("events/s, slowest tenth", f"{found.slowest:.0f}", "")
    table.add_row("CPU µs of the publisher for an event", f"{found.cpu:.0f}", "")
    for name, most in found.most.items():
        table.add_row(f"memory, MB, at the most: {name}", f"{most:.0f}", "")
    limit = f"< {MOST_MEGABYTES}"
    table.add_row("memory, MB, at the most: all, shared once", f"{found.together:.0f}", limit)
    change = f"{found.start:.0f} → {found.end:.0f}"
    table.add_row("memory, MB, the same: first tenth → last tenth", change, "")
    table.add_row("clicks in the stream, and counted", f"{waiting:,} of {waiting:,}", "all, once")
    return table


MEASURES = {
    "p50": ("redirect p50, ms", 2),
    "p99": ("redirect p99, ms", 2),
    "redirect": ("CPU µs for a click, redirect", 0),
    "publisher": ("CPU µs for a click, publisher", 0),
    "stream": ("click → in the stream, ms", 1),
    "told": ("click → told by the API, ms", 1),
}


def stored_table(ones: Sequence[Beside]) -> Table:
    base = ones[0]
    table = Table("What", *(f"{one.stored:,} stored" for one in ones), "Limit")
    for what, (name, digits) in MEASURES.items():
        cells = []
        for one in ones:
            ratio = statistics.median(
                a / b for a, b in zip(one.found[what], base.found[what], strict=True)
            )
            beside = "" if one is base else f" (× {ratio:.2f})"
            cells.append(f"{one.median(what):.{digits}f}{beside}")
        limit = f"× {MOST_RATIO}" + (f"; {MOST_WAIT} ms" if what == "stream" else "")
        table.add_row(name, *cells, limit)
    return table


def machine() -> str:
    """Name the machine."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((x.partition(": ")[2] for x in lines if x.startswith("model name")), "")
    cores = len(os.sched_getaffinity(0))
    return (
        f"{model or platform.machine()}, {cores} cores, Linux {platform.release()}, Python"
        f" {platform.python_version()}, SQLite {sqlite3.sqlite_version}"
    )


def markdown(table: Table) -> str:
    """Return a table as Markdown."""
    columns = [[str(column.header), *map(str, column.cells)] for column in table.columns]
    head, *rows = zip(*columns, strict=True)
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *rows))


def note(text: str) -> None:
    if sys.stderr.isatty():
        print(f"{text:70}", file=sys.stderr, end="\r")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--waiting", type=int, default=1_000_000)
    parser.add_argument("--stored", type=int, nargs="*", default=[0, 1_000_000, 10_000_000])
    parser.add_argument("--clicks", type=int, default=20_000, help="beside those that are stored")
    parser.add_argument("--rate", type=float, default=500, help="of such clicks, in a second")
    parser.add_argument("--singles", type=int, default=50, help="clicks that come one at a time")
    parser.add_argument("--folder", type=Path, help="where the temporary folder is made")
    parser.add_argument("--write", action="store_true", help=f"write {RESULT.name} too")
    args = parser.parse_args()
    parts: list[str | Table] = [f"{machine()}; `python benchmarks/backlog.py --write`"]
    if args.waiting:
        with tempfile.TemporaryDirectory(dir=args.folder) as folder:
            found = uvloop.run(drain(Path(folder), args.waiting))
        parts += [f"{args.waiting:,} clicks wait when the service starts."]
        parts += [backlog_table(args.waiting, found)]
    if args.stored:
        with tempfile.TemporaryDirectory(dir=args.folder) as folder:
            ones = uvloop.run(compare(Path(folder), args))
        parts += [
            f"{args.clicks:,} clicks over HTTP, {args.rate:.0f} a second, beside those that are"
            f" stored; {CONNECTIONS} connections, medians of {ROUNDS} rounds, taken in turn;"
            f" then {args.singles} clicks, one at a time. In brackets: ÷ {ones[0].stored:,} stored."
        ]
        parts += [stored_table(ones)]
    Console().print(*parts)
    if args.write:
        RESULT.parent.mkdir(exist_ok=True)
        shown = [part if isinstance(part, str) else markdown(part) for part in parts]
        RESULT.write_text("\n\n".join(("# Many clicks", *shown)) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
