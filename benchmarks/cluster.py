"""Clicks into JetStream by one and two redirect nodes, and out of it by one and two publishers.

    python benchmarks/cluster.py [--rounds 3] [--seconds 4] [--drain 60000] [--write]

Real processes on the loopback interface: NATS (one server, and three as a cluster), PostgreSQL
with fsync, nodes of Clicktrail with data folders of their own. Needs root, ``wrk`` and cgroups of
version 1 with the ``cpu`` controller; without them it says so and measures nothing. Run it with
``PYTHONPATH=tests``: it starts its servers as the tests do.

On a machine of few cores, two redirects, the broker and the client would take the cores from one
another, and the sum would say nothing of machines that have cores of their own. So each redirect
may use only a share of one core (``cpu.cfs_quota_us``), small enough that the rest of the machine
stays partly idle: then a redirect is limited by its own CPU alone, as on a machine of its own, and
two of them reach twice the rate if, and only if, nothing between them makes one wait for another.

The last part is a model of a large installation, computed from what was measured.
"""

import argparse
import asyncio
import contextlib
import os
import platform
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg

from backlog_house import House
from clicktrail.errors import JournalUnavailable
from clicktrail.journal.jetstream import JetStreamJournal, JetStreamOptions
from clicktrail.keys.ringfile import KeyFile
from clicktrail.store import Store
from support.ports import Ports
from support.postgres import Postgres
from support.stream_servers import Nats, NatsCluster

SHARE = 0.2
"""Of one core, for each redirect."""
CONNECTIONS = 32
"""For each redirect."""
PERIOD = 20_000
MUST = 1.6
DRAIN_BATCH = 500
QUOTAS = Path("/sys/fs/cgroup/cpu")
RESULT = Path(__file__).parent / "results" / "cluster.md"
SCRIPT = """
local requests = {}
for path in io.lines("%s") do requests[#requests + 1] = wrk.format("GET", path) end
local at = math.random(#requests)
function request() at = at %% #requests + 1; return requests[at] end
"""


class Node:
    """A process of ``clicktrail serve``, in a CPU group of its own."""

    def __init__(self, folder: Path, role: str, journal: Sequence[str], url: str) -> None:
        self._ports = Ports(2)
        self.port, self._metrics = self._ports
        self._group = QUOTAS / f"clicktrail-{folder.name}"
        command = [
            *(sys.executable, "-m", "clicktrail", "serve", "--role", role, "--data", str(folder)),
            *("--redirect-listen", f"127.0.0.1:{self.port}", *journal),
            *("--metrics-listen", f"127.0.0.1:{self._metrics}", "--log-level", "error"),
        ]
        self._process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "CLICKTRAIL_STORE_URL": url},
        )
        assert self._process.stdout is not None
        if not any(line.startswith("Ready") for line in self._process.stdout):
            raise SystemExit(f"{role} did not start")
        self._group.mkdir(exist_ok=True)
        (self._group / "cgroup.procs").write_text(str(self._process.pid))

    def limit(self, share: float | None) -> None:
        """Let it use that share of one core; all of it with ``None``."""
        (self._group / "cpu.cfs_period_us").write_text(str(PERIOD))
        quota = -1 if share is None else int(PERIOD * share)
        (self._group / "cpu.cfs_quota_us").write_text(str(quota))

    def cpu(self) -> float:
        """Return its CPU time so far, in seconds."""
        return cpu_seconds(self._process.pid)

    def spooled(self) -> float:
        """Return how many clicks went to its spool so far."""
        url = f"http://127.0.0.1:{self._metrics}/metrics"
        with urllib.request.urlopen(url, timeout=30) as answer:
            found = re.search(
                r"^clicktrail_clicks_spooled_total (\S+)", answer.read().decode(), re.M
            )
        assert found, "no such metric"
        return float(found[1])

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(60)
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._group.rmdir()


@contextlib.contextmanager
def nodes(
    folder: Path, role: str, number: int, journal: Sequence[str], url: str
) -> Iterator[list[Node]]:
    """Start nodes of a role with the keys of the house."""
    started: list[Node] = []
    try:
        for place in range(number):
            data = folder / f"{role}-{place}"
            shutil.rmtree(data, ignore_errors=True)
            data.mkdir()
            shutil.copy(folder / "keys.json", data)
            started.append(Node(data, role, journal, url))
        yield started
    finally:
        for node in started:
            node.stop()


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def idle_seconds() -> float:
    """Return how long the cores had nothing to do so far."""
    return float(Path("/proc/uptime").read_text().split()[1])


@dataclass(frozen=True)
class Rate:
    """What some redirects reached together."""

    clicks: float
    """Redirects a second."""
    cpu: float
    """CPU seconds of a redirect for each click."""
    idle: float
    """Share of the machine's time that nobody used."""
    spooled: float
    """Share of the clicks that went to a spool first: the stream did not take them in time."""


def load(some: Sequence[Node], script: Path, seconds: int) -> Rate:
    """Ask each node as fast as it answers, all at once."""
    busy, idle, began = sum(node.cpu() for node in some), idle_seconds(), time.monotonic()
    spooled = sum(node.spooled() for node in some)
    clients = [
        subprocess.Popen(
            [
                *("wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", str(script)),
                f"http://127.0.0.1:{node.port}",
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        for node in some
    ]
    clicks, rate = 0.0, 0.0
    for client in clients:
        out, _ = client.communicate(timeout=seconds + 30)
        assert "Non-2xx" not in out, out
        words = out.split()
        rate += float(words[words.index("Requests/sec:") + 1])
        clicks += float(words[words.index("requests") - 1])
    elapsed = time.monotonic() - began
    cores = os.cpu_count() or 1
    spent = sum(node.cpu() for node in some) - busy
    unused = (idle_seconds() - idle) / elapsed / cores
    spooled = sum(node.spooled() for node in some) - spooled
    return Rate(rate, spent / clicks, unused, spooled / clicks)


def compare_redirects(
    folder: Path, journal: Sequence[str], url: str, script: Path, args: argparse.Namespace
) -> dict[str, list[Rate]]:
    """Measure one redirect and two, in turn, with a share of a core each and without a limit."""
    options = JetStreamOptions(journal[1], replicas=int(journal[3]))
    asyncio.run(fill(options, House(folder), 0))  # the stream is there, and has a leader
    found: dict[str, list[Rate]] = {}
    with nodes(folder, "redirect", 2, journal, url) as both:
        for limit, name in ((SHARE, "limited"), (None, "free")):
            for node in both:
                node.limit(limit)
            load(both, script, 1)  # so that all is warm
            for _ in range(args.rounds):
                found.setdefault(f"one {name}", []).append(load(both[:1], script, args.seconds))
                found.setdefault(f"two {name}", []).append(load(both, script, args.seconds))
    return found


@dataclass(frozen=True)
class Drained:
    """How publishers emptied a stream."""

    rate: float
    cpu: float
    """CPU seconds of the publishers for each click."""
    postgres: float
    """CPU seconds of PostgreSQL for each click."""
    stored: float
    """Bytes by which the database grew for each click."""
    streamed: float
    """Bytes of a click in the stream."""


def drain(folder: Path, broker: Nats, house: House, number: int, args: argparse.Namespace,
          server: Postgres, url: str) -> Drained:  # fmt: skip
    """Let so many publishers count and tell clicks that wait in a stream."""
    stream = f"drain-{time.monotonic_ns()}"
    options = JetStreamOptions(f"nats://{broker.address}", stream)
    streamed = asyncio.run(fill(options, house, args.drain)) / args.drain
    journal = ("--journal-url", options.url, "--journal-stream", stream)
    with psycopg.connect(url, autocommit=True) as look:
        before, busy = size_of(look), server.cpu_seconds()
        counted = clicks_in(look)
        with nodes(folder, "publisher", number, journal, url) as publishers:
            times = []
            while (done := clicks_in(look) - counted) < args.drain:
                times.append((time.monotonic(), done))
                time.sleep(0.1)
            times.append((time.monotonic(), done))
            spent = sum(node.cpu() for node in publishers)
            spent_there = server.cpu_seconds() - busy
        assert clicks_in(look) - counted == args.drain, "each once"
        middle = [each for each in times if 0.1 * args.drain <= each[1] <= 0.95 * args.drain]
        (began, first), (ended, last) = middle[0], middle[-1]
        return Drained(
            (last - first) / (ended - began),
            spent / args.drain,
            spent_there / args.drain,
            (size_of(look) - before) / args.drain,
            streamed,
        )


async def index(url: str) -> None:
    """Index all emails, as publishers do after they were sent."""
    store = await Store.open(url)
    while await store.search.index(500):
        pass
    await store.close()


async def fill(options: JetStreamOptions, house: House, number: int) -> int:
    """Put clicks into a stream; return its size in bytes."""
    import nats  # noqa: PLC0415

    journal = JetStreamJournal(options)
    async with asyncio.timeout(60):  # servers that have just met have no leader yet
        while True:
            with contextlib.suppress(JournalUnavailable):
                await journal.read(0, 0.01)  # makes the stream
                break
    some = []
    for click in house.clicks(number):
        some.append(click)
        if len(some) == DRAIN_BATCH:
            await journal.append(*some)
            some = []
    await journal.append(*some)
    await journal.close()
    client = await nats.connect(options.servers)
    size = (await client.jetstream().stream_info(options.stream)).state.bytes
    await client.close()
    return int(size)


def size_of(look: psycopg.Connection) -> int:
    row = look.execute("SELECT pg_database_size(current_database())").fetchone()
    assert row is not None
    return int(row[0])


def clicks_in(look: psycopg.Connection) -> int:
    row = look.execute("SELECT coalesce(sum(clicks), 0) FROM counters").fetchone()
    assert row is not None
    return int(row[0])


def report(redirects: dict[str, dict[str, list[Rate]]], drained: dict[int, list[Drained]],
           emails: tuple[float, float], args: argparse.Namespace) -> str:  # fmt: skip
    """Return the tables, as Markdown."""
    lines = [
        "# Several nodes",
        "",
        f"{machine()}; Python {platform.python_version()}; medians of {args.rounds} rounds of"
        f" {args.seconds} s, one redirect and two in turn; {CONNECTIONS} connections to each."
        " `PYTHONPATH=tests python benchmarks/cluster.py --write`",
        "",
        f"Limited: each redirect may use {SHARE:.0%} of a core, so that it is limited by its own"
        " CPU as on a machine of its own, and not by the broker and the client, which share the"
        " cores with it. Free: no limit; then all of them want more than there is.",
        "",
        "| stream | redirects | clicks/s | CPU µs a click | idle | by the spool |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    for stream, found in redirects.items():
        for redirect, rates in found.items():
            lines.append(
                f"| {stream} | {redirect} | {statistics.median(r.clicks for r in rates):.0f}"
                f" | {1e6 * statistics.median(r.cpu for r in rates):.0f}"
                f" | {statistics.median(r.idle for r in rates):.0%}"
                f" | {statistics.median(r.spooled for r in rates):.1%} |"
            )
    lines.append("")
    for stream, found in redirects.items():
        pairs = zip(found["two limited"], found["one limited"], strict=True)
        ratio = statistics.median(two.clicks / one.clicks for two, one in pairs)
        said = "reached" if ratio >= MUST else "NOT reached"
        lines.append(f"{stream}: two redirects ÷ one: **{ratio:.2f}** (must {MUST}: {said}).")
        lines.append("")
    lines += [
        f"{args.drain:,} clicks wait in a stream (R1), PostgreSQL with fsync; each click is counted"
        " and goes into a built-in stream. Publishers, PostgreSQL and NATS share the cores.",
        "",
        "| publishers | clicks/s | their CPU µs a click | PostgreSQL's CPU µs a click |",
        "| ---: | ---: | ---: | ---: |",
    ]
    for number, runs in drained.items():
        lines.append(
            f"| {number} | {statistics.median(r.rate for r in runs):.0f}"
            f" | {1e6 * statistics.median(r.cpu for r in runs):.0f}"
            f" | {1e6 * statistics.median(r.postgres for r in runs):.0f} |"
        )
    every = [run for runs in drained.values() for run in runs]
    stored = statistics.median(run.stored for run in every)
    streamed = statistics.median(run.streamed for run in every)
    rate, size = emails
    lines += [
        "",
        f"Growth for a million clicks, from {args.drain:,}: PostgreSQL {stored:.0f} MB (row, index,"
        f" link of the email, built-in stream's event), the stream {streamed:.0f} MB on each"
        " replica until they are counted.",
        "",
        f"Emails into PostgreSQL, accepted and finished, by one process: {rate:.0f} a second,"
        f" {size:.0f} bytes each (twenty links, some twenty headers, indexed for the search).",
        "",
    ]
    one = redirects["R3"]["one limited"]
    click_cpu = statistics.median(r.cpu for r in one)
    publish_cpu = statistics.median(r.cpu for r in drained[1])
    postgres_cpu = statistics.median(r.postgres for r in drained[1])
    return "\n".join(
        lines + model(click_cpu, publish_cpu, postgres_cpu, stored, streamed, 1 / rate, size)
    )


EMAILS, CLICKS_PER_EMAIL, PEAK, BUSY = 1e9, 0.05, 3.0, 0.5
"""A day's emails, clicks for each (machines' too), the busiest second ÷ the mean, how busy a core
may be."""


def email_cpu() -> float:
    """Return the CPU seconds of the SMTP role for an email of 20 KB, as `smtp.py` wrote them."""
    rows = RESULT.with_name("smtp.md").read_text().splitlines()
    ours = next(row for row in rows if row.startswith("| clicktrail |"))
    return float(ours.split("|")[4]) / 1000


def model(click_cpu: float, publish_cpu: float, postgres_cpu: float, stored: float,
          streamed: float, store_email: float, email_size: float) -> list[str]:  # fmt: skip
    """Return what a day of `EMAILS` needs, by these figures."""
    emails, clicks, by_smtp = EMAILS / 86_400, EMAILS * CLICKS_PER_EMAIL / 86_400, email_cpu()

    def cores(each: float, rate: float) -> str:
        return f"{rate * PEAK * each / BUSY:.1f}"

    days = 60
    rows: list[tuple[str, str]] = [
        ("emails a second, mean → peak", f"{emails:,.0f} → {emails * PEAK:,.0f}"),
        ("clicks a second, mean → peak", f"{clicks:,.0f} → {clicks * PEAK:,.0f}"),
        (f"cores of SMTP nodes: peak × {1e3 * by_smtp:.2f} ms ÷ busy", cores(by_smtp, emails)),
        (f"cores of redirects: peak × {1e6 * click_cpu:.0f} µs ÷ busy", cores(click_cpu, clicks)),
        (
            f"cores of publishers: peak × {1e6 * publish_cpu:.0f} µs ÷ busy",
            cores(publish_cpu, clicks),
        ),
        (
            f"cores of PostgreSQL for clicks: peak × {1e6 * postgres_cpu:.0f} µs ÷ busy",
            cores(postgres_cpu, clicks),
        ),
        (
            "writers of emails at the measured rate: peak ÷ rate ÷ busy",
            cores(store_email, emails),
        ),
        (
            "JetStream, MB/s into each replica at the peak",
            f"{clicks * PEAK * streamed / 1e6:.1f}",
        ),
        (
            "JetStream, GB for an hour without publishers, at the peak",
            f"{clicks * PEAK * streamed * 3600 / 1e9:.0f}",
        ),
        (
            f"PostgreSQL, TB a day: emails {email_size:.0f} bytes + clicks {stored:.0f} bytes",
            f"{(EMAILS * email_size + EMAILS * CLICKS_PER_EMAIL * stored) / 1e12:.2f}",
        ),
        (
            f"PostgreSQL, TB kept for {days} days",
            f"{days * (EMAILS * email_size + EMAILS * CLICKS_PER_EMAIL * stored) / 1e12:.0f}",
        ),
    ]
    return [
        "## A billion emails a day, on paper",
        "",
        f"{CLICKS_PER_EMAIL:.0%} of the emails are clicked, machines' clicks among them; the"
        f" busiest second has {PEAK:g} times the mean; a core may be {BUSY:.0%} busy. The other"
        f" figures are those above, and {1e3 * by_smtp:.2f} ms of CPU for an email by SMTP"
        " (`smtp.md`). See"
        " [the scale-out page](../../docs/scale-out.md#sizes) for what follows from it.",
        "",
        "| What | Figure |",
        "| --- | ---: |",
        *(f"| {what} | {figure} |" for what, figure in rows),
        "",
    ]


def machine() -> str:
    names: list[str] = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores"


def main() -> None:
    """Run everything and print the tables."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--seconds", type=int, default=4)
    options.add_argument("--drain", type=int, default=60_000, help="clicks that wait")
    options.add_argument("--write", action="store_true", help=f"write {RESULT}")
    args = options.parse_args()
    if os.geteuid() != 0 or not shutil.which("wrk") or not (QUOTAS / "cgroup.procs").exists():
        raise SystemExit("NOT MEASURED: this needs root, wrk, and the cpu controller of cgroup v1")
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(Postgres(durable=True))
        url = server.migrated()
        house = House(folder)
        with psycopg.connect(url, autocommit=True) as look:
            before, began = size_of(look), time.monotonic()
            asyncio.run(house.build(url))
            took = time.monotonic() - began
            number = len(house.messages)
            asyncio.run(index(url))
            emails = number / took, (size_of(look) - before) / number
        script = write_script(folder, house)
        broker = stack.enter_context(Nats(folder / "nats"))
        redirects = {}
        journal = ("--journal-url", f"nats://{broker.address}", "--journal-replicas", "1")
        redirects["R1"] = compare_redirects(folder, journal, url, script, args)
        with NatsCluster(folder / "cluster") as cluster:
            servers = ",".join(each.address for each in cluster.servers)
            journal = ("--journal-url", f"nats://{servers}", "--journal-replicas", "3")
            redirects["R3"] = compare_redirects(folder, journal, url, script, args)
        drained: dict[int, list[Drained]] = {}
        for _ in range(args.rounds):
            for number in (1, 2):
                run = drain(folder, broker, house, number, args, server, url)
                drained.setdefault(number, []).append(run)
    text = report(redirects, drained, emails, args)
    print(text)
    if args.write:
        RESULT.write_text(text)


def write_script(folder: Path, house: House) -> Path:
    """Write what wrk asks for: 5000 tracking links of the house's emails."""
    ring = KeyFile(folder / "keys.json").ring()
    paths = folder / "paths"
    with paths.open("w") as file:
        for number in range(5000):
            message = house.messages[number % len(house.messages)]
            link = message.links[number % len(message.links)]
            file.write(f"/c/{ring.seal(message.id, link.index, link.url)}\n")
    script = folder / "wrk.lua"
    script.write_text(SCRIPT % paths)
    return script


if __name__ == "__main__":
    main()
