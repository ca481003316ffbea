"""How many tracked emails go through in a second, beside a bare relay and no relay at all.

    python benchmarks/smtp.py [--seconds 4] [--rounds 5] [--write]

SMTP in, SMTP out, 16 connections, emails of about 20 KB. Each server has one core to itself, the
client and the sink that takes the emails share the other. The servers take turns, round by round.

* clicktrail: ``clicktrail serve --role smtp``: rewrites the links, keeps the email (durable).
* bare relay: aiosmtpd → aiosmtplib; rewrites nothing, keeps nothing.
* no relay: the client speaks to the sink: what the measurement itself can do at the most.
"""

import argparse
import asyncio
import binascii
import contextlib
import json
import os
import platform
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import aiosmtplib
import uvloop
from aiosmtpd.smtp import SMTP, Envelope, Session

CONNECTIONS = 16
MUST, AIM = 0.5, 0.8
HEAD = b"""\
X-SES-CONFIGURATION-SET: benchmark
From: Example Shop <news@example.com>
To: Recipient <recipient@example.net>
Subject: =?UTF-8?Q?New_things_for_autumn?=
Date: Mon, 23 Nov 2026 18:00:00 +0000
Message-ID: <20261123180000.1@example.com>
List-Unsubscribe: <https://www.example.com/unsubscribe?u=4c1f&id=77>
MIME-Version: 1.0
Content-Type: text/html; charset=utf-8
Content-Transfer-Encoding: quoted-printable

"""
BLOCK = """\
<tr>
  <td class="column" align="left" valign="top" width="300" style="padding:24px 16px;\
background-color:#ffffff;font-family:Arial,'Helvetica Neue',Helvetica,sans-serif">
    <a href="https://shop.example.com/autumn/{0}?utm_source=newsletter&amp;utm_medium=email"
      target="_blank" style="text-decoration:none"><img src="https://static.example.com/{0}.jpg"
      alt="Article {0}" width="268" height="180" border="0" style="display:block" /></a>
    <h2 style="margin:16px 0 8px;font-size:20px;line-height:26px;color:#222222">Number {0}</h2>
    <p style="margin:0 0 12px;font-size:15px;line-height:22px;color:#51545e">The new season brings
      more colour, light and room for everything you love, so we have chosen a few things that go
      well together, and would like to show them to you first. They are here for a short time.</p>
    <p style="margin:0"><a postbox:tags="place:block;number:{0}" style="color:#3869d4"
      href="https://shop.example.com/autumn/{0}#more">Look</a> &nbsp;&middot;&nbsp; {0}&nbsp;€</p>
  </td>
</tr>
"""
BLOCKS = 17
RESULT = Path(__file__).parent / "results" / "smtp.md"
SERVER_CORE, CLIENT_CORE = 0, 1


@cache
def email() -> bytes:
    """Return the email that is sent: a newsletter with two links in each block."""
    rows = "".join(BLOCK.format(100 + number) for number in range(BLOCKS))
    html = f"<html><body><table>\n{rows}</table></body></html>\n".replace("\n", "\r\n")
    return HEAD.replace(b"\n", b"\r\n") + binascii.b2a_qp(html.encode(), istext=True)


# The sink and the client, as lean as they can be


class Sink(asyncio.Protocol):
    """Takes every email, and offers what Postfix does.

    ``XSTAT`` answers how many were taken, and how many were tracked.
    """

    taken = 0
    tracked = 0

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._missing = 0  # bytes of the email that are yet to come; -1: all up to a dot
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._transport.write(b"220 sink\r\n")

    def data_received(self, data: bytes) -> None:
        if not self._missing:
            data = self._commands(data)
        if self._missing and data:
            self._parts.append(data)
            if self._missing > 0:
                self._missing -= len(data)
            elif (data if len(data) > 4 else b"".join(self._parts[-5:])).endswith(b"\r\n.\r\n"):
                self._missing = 0
            if not self._missing:
                Sink.taken += 1
                Sink.tracked += b"/c/" in b"".join(self._parts)
                self._parts.clear()
                self._transport.write(b"250 2.0.0 Ok\r\n")

    def _commands(self, data: bytes) -> bytes:
        """Answer commands; return what has come behind the last one."""
        answers = []
        while data and not self._missing:
            line, _, data = data.partition(b"\r\n")
            verb = line[:4].upper()
            if verb == b"EHLO":
                answers.append(b"250-sink\r\n250-SIZE 99999999\r\n250-8BITMIME\r\n")
                answers.append(b"250-PIPELINING\r\n250 CHUNKING\r\n")
            elif verb == b"DATA":
                self._missing = -1
                answers.append(b"354 go on\r\n")
            elif verb == b"BDAT":
                self._missing = int(line.split()[1])
            elif verb == b"XSTA":
                answers.append(b"250 %d %d\r\n" % (Sink.taken, Sink.tracked))
            else:
                answers.append(b"250 2.0.0 Ok\r\n")
        if answers:
            self._transport.write(b"".join(answers))
        return data


class Sender(asyncio.Protocol):
    """Sends the same email again and again until it is told to stop."""

    def __init__(self, wire: bytes) -> None:
        commands = (b"MAIL FROM:<a@example.com>", b"RCPT TO:<b@example.com>", b"DATA")
        self._steps = (*(command + b"\r\n" for command in commands), wire)
        self._step = -2  # the greeting, then EHLO
        self._heard = b""
        self._transport: Any = None
        self.sent = 0
        self.failed: list[bytes] = []
        self.stop = False
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._heard += data
        last = self._heard.rstrip(b"\r\n").rpartition(b"\n")[2]
        if not self._heard.endswith(b"\n") or last[3:4] == b"-":
            return
        self._heard = b""
        if last[:1] not in b"23":
            self.failed.append(last)
            self._transport.close()
            return
        self._step += 1
        if self._step == -1:
            self._transport.write(b"EHLO benchmark\r\n")
            return
        if self._step == len(self._steps):
            self._step = 0
            self.sent += 1
        if self._step == 0 and self.stop:
            self._transport.close()
            return
        self._transport.write(self._steps[self._step])

    def connection_lost(self, error: Exception | None) -> None:
        self.over.set_result(None)


async def run_sink(ready: int) -> None:
    """Serve as the sink for ever."""
    server = await asyncio.get_running_loop().create_server(Sink, "127.0.0.1", 0)
    os.write(ready, b"%d\n" % server.sockets[0].getsockname()[1])
    await server.serve_forever()


async def run_client(port: int, pid: int, seconds: float) -> dict[str, float]:
    """Send for that long; return emails per second, and CPU seconds of a process per email."""
    loop = asyncio.get_running_loop()
    wire = email().replace(b"\r\n.", b"\r\n..") + b".\r\n"
    senders = [
        (await loop.create_connection(lambda: Sender(wire), "127.0.0.1", port))[1]
        for _ in range(CONNECTIONS)
    ]
    await asyncio.sleep(seconds / 4)
    began, before, busy = time.perf_counter(), sum(s.sent for s in senders), cpu_seconds(pid)
    await asyncio.sleep(seconds)
    took, count = time.perf_counter() - began, sum(s.sent for s in senders) - before
    busy = cpu_seconds(pid) - busy
    for sender in senders:
        sender.stop = True
    await asyncio.gather(*(s.over for s in senders))
    failed = [each for s in senders for each in s.failed]
    if failed:
        raise SystemExit(f"an email was not taken: {failed[0]!r}")
    return {"rate": count / took, "cpu": busy / count, "sent": sum(s.sent for s in senders)}


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process so far; 0 for none."""
    if not pid:
        return 0.0
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# The bare relay


class Bare:
    """aiosmtpd's handler of the bare relay: one outgoing connection for each that comes in."""

    def __init__(self, port: int) -> None:
        self._client = aiosmtplib.SMTP(hostname="127.0.0.1", port=port, start_tls=False)

    async def handle_DATA(self, _: SMTP, __: Session, envelope: Envelope) -> str:
        """Hand an email on."""
        if not self._client.is_connected:
            await self._client.connect()
        assert isinstance(envelope.content, bytes)
        await self._client.sendmail(envelope.mail_from or "", envelope.rcpt_tos, envelope.content)
        return "250 2.0.0 Ok"


async def run_bare(ready: int, port: int) -> None:
    """Serve as the bare relay for ever."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(Bare(port), hostname="bare", loop=loop), "127.0.0.1", 0
    )
    os.write(ready, b"%d\n" % server.sockets[0].getsockname()[1])
    await server.serve_forever()


# Measuring


@dataclass
class Contender:
    """Something to send emails to."""

    name: str
    port: int
    pid: int = 0
    runs: list[dict[str, float]] = field(default_factory=list)

    def median(self, what: str) -> float:
        return statistics.median(run[what] for run in self.runs)


def pinned(core: int, command: Sequence[str]) -> list[str]:
    """Return a command line that stays on one core."""
    cores = sorted(os.sched_getaffinity(0))
    return ["taskset", "-c", str(cores[min(core, len(cores) - 1)]), *command]


def own(*arguments: object) -> list[str]:
    return [sys.executable, __file__, *map(str, arguments)]


@contextlib.contextmanager
def helper(core: int, *arguments: object) -> Iterator[tuple[int, int]]:
    """Run a server of this file; yield its port and process id."""
    reading, writing = os.pipe()
    command = pinned(core, own(*arguments, "--ready", writing))
    process = subprocess.Popen(command, pass_fds=(writing,))
    os.close(writing)
    try:
        with os.fdopen(reading) as lines:
            yield int(lines.readline()), process.pid
    finally:
        process.terminate()
        process.wait()


def clicktrail(folder: Path, sink: int) -> contextlib.AbstractContextManager[tuple[int, int]]:
    """Run the role smtp of Clicktrail; yield its port and process id."""
    return role(folder, "smtp", "--smarthost", f"smtp://127.0.0.1:{sink}")


@contextlib.contextmanager
def role(folder: Path, name: str, *flags: str) -> Iterator[tuple[int, int]]:
    """Run a role of Clicktrail that takes emails; yield its port and process id."""
    data = ("--data", str(folder))
    program = [sys.executable, "-m", "clicktrail"]
    create = ("configuration-set", "create", "benchmark", "--engagement-statistics", *data)
    command = [*program, "serve", "--role", name, *data, *flags]
    command += [f"--{name}-listen", "127.0.0.1:0", "--metrics-listen", ""]
    log = (folder / "log").open("w")  # as it is: one line for each email
    process = subprocess.Popen(
        pinned(SERVER_CORE, command), stdout=subprocess.PIPE, stderr=log, text=True
    )
    assert process.stdout is not None
    try:
        said = process.stdout.readline()
        while said and not said.startswith("Ready"):
            if found := re.match(rf"\s+{name}\s+127\.0\.0\.1:(\d+)", said):
                port = int(found[1])
            said = process.stdout.readline()
        if not said:
            raise SystemExit("clicktrail did not start")
        subprocess.run([*program, *create], check=True, stdout=subprocess.DEVNULL)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()
        log.close()


def ask_sink(port: int) -> tuple[int, int]:
    """Return how many emails the sink has taken, and how many of them were tracked."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        lines = connection.makefile("rb")
        lines.readline()
        connection.sendall(b"XSTAT\r\n")
        taken, tracked = lines.readline().split()[1:]
        return int(taken), int(tracked)


def measure(one: Contender, seconds: float, sink: int) -> None:
    """Add a run."""
    before = ask_sink(sink)
    command = own("client", "--port", one.port, "--pid", one.pid, "--seconds", seconds)
    done = subprocess.run(
        pinned(CLIENT_CORE, command), check=True, stdout=subprocess.PIPE, text=True
    )
    run = json.loads(done.stdout)
    taken, tracked = (a - b for a, b in zip(ask_sink(sink), before, strict=True))
    if taken != run["sent"] or (one.name == "clicktrail" and tracked != taken):
        raise SystemExit(f"{one.name}: {run['sent']} accepted, {taken} taken, {tracked} tracked")
    one.runs.append(run)


def report(contenders: Sequence[Contender], arguments: argparse.Namespace) -> str:
    """Return the table, as Markdown."""
    ours, bare, _ = contenders

    def ratio(one: Contender, what: str) -> float:
        return statistics.median(
            a[what] / b[what] for a, b in zip(one.runs, bare.runs, strict=True)
        )

    lines = [
        "# Tracked emails, SMTP in → SMTP out",
        "",
        f"{len(email()) / 1000:.1f} KB, {CONNECTIONS} connections, each server on one core;"
        f" medians of {arguments.rounds} rounds of {arguments.seconds:g} s, taken in turn."
        f" Python {platform.python_version()}, uvloop {version('uvloop')}."
        " `python benchmarks/smtp.py --write`",
        "",
        "| | emails/s | ÷ bare relay | CPU ms/email | bare relay's ÷ it |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for one in contenders:
        cpu = f"{one.median('cpu') * 1000:.2f} | {1 / ratio(one, 'cpu'):.2f}" if one.pid else "|"
        lines.append(
            f"| {one.name} | {one.median('rate'):.0f} | {ratio(one, 'rate'):.2f} | {cpu} |"
        )
    reached = ratio(ours, "rate")
    verdict = "aim" if reached >= AIM else "must" if reached >= MUST else "NOT the must"
    lines += ["", f"Must {MUST}, aim {AIM}: {reached:.2f} reaches {verdict}."]
    return "\n".join(lines) + "\n"


def compare(arguments: argparse.Namespace) -> None:
    """Run everything and print the table."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        sink, _ = stack.enter_context(helper(CLIENT_CORE, "sink"))
        bare = stack.enter_context(helper(SERVER_CORE, "bare", "--port", sink))
        ours = stack.enter_context(clicktrail(folder, sink))
        contenders = [
            Contender("clicktrail", *ours),
            Contender("bare relay", *bare),
            Contender("no relay", sink),
        ]
        for number in range(arguments.rounds):
            for one in contenders:
                print(f"round {number + 1}: {one.name} …", file=sys.stderr, end="\r")
                measure(one, arguments.seconds, sink)
        print(" " * 40, file=sys.stderr, end="\r")
    text = report(contenders, arguments)
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
    for name in ("port", "pid", "ready"):
        parser.add_argument(f"--{name}", type=int, default=0, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.what == "sink":
        uvloop.run(run_sink(arguments.ready))
    elif arguments.what == "bare":
        uvloop.run(run_bare(arguments.ready, arguments.port))
    elif arguments.what == "client":
        run = run_client(arguments.port, arguments.pid, arguments.seconds)
        print(json.dumps(uvloop.run(run)))
    else:
        compare(arguments)


if __name__ == "__main__":
    main()
