"""SIGTERM while people click and emails come in: nothing that was promised is lost or doubled."""

import re
import signal
import smtplib
import socket
import threading
from collections import Counter
from pathlib import Path
from typing import Self

import pytest

from support.crowd import Crowd, check_books
from support.service import PATIENCE, Service, email_with, wait_for

NUMBERED = re.compile(rb"^X-Number: (\S+)\r?$", re.MULTILINE)


class Senders:
    """Threads that send numbered emails while the context is open.

    ``taken`` are the numbers of those answered 250; ``refused`` counts other answers, ``cut_off``
    connections that ended without one.
    """

    def __init__(self, service: Service, configuration_set: str, count: int = 4) -> None:
        self._port = service.smtp
        self._set = configuration_set
        self._halt = threading.Event()
        self._threads = [
            threading.Thread(target=self._send, args=(number,), daemon=True)
            for number in range(count)
        ]
        self.taken: list[str] = []
        self.refused: Counter[int] = Counter()
        self.cut_off: list[str] = []

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._halt.set()
        for thread in self._threads:
            thread.join()

    def wait_for(self, more: int) -> None:
        """Return when that many more emails were taken."""
        goal = len(self.taken) + more
        wait_for(lambda: len(self.taken) >= goal or None, f"{more} more emails")

    def _send(self, sender: int) -> None:
        count = 0
        while not self._halt.wait(0.02):
            try:
                with smtplib.SMTP("127.0.0.1", self._port, timeout=PATIENCE) as client:
                    while not self._halt.wait(0.01):
                        count += 1
                        self._send_one(client, f"{sender}-{count}")
            except (smtplib.SMTPServerDisconnected, smtplib.SMTPConnectError, OSError):
                continue  # stopped, or not yet here again

    def _send_one(self, client: smtplib.SMTP, number: str) -> None:
        message = email_with('<a href="http://a.example/">x</a>', self._set)
        message["X-Number"] = number
        client.ehlo_or_helo_if_needed()
        code, _ = client.mail("news@example.com")
        if code == 250:
            code, _ = client.rcpt("reader@gmail.com")
        if code == 250:
            try:
                code, _ = client.data(message.as_bytes())
            except smtplib.SMTPDataError as refused:  # to the command itself
                code = refused.smtp_code
            except (smtplib.SMTPServerDisconnected, OSError):
                self.cut_off.append(number)
                raise
        if code == 250:
            self.taken.append(number)
        else:
            self.refused[code] += 1
            raise smtplib.SMTPServerDisconnected


def arrived(service: Service) -> Counter[str]:
    """Return the numbers of the emails that the smarthost has, and how often."""
    found: Counter[str] = Counter()
    for path in (service.mailbox / "new").iterdir():
        number = NUMBERED.search(path.read_bytes())
        if number:
            found[number[1].decode()] += 1
    return found


def stop_rounds(folder: Path, rounds: int, *, embedded: bool, rate: float) -> None:
    with Service(folder, embedded=embedded) as service:
        name = service.configuration_set()
        # The crowd first: it waits for an email of its own, and there is no other yet.
        with Crowd(service, name, rate=rate) as crowd, Senders(service, name) as senders:
            for _ in range(rounds):
                crowd.wait_for(100)
                senders.wait_for(5)
                assert service.stop() == 0
                service.start()
            crowd.wait_for(1)
            senders.wait_for(1)
        check_books(service, name, crowd)
        emails = arrived(service)
        assert set(emails.values()) == {1}
        assert emails.keys() == set(senders.taken)
        assert senders.cut_off == []
        assert set(senders.refused) <= {421}  # RFC 5321 § 3.8: the service is shutting down


@pytest.mark.parametrize(
    "embedded",
    [True, pytest.param(False, marks=pytest.mark.long)],
    ids=["one-process", "a-process-each"],
)
def test_stopping_under_load_keeps_every_promise(tmp_path: Path, embedded: bool) -> None:
    stop_rounds(tmp_path, rounds=2, embedded=embedded, rate=200)


@pytest.mark.long
def test_stopping_again_and_again_under_load_keeps_every_promise(tmp_path: Path) -> None:
    stop_rounds(tmp_path, rounds=10, embedded=False, rate=1000)


@pytest.mark.parametrize("embedded", [True, False], ids=["one-process", "a-process-each"])
def test_a_client_in_the_middle_of_its_data_is_answered(tmp_path: Path, embedded: bool) -> None:
    with Service(tmp_path, embedded=embedded) as service:
        with (
            socket.create_connection(("127.0.0.1", service.smtp), timeout=PATIENCE) as client,
            socket.create_connection(("127.0.0.1", service.smtp), timeout=PATIENCE) as idle,
        ):
            lines, told = client.makefile("rb"), idle.makefile("rb")
            assert told.readline().startswith(b"220 ")
            for command in ("", "EHLO me", "MAIL FROM:<a@b.org>", "RCPT TO:<c@d.org>", "DATA"):
                if command:
                    client.sendall(command.encode() + b"\r\n")
                while (line := lines.readline())[3:4] == b"-":
                    pass
            assert line.startswith(b"354")
            client.sendall(b"Subject: half\r\nX-Number: 1\r\n")
            service.signal(signal.SIGTERM)
            assert told.readline().startswith(b"421 ")  # it has begun to stop
            client.sendall(b"\r\nthe rest\r\n.\r\n")
            assert lines.readline().startswith(b"250 ")
        assert service.wait() == 0
        assert arrived(service) == {"1": 1}
