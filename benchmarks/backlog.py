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
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import uvloop
from rich.console import Console
from rich.table import Table

from asker import Asker, length_of
from backlog_house import STREAM, House, fill_journal, fill_store, note

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from support.ports import Ports

CONNECTIONS = 16
MOST_MEGABYTES, LEAST_RATE = 300, 5000
MOST_RATIO, MOST_WAIT = 1.2, 100
RESULT = Path(__file__).parent / "results" / "backlog.md"
ROUNDS = 5
IDLE_SECONDS = 5


# The service


class Service:
    """The running processes of ``clicktrail serve``; ``pids`` by role, with the supervisor."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ports = Ports(4)
        self.redirect, self.api, smtp, metrics = self._ports
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
            self._process.wait(60)
            raise ChildProcessError("the service did not start")
        self.pids = {"supervisor": self._process.pid}
        for word in children_of(self._process.pid):
            title = Path(f"/proc/{word}/cmdline").read_text().rstrip("\0")
            self.pids[title.rpartition(" ")[2]] = word
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
    limit = f"≥ {LEAST_RATE}" + ("" if found.rate >= LEAST_RATE else ": NOT reached")
    table.add_row("events/s into the stream", f"{found.rate:.0f}", limit)
    table.add_row("events/s, slowest tenth", f"{found.slowest:.0f}", "")
    table.add_row("CPU µs of the publisher for an event", f"{found.cpu:.0f}", "")
    for name, most in found.most.items():
        table.add_row(f"memory, MB, at the most: {name}", f"{most:.0f}", "")
    limit = f"< {MOST_MEGABYTES}" + ("" if found.together < MOST_MEGABYTES else ": NOT reached")
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
