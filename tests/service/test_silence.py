"""Clients that say nothing, or never all of it: others are served meanwhile."""

import asyncio
import http.client
import json
import re
import shutil
import smtplib
import socket
import ssl
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from support.certificates import make_certificate
from support.holding import holding
from support.hostile_smarthost import HostileSmarthost
from support.service import PATIENCE, Service, email_with, hrefs, html_of, wait_for
from support.ses import access_key, ses_client

CROWD = 400
"""More than a server has room for, where it counts all alike: 128 on some."""


def get(port: int, path: str, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request("GET", path, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def port_of(service: Service, door: str) -> int:
    port: int = getattr(service, door)
    return port


@contextmanager
def saying(port: int, count: int, beginning: bytes, address: str = "127.0.0.3") -> Iterator[None]:
    """Hold so many connections open that have said this."""
    with ExitStack() as stack:
        for _ in range(count):
            client = stack.enter_context(
                socket.create_connection(("127.0.0.1", port), source_address=(address, 0))
            )
            client.sendall(beginning)
        yield


@pytest.mark.parametrize("door", ["api", "console", "monitor", "http"])
@pytest.mark.parametrize("kind", ["silent", "slow"])
def test_silent_clients_keep_nobody_out(service: Service, door: str, kind: str) -> None:
    port = port_of(service, door)
    with holding(port, CROWD, kind, 2), holding(port, CROWD, kind, 3):
        for _ in range(5):
            assert get(port, "/robots.txt" if door == "http" else "/healthz")[0] == 200


@pytest.mark.parametrize("door", ["api", "console"])
def test_bodies_that_do_not_come_keep_nobody_out(service: Service, door: str) -> None:
    port = port_of(service, door)
    path = {"api": "/v2/email/outbound-emails", "console": "/sign-in"}[door]
    begun = (
        f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: AWS4-HMAC-SHA256 x\r\n"
        "Content-Length: 9999\r\n\r\nx"
    ).encode()
    with saying(port, CROWD, begun):
        assert get(port, "/healthz")[0] == 200


def test_readers_that_wait_keep_nobody_out(service: Service) -> None:
    token = {"Authorization": f"Bearer {(service.data / 'api-token').read_text().strip()}"}
    poll = "/v1/streams/nothing-comes/events?wait=30"
    head = f"GET {poll} HTTP/1.1\r\nHost: x\r\nAuthorization: {token['Authorization']}\r\n\r\n"
    with saying(service.api, CROWD, head.encode()):
        key = access_key(service, "read")
        assert ses_client(service, key).list_configuration_sets()["ConfigurationSets"] is not None
        # There is room for so many that wait; who comes later is told, and not kept waiting.
        status, body = get(service.api, poll, token)
        assert status == 503
        assert "wait here already" in json.loads(body)["message"]
    assert get(service.api, poll.replace("30", "0"), token)[0] == 200


def test_who_takes_too_long_is_told_so(service: Service) -> None:
    with ExitStack() as stack:
        clients = [
            stack.enter_context(
                socket.create_connection(("127.0.0.1", port_of(service, door)), PATIENCE)
            )
            for door in ("api", "console")
        ]
        for client in clients:  # side by side: each has ten seconds
            client.sendall(b"GET /healthz HTTP/1.1\r\nHost:")
        for client in clients:
            assert client.recv(100).startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("door", ["api", "console"])
def test_a_head_without_end_is_not_kept(service: Service, door: str) -> None:
    with socket.create_connection(("127.0.0.1", port_of(service, door)), PATIENCE) as client:
        client.sendall(b"GET /healthz HTTP/1.1\r\nX: " + b"x" * 40_000)
        assert client.recv(100).startswith(b"HTTP/1.1 431 ")


class Narrow(Service):
    """Where few files may be open."""

    FILES = 600

    def command(self, *arguments: str) -> list[str]:
        limit = f"--nofile={self.FILES}:{self.FILES}"
        return ["prlimit", limit, *super().command(*arguments)]


@pytest.mark.skipif(shutil.which("prlimit") is None, reason="needs prlimit")
def test_handshakes_that_never_come_keep_nobody_from_clicking(tmp_path: Path, port: int) -> None:
    certificate, key = make_certificate(tmp_path)
    flags = ["--redirect-tls-certificate", str(certificate), "--redirect-tls-key", str(key)]
    with Narrow(tmp_path, *flags, "--redirect-tls-listen", f"127.0.0.1:{port}") as service:
        name = service.configuration_set()
        link = hrefs(html_of(service.send(email_with('<a href="http://a.example/">a</a>', name))))[
            0
        ]
        with ExitStack() as stack:
            for address in range(2, 6):
                stack.enter_context(holding(port, 250, "silent", address))
            for _ in range(5):
                assert service.request(link).status == 302
            trusting = ssl.create_default_context(cafile=certificate)
            secure = http.client.HTTPSConnection(
                "localhost", port, context=trusting, timeout=PATIENCE
            )
            secure.request("GET", "/robots.txt")
            assert secure.getresponse().status == 200
            secure.close()
        service.wait_for_clicks(name, 5)


def test_senders_who_say_nothing_keep_nobody_from_sending(service: Service) -> None:
    name = service.configuration_set()
    with ExitStack() as stack:
        for address in range(2, 5):
            stack.enter_context(holding(service.smtp, CROWD, "silent", address))
        assert b"a.example" not in service.send(
            email_with('<a href="http://a.example/">a</a>', name, cte="7bit")
        )


EMAIL = b"EHLO x\r\nMAIL FROM:<a@b.c>\r\n"
DATA = EMAIL + b"RCPT TO:<d@e.f>\r\nDATA\r\n"


@pytest.mark.parametrize(("said", "reply"), [(EMAIL, b"250 2.1.0 "), (DATA, b"354 ")])
def test_senders_who_stop_within_an_email_keep_nobody_from_sending(
    tmp_path: Path, said: bytes, reply: bytes
) -> None:
    limits = ("--smtp-max-connections", "20", "--smtp-first-timeout", "1")
    with Service(tmp_path, *limits) as service, ExitStack() as stack:
        for _ in range(20):
            client = socket.create_connection(("127.0.0.1", service.smtp), timeout=PATIENCE)
            stack.enter_context(client)
            client.sendall(said)
            with client.makefile("rb") as replies:
                while not (line := replies.readline()).startswith(reply):
                    assert line

        def is_greeted() -> bool | None:
            with socket.create_connection(("127.0.0.1", service.smtp)) as stranger:
                return stranger.recv(100).startswith(b"220 ") or None

        wait_for(is_greeted, "a greeting")


ANNOUNCED = EMAIL + b"RCPT TO:<d@e.f>\r\n"


@pytest.mark.parametrize("said", [ANNOUNCED, ANNOUNCED + b"DATA\r\n"])
async def test_senders_who_stop_hold_no_connection_to_the_smarthost(
    tmp_path: Path, said: bytes
) -> None:
    begun = [b"250 2.1.5 ", b"354 "][said.endswith(b"DATA\r\n")]
    async with HostileSmarthost() as smarthost:
        flags = ("--smarthost-connections", "2")
        with Service(tmp_path, *flags, smarthost=f"smtp://{smarthost.address}") as service:
            async with AsyncExitStack() as stack:
                silent = []
                for _ in range(3):  # of three, two hold what there is, and the third waits
                    reader, writer = await asyncio.open_connection("127.0.0.1", service.smtp)
                    stack.callback(writer.close)
                    writer.write(said)
                    silent.append((reader, writer))
                for reader, _ in silent:
                    while not (line := await reader.readline()).startswith(begun):
                        assert line

                def send() -> tuple[int, bytes]:
                    with smtplib.SMTP("127.0.0.1", service.smtp, timeout=PATIENCE) as client:
                        client.ehlo()
                        client.mail("b@example.com")
                        client.rcpt("c@example.com")
                        return client.data(b"Subject: of another\r\n\r\nx")

                assert (await asyncio.to_thread(send))[0] == 250
                # Who has been silent is not punished: the email goes to whom it was named for.
                reader, writer = silent[0]
                if said is ANNOUNCED:
                    writer.write(b"DATA\r\n")
                writer.write(b"Subject: late\r\n\r\nx\r\n.\r\n")
                while not (line := await reader.readline()).startswith(b"250 2.0.0 Ok"):
                    assert line
            assert [taken.rcpts for taken in smarthost.taken] == [
                ["RCPT TO:<c@example.com>"],
                ["RCPT TO:<d@e.f>"],
            ]
            metrics = (await asyncio.to_thread(get, service.monitor, "/metrics"))[1]
            given_way = re.search(rb"^clicktrail_smarthost_given_way_total (\S+)", metrics, re.M)
            assert given_way
            assert float(given_way[1]) >= 2


async def test_who_finds_all_connections_to_the_smarthost_at_work_is_told_so(
    tmp_path: Path,
) -> None:
    async with HostileSmarthost(stalls={"DOT"}) as smarthost:
        flags = ("--smarthost-connections", "1", "--smarthost-connect-timeout", "0.5")
        with Service(tmp_path, *flags, smarthost=f"smtp://{smarthost.address}") as service:

            def send() -> tuple[int, bytes]:
                with smtplib.SMTP("127.0.0.1", service.smtp, timeout=PATIENCE) as client:
                    client.ehlo()
                    client.mail("b@example.com")
                    code, text = client.rcpt("c@example.com")
                    return (code, text) if code >= 400 else client.data(b"Subject: x\r\n\r\nx")

            first = asyncio.create_task(asyncio.to_thread(send))
            await smarthost.reached.wait()
            code, text = await asyncio.to_thread(send)
            assert (code, text[:6]) == (451, b"4.4.5 ")
            assert b"in use" in text
            metrics = (await asyncio.to_thread(get, service.monitor, "/metrics"))[1]
            assert b'clicktrail_smarthost_waits_total{outcome="busy"} 1.0' in metrics
            smarthost.let_go.set()
            assert (await first)[0] == 250


def peak_of(pid: int) -> int:
    """Return the most memory that a process has had, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
def test_bodies_of_strangers_are_not_kept(service: Service) -> None:
    size, strangers = 12_000_000, 16
    now = datetime.now(UTC)
    head = (
        "POST /v2/email/outbound-emails HTTP/1.1\r\nHost: x\r\n"
        f"X-Amz-Date: {now:%Y%m%dT%H%M%SZ}\r\nAuthorization: AWS4-HMAC-SHA256"
        f" Credential=AKIANOBODYSKEY/{now:%Y%m%d}/eu-central-1/ses/aws4_request,"
        f" SignedHeaders=host;x-amz-date, Signature={'0' * 64}\r\nContent-Length: {size}\r\n\r\n"
    ).encode()
    before = peak_of(service.pid)
    with ExitStack() as stack:
        clients = []
        for _ in range(strangers):
            client = stack.enter_context(
                socket.create_connection(("127.0.0.1", service.api), PATIENCE)
            )
            client.sendall(head + b"x" * (size - 1))
            clients.append(client)
        key = access_key(service, "read")
        assert ses_client(service, key).list_configuration_sets()["ConfigurationSets"] is not None
        for client in clients:
            client.sendall(b"x")
            assert client.recv(1000).startswith(b"HTTP/1.1 403 ")
    assert peak_of(service.pid) - before < size * strangers // 3
