"""A real Postfix with a configuration of the documents, in a folder of its own, and where it sends.

It runs as root, and never as the system's own: its configuration, queue and data are its own, and
it listens on the loopback interface.
"""

import os
import re
import shutil
import smtplib
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP

from support.ports import Ports
from support.service import PATIENCE, wait_for

DOCUMENT = Path(__file__).parents[2] / "docs" / "postfix.md"
MISSING = (
    "no Postfix here (apt-get install postfix)"
    if shutil.which("postfix") is None
    else "Postfix needs root"
    if os.geteuid() != 0
    else ""
)
"""Why Postfix cannot run here; empty where it can."""
NEEDS_POSTFIX = pytest.mark.skipif(bool(MISSING), reason=f"NOT TESTED: {MISSING}")

_MAIN = """\
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
daemon_directory = {daemons}
command_directory = /usr/sbin
mail_owner = postfix
setgid_group = postdrop
maillog_file = {folder}/maillog
maillog_file_prefixes = {folder}
myhostname = mail.test
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
relayhost = [127.0.0.1]:{sink}
alias_maps =
alias_database =
smtpd_forbid_unauth_pipelining = no
minimal_backoff_time = 1s
maximal_backoff_time = 2s
queue_run_delay = 1s
"""
_MASTER = """\
{own}
127.0.0.1:{port} inet n - n - - smtpd
{alone}
pickup    unix  n - n 60 1 pickup
cleanup   unix  n - n - 0 cleanup
qmgr      unix  n - n 300 1 qmgr
tlsmgr    unix  - - n 1000? 1 tlsmgr
rewrite   unix  - - n - - trivial-rewrite
bounce    unix  - - n - 0 bounce
defer     unix  - - n - 0 bounce
trace     unix  - - n - 0 bounce
verify    unix  - - n - 1 verify
flush     unix  n - n 1000? 0 flush
proxymap  unix  - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp      unix  - - n - - smtp
relay     unix  - - n - - smtp
showq     unix  n - n - - showq
error     unix  - - n - - error
retry     unix  - - n - - error
discard   unix  - - n - - discard
local     unix  - n n - - local
virtual   unix  - n n - - virtual
lmtp      unix  - - n - - lmtp
anvil     unix  - - n - 1 anvil
scache    unix  - - n - 1 scache
postlog   unix-dgram n - n - 1 postlogd
"""


_GIVEN = {"port": ":8485", "other": ":8891", "smtp": ":2525", "back": ":10026"}


def example_of(heading: str, file: str = "main.cf", **replaced: str) -> str:
    """Return the first example of a file below a heading of docs/postfix.md, with what is here.

    ``port`` takes the place of the milter's, ``smtp`` of the SMTP door's, ``other`` of another
    milter's, ``back`` of that where Postfix gets emails back; ``submission`` is where it listens.
    """
    section = DOCUMENT.read_text(encoding="utf-8").partition(f"# {heading}\n")[2]
    found = re.search(rf"```ini {re.escape(file)}\n(.*?)```", section, re.DOTALL)
    assert found, heading
    lines = found[1]
    for name, here in replaced.items():
        given = _GIVEN.get(name, name)
        assert given in lines
        lines = lines.replace(given, f":{here}" if name in _GIVEN else f"127.0.0.1:{here}", 1)
    return lines


@dataclass(frozen=True)
class Arrived:
    """An email at the place that Postfix sends to."""

    sender: str
    recipients: tuple[str, ...]
    options: tuple[str, ...]
    content: bytes


class Sink:
    """A mail server behind Postfix that keeps what it gets."""

    def __init__(self) -> None:
        self.emails: list[Arrived] = []
        self._ports = Ports(1)
        (self.port,) = self._ports
        self._controller = Controller(
            self, hostname="127.0.0.1", port=self.port, enable_SMTPUTF8=True, decode_data=False
        )

    def __enter__(self) -> Self:
        self._controller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._controller.stop()

    async def handle_DATA(self, _server: SMTP, _session: Any, envelope: Any) -> str:
        recipients, options = tuple(envelope.rcpt_tos), tuple(envelope.mail_options)
        sender = (envelope.mail_from or "").removeprefix("<>")
        self.emails.append(Arrived(sender, recipients, options, bytes(envelope.content)))
        return "250 2.0.0 taken"

    def arrived(self, mark: bytes) -> Arrived:
        """Return the one email with a mark in its header, as soon as there is one."""
        return wait_for(lambda: next(iter(self.marked(mark)), None), f"an email with {mark!r}")

    def marked(self, mark: bytes) -> list[Arrived]:
        """Return the emails with a mark in their header."""
        return [each for each in self.emails if mark in each.content.partition(b"\r\n\r\n")[0]]


class Postfix:
    """A running Postfix; ``port`` is that with the lines of an example, ``alone`` one without.

    ``lines`` are added to its ``main.cf``, ``services`` to its ``master.cf``.
    """

    def __init__(self, folder: Path, sink: int, lines: str, services: str = "") -> None:
        self.folder = folder
        self._ports = Ports(2)
        self.port, self.alone = self._ports
        self._conf = folder / "conf"
        self._conf.mkdir()
        (folder / "data").mkdir()
        shutil.chown(folder / "data", "postfix")
        (folder / "queue").mkdir()
        daemons = subprocess.run(
            ["postconf", "-d", "-h", "daemon_directory"], capture_output=True, text=True, check=True
        ).stdout.strip()
        main = _MAIN.format(folder=folder, sink=sink, daemons=daemons) + lines
        (self._conf / "main.cf").write_text(main)
        alone = (
            f"127.0.0.1:{self.alone} inet n - n - - smtpd -o smtpd_milters= -o content_filter="
            " -o cleanup_service_name=cleanup"
        )
        master = _MASTER.format(own=services, port=self.port, alone=alone)
        (self._conf / "master.cf").write_text(master)

    def command(self, *words: str) -> None:
        """Run ``postfix`` with these words."""
        done = subprocess.run(
            ["postfix", "-c", str(self._conf), *words], capture_output=True, timeout=PATIENCE
        )
        assert done.returncode == 0, done.stderr.decode() + self.log

    @property
    def log(self) -> str:
        path = self.folder / "maillog"
        return path.read_text(errors="replace") if path.exists() else ""

    def client(self, port: int | None = None) -> smtplib.SMTP:
        """Return a client that has said EHLO."""
        client = smtplib.SMTP("127.0.0.1", port or self.port, timeout=PATIENCE)
        client.ehlo("app.test")
        return client

    def sendmail(self, raw: bytes, *recipients: str, sender: str) -> None:
        """Hand in an email on the command line."""
        subprocess.run(
            ["sendmail", "-C", str(self._conf), "-i", "-f", sender, "--", *recipients],
            input=raw,
            check=True,
            timeout=PATIENCE,
        )


@contextmanager
def postfix(sink: int, lines: str, services: str = "") -> Iterator[Postfix]:
    """Run Postfix with some lines in its ``main.cf``, and some in its ``master.cf``.

    It sends to the port ``sink``.
    """
    # Not in pytest's folder, which other users, such as postfix, may not enter.
    folder = Path(tempfile.mkdtemp(prefix="clicktrail-postfix-"))
    folder.chmod(0o755)
    running = Postfix(folder, sink, lines, services)
    try:
        running.command("start")
        wait_for(lambda: _listens(running.port), "a Postfix that listens")
        try:
            yield running
        finally:
            running.command("stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _listens(port: int) -> bool | None:
    try:
        with smtplib.SMTP("127.0.0.1", port, timeout=5):
            return True
    except OSError:
        return None
