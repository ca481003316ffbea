"""Runs the real service in processes of its own, on loopback ports of their own, for tests."""

import email.policy
import http.client
import json
import os
import re
import signal
import smtplib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email.message import EmailMessage
from email.parser import BytesParser
from itertools import count
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

from support import forked
from support.command_line import invoke
from support.ports import Ports

T = TypeVar("T")
PATIENCE = 120.0
"""Seconds until something that is waited for will never come, on the busiest machine."""
SCALES = 1, 5, 25
"""How many times slower a test goes where its times were too short for a busy machine."""

AT_ANY_PORT = (
    *("--smtp-listen", "127.0.0.1:0", "--api-listen", "127.0.0.1:0"),
    *("--console-listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"),
    *("--redirect-listen", "127.0.0.1:0", "--tracking-host", "t.example"),
)
"""Flags of ``serve`` for a service that is not spoken to: the ports by default may be taken."""

HREF = re.compile(r"""<[^<>]*?\bhref\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s>]+))""", re.I)
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
HEADERS = {
    "User-Agent": BROWSER,
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Accept-Language": "en-US,en;q=0.5",
}
"""What a browser sends."""

_numbers = count(1)


@dataclass(frozen=True)
class Answer:
    """What the redirect answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def location(self) -> str | None:
        return self.headers.get("location")


class Service:
    """A running Clicktrail. Use as a context manager; `start` and `kill` may be called between.

    All roles are in one process, or, not ``embedded``, each in one of its own. ``anew`` starts it
    as users do; else it is a fork of a process that has loaded it already (`support.forked`).
    """

    def __init__(
        self,
        folder: Path,
        *flags: str,
        smarthost: str | None = None,
        embedded: bool = True,
        environment: Mapping[str, str] | None = None,
        anew: bool = False,
    ) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.mailbox = folder / "mailbox"
        self._ports = Ports(6)
        self.smtp, self.http, self.api, self.monitor, self.console, self.milter = self._ports
        self._smarthost = smarthost or f"maildir:{self.mailbox}"
        self._flags = ("--embedded", *flags) if embedded else flags
        self._environment = {**os.environ, **(environment or {})}
        self._anew = anew
        self._process: subprocess.Popen[str] | forked.ForkedProcess | None = None
        self._seen: set[str] = set()
        self.log = folder / "log"
        self.said = ""
        """What it said on standard output at its last start."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start the service, and wait until it is ready."""
        self._begin()
        self.wait_until_ready()

    @contextmanager
    def starting(self, **options: Any) -> Iterator[None]:
        """Start the service, and wait for nothing; it is killed in the end if need be."""
        self._begin(**options)
        try:
            yield
        finally:
            if self._process is not None:
                self.kill()

    def _begin(self, **options: Any) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        command = self.command(
            "serve",
            *("--smarthost", self._smarthost),
            *("--smtp-listen", f"127.0.0.1:{self.smtp}"),
            *("--redirect-listen", f"127.0.0.1:{self.http}"),
            *("--api-listen", f"127.0.0.1:{self.api}"),
            *("--milter-listen", f"127.0.0.1:{self.milter}"),
            *("--console-listen", f"127.0.0.1:{self.console}"),
            *("--metrics-listen", f"127.0.0.1:{self.monitor}"),
            # As if something served https there: links keep their scheme.
            *("--tracking-without-https", "trust"),
            *self._flags,
        )
        with self.log.open("a") as log:
            if self._anew or options or not forked.can_fork(command, self._environment):
                self._process = subprocess.Popen(
                    command,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                    env=self._environment,
                    **options,
                )
            else:
                self._process = forked.start(
                    command, environment=self._environment, stderr=log.fileno()
                )
        self.said = ""

    def wait_until_ready(self) -> None:
        """Return when the service says that it is ready."""
        assert self._process is not None
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.said += line
            if line.startswith("Ready"):
                return
        raise AssertionError(f"the service did not start:\n{self.log.read_text()}")

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def pid_of(self, role: str) -> int | None:
        """Return the number of the process of a role, where there is one. Needs ``/proc``."""
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # it has ended meanwhile
                # proc(5): the name, which may hold anything, is in parentheses.
                parent = folder.joinpath("stat").read_text().rpartition(")")[2].split()[1]
                title = folder.joinpath("cmdline").read_text(errors="replace").rstrip("\0")
                if int(parent) == self.pid and title.endswith(f" --role {role}"):
                    return int(folder.name)
        return None

    def kill(self) -> None:
        """Kill it without a warning (SIGKILL)."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(PATIENCE)
        self._close()

    def stop(self) -> int:
        """Stop it as an operator would (SIGTERM); return the exit status."""
        if self._process is None:
            return 0
        self.signal(signal.SIGTERM)
        return self.wait()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def wait(self) -> int:
        """Return the exit status when it has ended."""
        assert self._process is not None
        try:
            status = self._process.wait(PATIENCE)
        finally:
            if self._process.poll() is None:
                self._process.kill()  # so that no test after this one meets it
            self._close()
        return status

    def _close(self) -> None:
        if self._process is not None and self._process.stdout is not None:
            self._process.stdout.close()
        self._process = None

    def command(self, *arguments: str) -> list[str]:
        """Return a command line on this service's data folder."""
        return [sys.executable, "-m", "clicktrail", *arguments, "--data", str(self.data)]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command on this service's data folder, in a process of its own."""
        return forked.run(self.command(*arguments), timeout=PATIENCE)

    def cli(self, *arguments: str) -> str:
        """Run a command that must succeed, in this process; return its standard output."""
        done = invoke([*arguments, "--data", str(self.data)])
        assert done.exit_code == 0, f"{arguments}: {done.output}"
        return str(done.stdout)

    def configuration_set(
        self, *, stream: bool = True, engagement: bool = False, types: Sequence[str] = ("CLICK",)
    ) -> str:
        """Make a configuration set of a new name, and a built-in stream of the same name."""
        name = f"set-{os.getpid()}-{next(_numbers)}"
        more = ("--engagement-statistics",) if engagement else ()
        self.cli("configuration-set", "create", name, *more)
        if stream:
            named = [option for each in types for option in ("--type", each)]
            self.cli("event-destination", "add", name, "to-stream", "--stream", name, *named)
        return name

    def send(
        self,
        message: EmailMessage | bytes,
        recipients: Sequence[str] = ("reader@gmail.com",),
        sender: str = "news@example.com",
    ) -> bytes:
        """Send an email by SMTP; return it as it arrived in the mailbox."""
        raw = message if isinstance(message, bytes) else message.as_bytes(policy=email.policy.SMTP)
        with smtplib.SMTP("127.0.0.1", self.smtp, timeout=PATIENCE) as client:
            client.sendmail(sender, list(recipients), raw)
        return self.arrived()

    def arrived(self) -> bytes:
        """Return the email that arrived since the last call."""

        def look() -> bytes | None:
            for path in sorted((self.mailbox / "new").glob("*")):
                if path.name not in self._seen:
                    self._seen.add(path.name)
                    return path.read_bytes()
            return None

        return wait_for(look, "an email in the mailbox")

    def request(
        self,
        link: str,
        method: str = "GET",
        headers: dict[str, str] | None = None,
        body: bytes | None = None,
    ) -> Answer:
        """Send a request for a tracking link, over plain http to the redirect."""
        parts = urlsplit(link)
        connection = http.client.HTTPConnection("127.0.0.1", self.http, timeout=PATIENCE)
        try:
            target = parts.path + (f"?{parts.query}" if parts.query else "")
            connection.request(method, target, body, HEADERS | (headers or {}))
            answer = connection.getresponse()
            shown = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, shown, answer.read())
        finally:
            connection.close()

    def logged(self, event: str) -> list[dict[str, Any]]:
        """Return the log lines of an event."""
        lines = [line for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [found for line in lines if (found := json.loads(line)).get("event") == event]

    def events(self, stream: str) -> list[dict[str, Any]]:
        """Return the events in a built-in stream."""
        lines = self.cli("events", "tail", "--stream", stream, "--after", "0").splitlines()
        return [json.loads(line) for line in lines]

    def wait_for_events(self, stream: str, number: int) -> list[dict[str, Any]]:
        """Return the events in a built-in stream, when there are at least that many."""

        def look() -> list[dict[str, Any]] | None:
            found = self.events(stream)
            return found if len(found) >= number else None

        return wait_for(look, f"{number} events in stream {stream}")

    def statistics(self, *options: str) -> dict[str, int]:
        """Return sums over all days: sent, clicks, uniqueClicks, humanClicks."""
        days = json.loads(self.cli("statistics", "--json", *options))
        names = ("sent", "clicks", "uniqueClicks", "humanClicks")
        return {name: sum(day[name] for day in days) for name in names}

    def wait_for_clicks(self, configuration_set: str, number: int) -> dict[str, int]:
        """Return the statistics of a configuration set, when that many clicks are counted."""

        def look() -> dict[str, int] | None:
            found = self.statistics("--configuration-set", configuration_set)
            return found if found["clicks"] >= number else None

        return wait_for(look, f"{number} clicks of {configuration_set}")


def email_with(
    html: str | None, configuration_set: str | None = None, *, cte: str = "quoted-printable"
) -> EmailMessage:
    """Return an email with a text part and, where given, an HTML part."""
    message = EmailMessage()
    message["From"] = "News <news@example.com>"
    message["To"] = "Reader <reader@gmail.com>"
    message["Subject"] = "Hello"
    message["Message-ID"] = "<1@example.com>"
    if configuration_set:
        message["X-SES-CONFIGURATION-SET"] = configuration_set
    message.set_content("See http://text.example/\n")
    if html is not None:
        message.add_alternative(html, subtype="html", cte=cte)
    return message


def html_of(raw: bytes) -> str:
    """Return the HTML part of an email."""
    part = BytesParser(policy=email.policy.default).parsebytes(raw).get_body(("html",))
    assert part is not None
    content: str = part.get_content()
    return content


def hrefs(html: str) -> list[str]:
    """Return the values of all ``href`` attributes, as written."""
    return [next(filter(None, found), "") for found in HREF.findall(html)]


def wait_for(look: Callable[[], T | None], what: str, patience: float = PATIENCE) -> T:
    """Return what ``look`` finds, as soon as it finds something; fail after so many seconds."""
    until = time.monotonic() + patience
    while True:
        began = time.monotonic()
        found = look()
        if found is not None:
            return found
        now = time.monotonic()
        assert now < until, f"no {what} within {patience:.0f} seconds"
        time.sleep(max(0.02, 3 * (now - began)))  # whom it waits for has most of the time
