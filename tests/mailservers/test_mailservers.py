"""Exim and OpenSMTPD with the lines of docs/mail-servers.md."""

import re
import smtplib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from postfix.house import LINK
from support.own_root import needs, own_root
from support.ports import Ports
from support.postfix import Arrived, Sink
from support.service import PATIENCE, Service, email_with, html_of, wait_for

pytestmark = pytest.mark.long
DOCUMENT = Path(__file__).parents[2] / "docs" / "mail-servers.md"
EXIM = """\
exim_user = Debian-exim
exim_group = Debian-exim
deliver_drop_privilege
never_users =
primary_hostname = mail.test
domainlist local_domains = mail.test
spool_directory = /var/spool/exim4
log_file_path = /log/%slog
pid_file_path = /run/exim.pid
tls_advertise_hosts =
dsn_advertise_hosts = *
acl_smtp_rcpt = accept
acl_smtp_data = accept
{main}
begin routers
{routers}
out:
  driver = manualroute
  route_list = * 127.0.0.1
  self = send
  transport = out
begin transports
{transports}
out:
  driver = smtp
  port = {sink}
  allow_localhost
begin retry
* * F,1h,1s
"""
EXIM_STARTS = """\
mkdir -p /var/spool/exim4 && chown Debian-exim:Debian-exim /var/spool/exim4 /log &&
exec exim4 -C /etc/exim.conf -bdf -q1s
"""
SMTPD = """\
table aliases file:/etc/aliases
listen on 127.0.0.1 port {port}
{lines}
"""
SMTPD_STARTS = """\
mkdir -p /var/lib/opensmtpd/empty /var/spool/smtpd && chmod 711 /var/spool/smtpd &&
exec smtpd -d -f /etc/smtpd.conf
"""


def example(file: str) -> str:
    """Return an example of the document."""
    found = re.search(rf"```\w+ {re.escape(file)}\n(.*?)```", DOCUMENT.read_text("utf-8"), re.S)
    assert found, file
    return found[1]


def replaced(lines: str, **given: int) -> str:
    """Return lines with other ports: ``back`` for 10026, ``smtp`` for 2525."""
    for name, port in (("back", "10026"), ("smtp", "2525")):
        if name in given:
            assert port in lines
            lines = lines.replace(port, str(given[name]))
    return lines


@dataclass
class Place:
    """A mail server that hands to Clicktrail what it has queued, and takes it back."""

    service: Service
    sink: Sink
    port: int
    log: Path
    tracking: str

    def send(
        self, mark: str, *recipients: str, sender: str = "news@example.com", html: str = ""
    ) -> None:
        email = email_with(html or '<a href="http://a.example/">Grüße</a>', self.tracking)
        email.replace_header("From", sender)
        raw = f"X-Mark: {mark}\n".encode() + email.as_bytes()
        with smtplib.SMTP("127.0.0.1", self.port, timeout=PATIENCE) as client:
            client.sendmail(sender, recipients, raw)

    def arrived(self, mark: str, number: int = 1) -> list[Arrived]:
        """Return the emails with that mark, as soon as there are so many."""

        def look() -> list[Arrived] | None:
            found = self.sink.marked(f"X-Mark: {mark}\r\n".encode())
            return found if len(found) >= number else None

        try:
            return wait_for(look, f"{number} emails {mark}")
        except AssertionError as error:
            raise AssertionError(
                "\n".join(p.read_text(errors="replace") for p in self.log.iterdir() if p.is_file())
            ) from error


@contextmanager
def exim(folder: Path) -> Iterator[Place]:
    with Ports(2) as ports, Sink() as sink:
        port, back = ports
        with Service(folder, smarthost=f"smtp://127.0.0.1:{back}") as service:
            main = example("main").replace("0.0.0.0.25 ; ::0.25", f"127.0.0.1.{port}")
            conf = EXIM.format(
                main=replaced(main, back=back),
                routers=replaced(example("routers"), back=back),
                transports=replaced(example("transports"), smtp=service.smtp),
                sink=sink.port,
            )
            users = {"Debian-exim": 901}
            with own_root(EXIM_STARTS, {"exim.conf": conf}, users, port) as log:
                yield Place(service, sink, port, log, service.configuration_set())


@contextmanager
def opensmtpd(folder: Path) -> Iterator[Place]:
    with Ports(2) as ports, Sink() as sink:
        port, back = ports
        with Service(folder, smarthost=f"smtp://127.0.0.1:{back}") as service:
            lines = replaced(example("smtpd.conf"), back=back, smtp=service.smtp)
            out = f'action "out" relay host smtp://127.0.0.1:{sink.port}\n'
            assert 'action "out" relay\n' in lines
            lines = lines.replace('action "out" relay\n', out)
            files = {"smtpd.conf": SMTPD.format(port=port, lines=lines), "aliases": ""}
            users = {"opensmtpd": 901, "opensmtpq": 902}
            with own_root(SMTPD_STARTS, files, users, port) as log:
                yield Place(service, sink, port, log, service.configuration_set())


BOTH = [
    pytest.param(exim, marks=needs("exim4"), id="exim"),
    pytest.param(opensmtpd, marks=needs("smtpd"), id="opensmtpd"),
]
Runs = Callable[[Path], AbstractContextManager[Place]]


@pytest.mark.parametrize("runs", BOTH)
def test_an_email_comes_out_once_and_tracked(runs: Runs, tmp_path: Path) -> None:
    with runs(tmp_path) as place:
        place.send("one.", "reader@example.net")
        [got] = place.arrived("one.")
        assert (got.sender, got.recipients) == ("news@example.com", ("reader@example.net",))
        assert LINK.search(html_of(got.content))
        assert "Grüße" in html_of(got.content)
        assert b"x-ses-" not in got.content.lower()
        long = "<p>" + "Wörter und " * 200 + '<a href="http://a.example/">x</a></p>'
        place.send("long.", "reader@example.net", html=long)
        [got] = place.arrived("long.")
        assert LINK.search(html_of(got.content))
        names = [f"reader{number}@example.net" for number in range(3)]
        place.send("three.", *names)
        copies = 3 if runs is exim else 1
        found = place.arrived("three.", copies)
        assert sorted(r for each in found for r in each.recipients) == names
        for each in found:
            assert bool(LINK.search(html_of(each.content))) == (len(each.recipients) == 1)
        assert len(place.sink.emails) == 2 + len(found)


@pytest.mark.parametrize("runs", BOTH)
def test_what_clicktrail_refuses_comes_back_as_a_bounce(runs: Runs, tmp_path: Path) -> None:
    with runs(tmp_path) as place:
        place.service.cli("identity", "create", "example.com")
        place.send("refused.", "reader@example.net", sender="somebody@example.org")

        def bounce() -> Arrived | None:
            to = ("somebody@example.org",)
            return next((each for each in place.sink.emails if each.recipients == to), None)

        got = wait_for(bounce, "a bounce")
        assert got.sender == ""
        assert b"553" in got.content
        assert len(place.sink.emails) == 1


@needs("exim4")
def test_what_is_queued_while_clicktrail_is_away_comes_later(tmp_path: Path) -> None:
    with exim(tmp_path) as place:
        place.service.kill()
        place.send("later.", "reader@example.net")
        log = place.log / "mainlog"
        wait_for(lambda: "Connection refused" in log.read_text() or None, "a try")
        place.service.start()
        [got] = place.arrived("later.")
        assert LINK.search(html_of(got.content))
