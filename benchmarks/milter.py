"""Tracked emails through the milter: CPU of ours for each, against the SMTP door; with Postfix.

    PYTHONPATH=tests python benchmarks/milter.py [--rounds 5] [--seconds 4] [--write]

Both are a process of Clicktrail of their own, and get the email of `smtp.py`, 20 KB with 34 links,
over 16 connections at once. The client speaks as Postfix does: one email after the other on each
connection, all of one without waiting, and then the answer to its end.

Where Postfix is (as root), the same emails go through it by SMTP, with the milter and without. It
shares the cores with all others.
"""

import argparse
import asyncio
import contextlib
import json
import platform
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import uvloop

import smtp
from support.postfix import MISSING, example_of, postfix

RESULT = Path(__file__).parent / "results" / "milter.md"


def packet(command: bytes, data: bytes = b"") -> bytes:
    return struct.pack("!I", 1 + len(data)) + command + data


def wire() -> tuple[bytes, bytes]:
    """Return what begins a connection, and the packets of an email."""
    header, _, body = smtp.email().partition(b"\r\n\r\n")
    begin = packet(b"O", struct.pack("!III", 6, 0x1FF, 0x1F_FFFF))
    begin += packet(b"D", b"C{client_addr}\0127.0.0.1\0")
    begin += packet(b"C", b"localhost\0004\x30\x39127.0.0.1\0")
    one = packet(b"M", b"<a@example.com>\0SIZE=21000\0") + packet(b"R", b"<b@example.com>\0")
    for line in header.replace(b"\r\n", b"\n").split(b"\n"):
        name, _, value = line.partition(b":")
        one += packet(b"L", name + b"\0" + value + b"\0")
    return begin, one + packet(b"D", b"Ei\0004ABC\0") + packet(b"E", body)


class Sender(asyncio.Protocol):
    """Sends the same email again and again until it is told to stop."""

    def __init__(self, begin: bytes, one: bytes) -> None:
        self._begin, self._one = begin, one
        self._heard = bytearray()
        self._transport: Any = None
        self.sent = self.tracked = -1  # the answer to the negotiation is none to an email
        self.failed = b""
        self.stop = False
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._transport.write(self._begin)

    def data_received(self, data: bytes) -> None:
        heard = self._heard
        heard += data
        while len(heard) >= 5 and len(heard) >= 4 + (size := int.from_bytes(heard[:4], "big")):
            command, content = bytes(heard[4:5]), bytes(heard[5 : 4 + size])
            del heard[: 4 + size]
            if command in b"bO":
                self.tracked += b"/c/" in content or command == b"O"
            if command in b"cO":
                self.sent += 1
                if self.stop:
                    self._transport.close()
                else:
                    self._transport.write(self._one)
            elif command not in b"bim":
                self.failed = command + content
                self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        self.over.set_result(None)


async def run_client(port: int, pid: int, seconds: float) -> dict[str, float]:
    """Send for that long; return emails per second, and CPU seconds of a process per email."""
    loop = asyncio.get_running_loop()
    begin, one = wire()
    senders = [
        (await loop.create_connection(lambda: Sender(begin, one), "127.0.0.1", port))[1]
        for _ in range(smtp.CONNECTIONS)
    ]
    await asyncio.sleep(seconds / 4)
    began, before = time.perf_counter(), sum(s.sent for s in senders)
    busy = smtp.cpu_seconds(pid)
    await asyncio.sleep(seconds)
    took, count = time.perf_counter() - began, sum(s.sent for s in senders) - before
    busy = smtp.cpu_seconds(pid) - busy
    for sender in senders:
        sender.stop = True
    await asyncio.gather(*(s.over for s in senders))
    if failed := [s.failed for s in senders if s.failed]:
        raise SystemExit(f"an email was not taken: {failed[0]!r}")
    if any(s.tracked != s.sent for s in senders):
        raise SystemExit("an email was not tracked")
    return {"rate": count / took, "cpu": busy / count, "sent": sum(s.sent for s in senders)}


def measure(one: smtp.Contender, seconds: float) -> None:
    """Add a run of the milter."""
    command = [sys.executable, __file__, "client", "--port", str(one.port)]
    command += ["--pid", str(one.pid), "--seconds", str(seconds)]
    done = subprocess.run(
        smtp.pinned(smtp.CLIENT_CORE, command), check=True, stdout=subprocess.PIPE, text=True
    )
    one.runs.append(json.loads(done.stdout))


@contextlib.contextmanager
def postfix_around(milter: smtp.Contender, sink: int) -> Iterator[list[smtp.Contender]]:
    """Run Postfix; yield it with the milter and without, where it can be run."""
    if MISSING:
        print(f"NOT MEASURED: {MISSING}", file=sys.stderr)
        yield []
        return
    lines = example_of("As a milter", port=str(milter.port))
    lines += "in_flow_delay = 0\nsmtpd_client_connection_count_limit = 0\n"
    with postfix(sink, lines) as running:
        yield [
            smtp.Contender("Postfix with the milter", running.port, milter.pid),
            smtp.Contender("Postfix alone", running.alone),
        ]


def wait_until_quiet(sink: int) -> None:
    """Return when Postfix has sent on what it has."""
    taken = -1
    while taken != (taken := smtp.ask_sink(sink)[0]):
        time.sleep(1)


def measure_postfix(one: smtp.Contender, seconds: float) -> None:
    """Add a run by SMTP. What has come in goes on while the next run begins."""
    command = smtp.own("client", "--port", one.port, "--pid", one.pid, "--seconds", seconds)
    done = subprocess.run(
        smtp.pinned(smtp.CLIENT_CORE, command), check=True, stdout=subprocess.PIPE, text=True
    )
    one.runs.append(json.loads(done.stdout))


def row(one: smtp.Contender) -> str:
    cpu = f"{one.median('cpu') * 1000:.2f}" if one.pid else ""
    return f"| {one.name} | {one.median('rate'):.0f} | {cpu} |"


def report(contenders: Sequence[smtp.Contender], arguments: argparse.Namespace) -> str:
    """Return the table, as Markdown."""
    ours, door, *others = contenders
    ratio = statistics.median(
        a["cpu"] / b["cpu"] for a, b in zip(ours.runs, door.runs, strict=True)
    )
    lines = [
        "# Tracked emails through the milter",
        "",
        f"{len(smtp.email()) / 1000:.1f} KB, {smtp.CONNECTIONS} connections, one core; medians of"
        f" {arguments.rounds} rounds of {arguments.seconds:g} s, taken in turn. Python"
        f" {platform.python_version()}, uvloop {version('uvloop')}."
        " `PYTHONPATH=tests python benchmarks/milter.py --write`",
        "",
        "| | emails/s | CPU ms/email |",
        "| --- | ---: | ---: |",
        *map(row, contenders),
        "",
        f"CPU of the milter ÷ that of the SMTP door of the same build: {ratio:.2f}.",
    ]
    if others:
        rate = statistics.median(
            a["rate"] / b["rate"] for a, b in zip(others[0].runs, others[1].runs, strict=True)
        )
        lines += ["", f"Postfix with the milter ÷ Postfix alone, emails/s: {rate:.2f}."]
    return "\n".join(lines) + "\n"


def compare(arguments: argparse.Namespace) -> None:
    """Run everything and print the table."""
    with contextlib.ExitStack() as stack:
        one, two = (Path(stack.enter_context(tempfile.TemporaryDirectory())) for _ in range(2))
        sink, _ = stack.enter_context(smtp.helper(smtp.CLIENT_CORE, "sink"))
        ours = smtp.Contender("milter", *stack.enter_context(smtp.role(one, "milter")))
        door = smtp.Contender("clicktrail", *stack.enter_context(smtp.clicktrail(two, sink)))
        others = stack.enter_context(postfix_around(ours, sink))
        for number in range(arguments.rounds):
            print(f"round {number + 1} …", file=sys.stderr)
            smtp.measure(door, arguments.seconds, sink)
            measure(ours, arguments.seconds)
            for each in others:
                measure_postfix(each, arguments.seconds)
                wait_until_quiet(sink)
    door.name = "SMTP in → SMTP out"
    text = report([ours, door, *others], arguments)
    print(text)
    if arguments.write:
        RESULT.parent.mkdir(exist_ok=True)
        RESULT.write_text(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", nargs="?", default="compare", help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--write", action="store_true", help=f"write {RESULT.name} too")
    for name in ("port", "pid"):
        parser.add_argument(f"--{name}", type=int, default=0, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.what == "client":
        run = run_client(arguments.port, arguments.pid, arguments.seconds)
        print(json.dumps(uvloop.run(run)))
    else:
        compare(arguments)


if __name__ == "__main__":
    main()
