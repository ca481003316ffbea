"""How many clicks are redirected in a second, beside nginx and beside one commit for each click.

    python benchmarks/redirect.py [--seconds 2] [--rounds 5] [--write]
    python benchmarks/redirect.py orders [--seconds 2] [--rounds 5] [--write]

Each server has one core to itself, the client the other one. The servers take turns, round by
round, nginx before and after. Every request has a token of its own (of 5000) and the headers of a
browser. Needs ``nginx``, ``wrk`` and ``taskset``, which must be installed (``apt-get install nginx
wrk util-linux``); without them it says so and measures nothing.

* clicktrail: ``clicktrail serve --role redirect``: opens the token, logs the click, redirects.
  A click is on the disk before its 302.
* nginx: ``return 302`` to one address; no token, logs nothing.
* with orders: at the end, clicktrail where links were changed and people want not to be tracked,
  beside the same without; with ``orders`` that alone.
* commit per click: Starlette on granian, the same tokens, one aiosqlite commit for each click.
"""

import argparse
import asyncio
import contextlib
import http.client
import json
import os
import platform
import random
import shutil
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import aiosqlite
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from asker import Asker
from clicktrail.base.ids import new_id, now_us
from clicktrail.errors import InvalidToken
from clicktrail.journal.sqlite import SqliteJournal
from clicktrail.keys.orders import OrdersCopy
from clicktrail.keys.ringfile import KeyFile
from clicktrail.model import LinkChange, Orders

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from support.ports import Ports

CONNECTIONS = (1, 64, 512)
MAIN = 64
TOKENS = 5000
CHANGES, UNTRACKED = 1000, 100_000
ORDERS = "## With changed links, and people who are not tracked"
LOAD = 0.7
MUST, AIM = 0.20, 0.35
MUST_COMMIT, AIM_COMMIT = 5, 10
RESULT = Path(__file__).parent / "results" / "redirect.md"
SERVER_CORE, CLIENT_CORE = 0, 1
HEADERS = {
    "Host": "click.example.com",
    "User-Agent": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko)"
    " Chrome/141.0.0.0 Safari/537.36",
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Accept-Language": "en-US,en;q=0.5",
    "Accept-Encoding": "gzip, deflate, br",
    "Upgrade-Insecure-Requests": "1",
}
SCRIPT = """
local requests = {}
for path in io.lines("%s") do requests[#requests + 1] = wrk.format("GET", path, {%s}) end
local at = math.random(#requests)
function request() at = at %% #requests + 1; return requests[at] end
"""
NGINX = """
worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{
    access_log off; keepalive_requests 1000000000;
    client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
    uwsgi_temp_path {folder}; scgi_temp_path {folder};
    server {{ listen 127.0.0.1:{port} backlog=4096; location / {{ return 302 {url}; }} }}
}}
"""


def url_of(number: int, chance: random.Random) -> str:
    """Return a URL as newsletters have them, some 120 characters."""
    return (
        f"https://www.shop{number % 97}.example/catalog/items/{chance.randrange(10**9)}"
        f"?utm_source=newsletter&utm_medium=email&utm_campaign=summer{number % 7}"
        f"&ref={chance.randrange(10**6)}"
    )


def write_paths(folder: Path) -> Path:
    """Write the paths of tracking links, one a line."""
    keys = KeyFile(folder / "keys.json")
    keys.create_if_missing()
    ring, chance = keys.ring(), random.Random(1)
    path = folder / "paths.txt"
    path.write_text(
        "".join(
            "/c/" + ring.seal(new_id(), number % 30, url_of(number, chance)) + "\n"
            for number in range(TOKENS)
        )
    )
    return path


def write_orders(folder: Path, known: Path) -> None:
    """Write what a redirect is told of changed links and of people who are not to be tracked.

    One in fifty of the links that are clicked was changed; all clicks are logged.
    """
    shutil.copy(known / "keys.json", folder)
    ring, chance = KeyFile(folder / "keys.json").ring(), random.Random(2)
    tokens = [path.rpartition("/")[2] for path in (known / "paths.txt").read_text().split()]
    urls = [ring.open(token).url for token in tokens[::50]]
    urls += [url_of(number, chance) for number in range(CHANGES - len(urls))]
    changes = tuple(
        LinkChange(new_id(), url, f"https://www.shop.example/{number}")
        for number, url in enumerate(urls)
    )
    untracked = b"".join(sorted(chance.randbytes(8) for _ in range(UNTRACKED)))
    OrdersCopy(folder).write(Orders("1 1 1", changes, untracked))


# The contenders


def pinned(core: int, command: Sequence[object]) -> list[str]:
    """Return a command line that stays on one core."""
    cores = sorted(os.sched_getaffinity(0))
    return ["taskset", "-c", str(cores[min(core, len(cores) - 1)]), *map(str, command)]


@contextlib.contextmanager
def running(command: Sequence[object], port: int) -> Iterator[int]:
    """Run a server; yield its process id when it answers."""
    with subprocess.Popen(pinned(SERVER_CORE, command), stdout=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + 30
            while True:
                with contextlib.suppress(OSError):
                    socket.create_connection(("127.0.0.1", port)).close()
                    break
                if process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(f"{command[0]} did not start")
                time.sleep(0.02)
            yield process.pid
        finally:
            process.terminate()
            process.wait()


def nginx(folder: Path, port: int) -> list[object]:
    configuration = folder / "nginx.conf"
    url = url_of(1, random.Random(1))
    configuration.write_text(NGINX.format(folder=folder, port=port, url=url))
    return ["nginx", "-c", configuration]


def clicktrail(folder: Path, port: int) -> list[object]:
    return [
        *(sys.executable, "-m", "clicktrail", "serve", "--role", "redirect", "--data", folder),
        *("--redirect-listen", f"127.0.0.1:{port}", "--log-level", "warning"),
        *("--metrics-listen", ""),
    ]


def commit_per_click(folder: Path, port: int) -> list[object]:
    return [sys.executable, __file__, "commit", "--port", port, "--folder", folder]


async def run_commit_per_click(folder: Path, port: int) -> None:
    """Serve for ever as plain code would: one insert and one commit for each click."""
    from granian.constants import HTTPModes, Interfaces  # noqa: PLC0415  # only this process
    from granian.server.embed import Server  # noqa: PLC0415

    ring = KeyFile(folder / "keys.json").ring()
    database = await aiosqlite.connect(folder / "commit.db")
    await database.execute("PRAGMA journal_mode = WAL")
    await database.execute("PRAGMA synchronous = FULL")
    await database.execute("CREATE TABLE click (id, message, link, url, at, ip, agent)")

    one_at_a_time = asyncio.Lock()

    async def click(request: Request) -> Response:
        try:
            opened = ring.open(request.path_params["token"])
        except InvalidToken:
            return Response(status_code=404)
        assert request.client is not None
        agent = request.headers.get("user-agent", "")
        row = (new_id(), opened.message_id, opened.link, opened.url, now_us())
        async with one_at_a_time:  # else a commit would carry the inserts of others too
            await database.execute(
                "INSERT INTO click VALUES (?, ?, ?, ?, ?, ?, ?)", (*row, request.client.host, agent)
            )
            await database.commit()
        return RedirectResponse(opened.url, 302, {"Cache-Control": "no-store"})

    app = Starlette(routes=[Route("/c/{token}", click)])
    server = Server(
        app,
        port=port,
        interface=Interfaces.ASGINL,
        http=HTTPModes.http1,
        websockets=False,
        log_enabled=False,
    )
    await server.serve()


# The client that keeps to a rate


async def run_client(
    port: int, paths: Sequence[str], rate: float, seconds: float
) -> dict[str, float]:
    """Ask at that rate, whatever the answers do; waits count from when a request was due."""
    headers = "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items())
    requests = [f"GET {path} HTTP/1.1\r\n{headers}\r\n".encode() for path in paths]
    loop = asyncio.get_running_loop()
    free: list[Asker] = []
    waits: list[float] = []
    for _ in range(MAIN):
        await loop.create_connection(lambda: Asker(free, waits), "127.0.0.1", port)
    began = time.perf_counter()
    count = 0
    while (now := time.perf_counter()) - began < seconds:
        while free and began + count / rate <= now:
            free.pop().ask(requests[count % len(requests)], began + count / rate)
            count += 1
        await asyncio.sleep(0 if free and len(waits) < count else 0.0005)
    await asyncio.sleep(0.5)
    kept = sorted(waits[len(waits) // 5 :])
    at = {"p50": 0.5, "p99": 0.99}
    return {"rate": count / seconds} | {k: kept[int(len(kept) * q)] * 1000 for k, q in at.items()}


# Measuring


@dataclass
class Contender:
    """A server, and what was measured, by number of connections."""

    name: str
    port: int
    pid: int
    runs: dict[int, list[dict[str, float]]] = field(default_factory=dict)

    def all(self, connections: int, what: str) -> list[float]:
        return [run[what] for run in self.runs[connections]]

    def median(self, connections: int, what: str) -> float:
        return statistics.median(self.all(connections, what))


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process and its children so far."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    own = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return own + sum(cpu_seconds(int(child)) for child in children)


def measure(one: Contender, script: Path, connections: int, seconds: int) -> dict[str, float]:
    """Ask as fast as it answers.

    Returns requests per second, waits in milliseconds, and CPU microseconds for a request.
    """
    busy = cpu_seconds(one.pid)
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", script, "--latency"]
    done = subprocess.run(
        pinned(CLIENT_CORE, [*command, f"http://127.0.0.1:{one.port}"]),
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    busy = cpu_seconds(one.pid) - busy
    found: dict[str, float] = {}
    for line in done.stdout.splitlines():
        match line.split():
            case ["50%", wait]:
                found["p50"] = milliseconds(wait)
            case ["99%", wait]:
                found["p99"] = milliseconds(wait)
            case ["Requests/sec:", rate]:
                found["rate"] = float(rate)
            case [count, "requests", "in", *_]:
                found["count"] = float(count)
                found["cpu"] = busy / float(count) * 1e6
            case ["Non-2xx" | "Socket", *_]:
                raise SystemExit(f"{one.name}: {line}")
    return found


def milliseconds(text: str) -> float:
    for unit, factor in (("us", 0.001), ("ms", 1.0), ("s", 1000.0)):
        if text.endswith(unit):
            return float(text.removesuffix(unit)) * factor
    raise ValueError(text)


def measure_at_rate(port: int, paths: Path, rate: float, seconds: int) -> dict[str, float]:
    command = [sys.executable, __file__, "client", "--port", port, "--folder", paths.parent]
    command += ["--rate", rate, "--seconds", seconds]
    done = subprocess.run(
        pinned(CLIENT_CORE, command), check=True, stdout=subprocess.PIPE, text=True
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


async def count_clicks(folder: Path) -> int:
    journal = SqliteJournal(folder / "journal.db")
    count = 0
    while entries := await journal.read(50_000, 0):
        count += len(entries)
    await journal.close()
    return count


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> float:
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def report(
    contenders: Sequence[Contender], steady: list[dict[str, float]], args: argparse.Namespace
) -> str:
    """Return the tables, as Markdown."""
    ours, before, commit, after = contenders
    lines = [
        "# Redirects with the click on the disk first",
        "",
        f"Each server on one core, the client on another; medians of {args.rounds} rounds of"
        f" {args.seconds} s, taken in turn, nginx before and after. Python"
        f" {platform.python_version()}, uvloop {version('uvloop')}, SQLite"
        f" {sqlite3.sqlite_version}. `python benchmarks/redirect.py --write`",
        "",
        "| | connections | redirects/s | p50 ms | p99 ms | CPU µs | ÷ nginx | ÷ commit per click |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    found = {}
    for connections in CONNECTIONS:
        both = [
            statistics.mean(pair)
            for pair in zip(
                before.all(connections, "rate"), after.all(connections, "rate"), strict=True
            )
        ]
        for one in contenders:
            rates = one.all(connections, "rate")
            beside_nginx = ratios(rates, both)
            beside_commit = ratios(rates, commit.all(connections, "rate"))
            if one is ours:
                found[connections] = beside_nginx, beside_commit
            lines.append(
                f"| {one.name} | {connections} | {statistics.median(rates):.0f}"
                f" | {one.median(connections, 'p50'):.2f} | {one.median(connections, 'p99'):.2f}"
                f" | {one.median(connections, 'cpu'):.0f}"
                f" | {beside_nginx:.2f} | {beside_commit:.1f} |"
            )

    def verdict(reached: float, must: float, aim: float) -> str:
        return "aim" if reached >= aim else "must" if reached >= must else "NOT the must"

    at_rate = {what: statistics.median(run[what] for run in steady) for what in steady[0]}
    beside_nginx, beside_commit = found[MAIN]
    lines += [
        "",
        f"At {LOAD:.0%} of its top rate ({at_rate['rate']:.0f}/s, {MAIN} connections, waits counted"
        f" from when a request was due): p50 {at_rate['p50']:.2f} ms, p99 {at_rate['p99']:.2f} ms.",
        "",
        f"With {MAIN} connections: ÷ nginx must {MUST:.2f}, aim {AIM:.2f}: {beside_nginx:.2f}"
        f" reaches {verdict(beside_nginx, MUST, AIM)}; ÷ commit per click must {MUST_COMMIT},"
        f" aim {AIM_COMMIT}: {beside_commit:.1f}"
        f" reaches {verdict(beside_commit, MUST_COMMIT, AIM_COMMIT)}.",
    ]
    return "\n".join(lines) + "\n"


def compare_orders(args: argparse.Namespace) -> str:
    """Measure a redirect with orders beside one without; return a section of the results."""
    check_programs("wrk", "taskset")
    with contextlib.ExitStack() as stack:
        folder, other = (Path(stack.enter_context(tempfile.TemporaryDirectory())) for _ in range(2))
        paths = write_paths(folder)
        write_orders(other, folder)
        script = write_script(folder, paths)
        ports = stack.enter_context(Ports(2))
        without, beside = (
            Contender(name, port, stack.enter_context(running(clicktrail(where, port), port)))
            for name, where, port in zip(
                ("without", "with orders"), (folder, other), ports, strict=True
            )
        )
        asked = http.client.HTTPConnection("127.0.0.1", beside.port)
        asked.request("HEAD", paths.read_text().partition("\n")[0])
        if asked.getresponse().getheader("Location") != "https://www.shop.example/0":
            raise SystemExit("a changed link does not lead where it should: nothing was measured")
        asked.close()
        for one in (without, beside):  # to warm up
            measure(one, script, MAIN, 1)
        for number in range(args.rounds):
            for one in (without, beside)[:: 1 if number % 2 else -1]:
                found = measure(one, script, MAIN, args.seconds)
                one.runs.setdefault(MAIN, []).append(found)
        cpu = [one.all(MAIN, "cpu") for one in (beside, without)]
        return (
            f"{ORDERS}\n\n{CHANGES:,} changes, of which one in fifty of the links clicked has one,"
            f" and {UNTRACKED:,} emails whose clicks are not logged, none of them clicked;"
            f" {MAIN} connections, {args.rounds} rounds of {args.seconds} s in turn:"
            f" {statistics.median(cpu[0]):.1f} µs of CPU a click, {statistics.median(cpu[1]):.1f}"
            f" without; the median of the rounds' ratios is {ratios(*cpu):.3f}."
            " `python benchmarks/redirect.py orders --write`\n"
        )


def check_programs(*names: str) -> None:
    """End where one is not installed."""
    missing = [program for program in names if not shutil.which(program)]
    if missing:
        raise SystemExit(f"NOT MEASURED: {', '.join(missing)} not installed")


def write_script(folder: Path, paths: Path) -> Path:
    """Write what ``wrk`` asks for."""
    script = folder / "wrk.lua"
    headers = ", ".join(f'["{name}"] = "{value}"' for name, value in HEADERS.items())
    script.write_text(SCRIPT % (paths, headers))
    return script


def compare(args: argparse.Namespace) -> None:
    """Run everything and print the tables."""
    check_programs("nginx", "wrk", "taskset")
    if len(os.sched_getaffinity(0)) < 2:
        print("Only one core: server and client share it, and the ratios mean little.")
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.chmod(0o755)  # nginx's worker is another user
        paths = write_paths(folder)
        script = write_script(folder, paths)
        nginx_port, our_port, commit_port = stack.enter_context(Ports(3))
        nginx_pid = stack.enter_context(running(nginx(folder, nginx_port), nginx_port))
        commit_pid = stack.enter_context(
            running(commit_per_click(folder, commit_port), commit_port)
        )
        server = stack.enter_context(contextlib.ExitStack())
        our_pid = server.enter_context(running(clicktrail(folder, our_port), our_port))
        before, ours, commit, after = turns = [
            Contender("nginx, before", nginx_port, nginx_pid),
            Contender("clicktrail", our_port, our_pid),
            Contender("commit per click", commit_port, commit_pid),
            Contender("nginx, after", nginx_port, nginx_pid),
        ]
        asked = 0.0
        for one in (before, ours, commit):  # to warm up
            asked += measure(one, script, MAIN, 1)["count"] * (one is ours)
        for number in range(args.rounds):
            for connections in CONNECTIONS:
                for one in turns:
                    note = f"round {number + 1}, {connections} connections: {one.name} …"
                    if sys.stderr.isatty():
                        print(f"{note:60}", file=sys.stderr, end="\r")
                    found = measure(one, script, connections, args.seconds)
                    one.runs.setdefault(connections, []).append(found)
                    asked += found["count"] * (one is ours)
        top = ours.median(MAIN, "rate")
        steady = [
            measure_at_rate(our_port, paths, top * LOAD, args.seconds) for _ in range(args.rounds)
        ]
        server.close()
        logged = asyncio.run(count_clicks(folder))
        if logged < asked:
            raise SystemExit(f"{asked:.0f} were redirected, but only {logged} clicks are logged")
    text = f"{report([ours, before, commit, after], steady, args)}\n{compare_orders(args)}"
    print(text)
    if args.write:
        RESULT.parent.mkdir(exist_ok=True)
        RESULT.write_text(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", nargs="?", default="compare", help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--write", action="store_true", help=f"write {RESULT.name} too")
    parser.add_argument("--port", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--rate", type=float, default=0, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.what == "orders":
        text = compare_orders(args)
        print(text)
        if args.write:
            whole = RESULT.read_text().partition(f"\n{ORDERS}")[0]
            RESULT.write_text(f"{whole.rstrip()}\n\n{text}")
    elif args.what == "commit":
        uvloop.run(run_commit_per_click(args.folder, args.port))
    elif args.what == "client":
        paths = (args.folder / "paths.txt").read_text().split()
        print(json.dumps(uvloop.run(run_client(args.port, paths, args.rate, args.seconds))))
    else:
        compare(args)


if __name__ == "__main__":
    main()
