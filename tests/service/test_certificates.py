"""Certificates that come by themselves: the whole service, and Pebble as the authority."""

import json
import socket
import ssl
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from cryptography import x509

from support.command_line import invoke
from support.pebble import Pebble, needs_pebble
from support.ports import Ports
from support.service import AT_ANY_PORT, PATIENCE, Service, email_with, hrefs, html_of, wait_for

pytestmark = needs_pebble

NAME, OTHER = "click.shop.example", "go.shop.example"


class Secure:
    """A service with https, and the authority that it asks."""

    def __init__(
        self, folder: Path, *flags: str, embedded: bool = True, **environment: str
    ) -> None:
        self._ports = Ports(1)
        [self.port] = self._ports
        self.service = Service(folder, *flags, embedded=embedded)
        self.pebble = Pebble(
            folder / "pebble", self.service.http, self.port, NAME, OTHER, environment=environment
        )
        self.service._flags += (
            *("--redirect-tls-listen", f"127.0.0.1:{self.port}"),
            *("--tracking-host", f"{NAME}:{self.service.http}"),
            *("--tracking-https-host", f"{NAME}:{self.port}"),
        )

    def shown(self, name: str, trust: Path | None = None) -> x509.Certificate | None:
        """Return the certificate that is shown for a name, where there is one."""
        context = ssl.create_default_context(cafile=trust)
        if trust is None:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with suppress(ssl.SSLError), socket.create_connection(("127.0.0.1", self.port)) as raw:
            raw.settimeout(PATIENCE)
            with context.wrap_socket(raw, server_hostname=name) as secure:
                der = secure.getpeercert(binary_form=True)
                assert der is not None
                return x509.load_der_x509_certificate(der)
        return None

    def answer(self, path: str, trust: Path) -> bytes:
        """Return the answer to a request over https."""
        context = ssl.create_default_context(cafile=trust)
        with socket.create_connection(("127.0.0.1", self.port)) as raw:
            raw.settimeout(PATIENCE)
            with context.wrap_socket(raw, server_hostname=NAME) as secure:
                head = f"GET {path} HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n"
                secure.sendall(head.encode())
                return b"".join(iter(lambda: secure.recv(65536), b""))


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[Secure]:
    made = Secure(tmp_path)
    with made.pebble as pebble:
        made.service._flags += pebble.flags()
        with made.service:
            yield made


def test_certificates_come_by_themselves_and_links_lead_over_https(
    secure: Secure, tmp_path: Path
) -> None:
    trust = secure.pebble.root(tmp_path / "root.pem")
    first = wait_for(lambda: secure.shown(NAME, trust), "a certificate")
    assert secure.shown(OTHER) is None
    name = secure.service.configuration_set()
    mail = email_with('<a href="https://shop.example/1">x</a>', name)
    [link] = hrefs(html_of(secure.service.send(mail)))
    assert link.startswith(f"https://{NAME}:{secure.port}/c/")
    answer = secure.answer(urlsplit(link).path, trust)
    assert answer.startswith(b"HTTP/1.1 302 Found\r\nLocation: https://shop.example/1\r\n")
    secure.service.wait_for_clicks(name, 1)
    # A domain that is set later.
    secure.service.cli("configuration-set", "update", name, "--redirect-domain", OTHER)
    other = wait_for(lambda: secure.shown(OTHER, trust), "a certificate of the other domain")
    assert first.serial_number != other.serial_number
    assert secure.shown(NAME, trust) == first
    # They are there again at once, and none is ordered twice.
    assert secure.service.stop() == 0
    secure.service.start()
    assert wait_for(lambda: secure.shown(NAME, trust), "the certificate") == first
    assert secure.pebble.orders == 2
    told = secure.service.log.read_text() + secure.service.said
    assert "whose terms of service are agreed to" in told
    assert "PRIVATE KEY" not in told
    metrics = read(secure.service, "/metrics")
    assert 'clicktrail_certificates{state="valid"} 2.0' in metrics
    assert "clicktrail_certificates_first_expiry_timestamp_seconds" in metrics


def read(service: Service, path: str) -> str:
    url = f"http://127.0.0.1:{service.monitor}{path}"
    with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
        text: str = answer.read().decode()
        return text


def test_what_is_wrong_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Secure(tmp_path)
    with made.pebble as pebble:
        del pebble.records[NAME]
        made.service._flags += pebble.flags()
        with made.service:
            wait_for(lambda: made.service.logged("no certificate") or None, "a refusal")
            assert 'clicktrail_certificates{state="missing"} 1.0' in read(made.service, "/metrics")
            # What is wrong with a domain takes no node out of rotation: then it would not mend.
            assert '"ready"' in read(made.service, "/readyz")
            monkeypatch.setenv("CLICKTRAIL_ACME_EMAIL", "me@example.com")
            monkeypatch.setenv("CLICKTRAIL_REDIRECT_TLS_LISTEN", f"127.0.0.1:{made.port}")
            resolver = ("--resolver", str(pebble.names.address))
            where = ("--data", str(made.service.data), *resolver, "--json")
            found = invoke(["domain", "check", NAME, *where])
        told = {each["check"]: each for each in json.loads(found.stdout)["findings"]}
        assert told["order"]["status"] == "warning"
        assert "does not resolve" in told["order"]["text"]
        assert "Traceback" not in made.service.log.read_text()


@pytest.mark.long
def test_workers_that_are_killed_in_the_middle_of_an_order(tmp_path: Path) -> None:
    slow = {"PEBBLE_VA_NOSLEEP": "", "PEBBLE_VA_SLEEPTIME": "5"}
    made = Secure(tmp_path, "--redirect-workers", "2", embedded=False, **slow)
    with made.pebble as pebble:
        made.service._flags += pebble.flags()
        made.service.start()
        wait_for(lambda: pebble.orders or None, "an order")
        made.service.kill()  # and its children with it
        made.service.start()
        try:
            trust = pebble.root(tmp_path / "root.pem")
            wait_for(lambda: made.shown(NAME, trust), "a certificate")
            # Whichever process one comes to has it.
            wait_for(
                lambda: all(made.shown(NAME, trust) for _ in range(20)) or None, "it everywhere"
            )
        finally:
            made.service.stop()
        assert pebble.orders == 2


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        (("--acme-email", "me@example.com"), "so redirect.tls_listen is needed too"),
        (("--acme-email", "me"), "expected an email address"),
        (
            (
                *("--acme-email", "me@example.com", "--redirect-tls-listen", "127.0.0.1:1"),
                *("--tracking-host", "127.0.0.1", "--role", "api"),
            ),
            "no authority certifies 127.0.0.1",
        ),
        (
            (
                *("--acme-email", "me@example.com", "--redirect-tls-listen", "127.0.0.1:1"),
                *("--acme-directory", "http://authority.example/"),
            ),
            "does not begin with https://",
        ),
        (("--redirect-tls-listen", "127.0.0.1:1"), "so redirect.tls_certificate is needed too"),
        (
            (
                *("--acme-email", "me@example.com", "--redirect-tls-listen", "127.0.0.1:1"),
                *("--journal-url", "nats://127.0.0.1:1"),
            ),
            "Set store.url on each",
        ),
    ],
)
def test_what_cannot_work_is_refused(tmp_path: Path, flags: tuple[str, ...], why: str) -> None:
    done = Service(tmp_path).run("serve", "--role", "redirect", *AT_ANY_PORT, *flags)
    assert done.returncode == 1
    assert why in done.stderr
    assert len(done.stderr.splitlines()) == 1
