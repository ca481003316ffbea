"""SIGHUP: certificates, keys and the networks file are read again, and nothing is interrupted."""

import http.client
import shutil
import signal
import smtplib
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from cryptography import x509

from support.certificates import Authority, encrypt
from support.ports import Ports
from support.service import PATIENCE, Service, email_with, hrefs, html_of, wait_for
from support.terminal import Terminal

NOT_RELOADED = "not reloaded: what was there stays in use"


class Files:
    """The files of an installation that may be replaced while it runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = Authority(folder / "authority")
        self.networks = folder / "networks"
        self.networks.write_text("192.0.2.0/24 # nobody\n")
        self.renew()

    def renew(self) -> int:
        """Put another certificate there; return its serial number."""
        chain, key = self.authority.issue("localhost")
        shutil.copy(chain, self.folder / "chain.pem")
        shutil.copy(key, self.folder / "key.pem")
        return x509.load_pem_x509_certificate(chain.read_bytes()).serial_number


@contextmanager
def installed(
    folder: Path, *, embedded: bool, terminal: Terminal | None = None
) -> Iterator[tuple[Service, Files, int]]:
    """Run a service with certificates and a networks file; give its port for https too."""
    files, ports = Files(folder), Ports(1)
    [secure] = ports
    pair = [f"--{{}}-tls-certificate={folder}/chain.pem", f"--{{}}-tls-key={folder}/key.pem"]
    service = Service(
        folder / "one",
        *(flag.format(door) for door in ("smtp", "redirect") for flag in pair),
        f"--redirect-tls-listen=127.0.0.1:{secure}",
        f"--machine-networks-file={files.networks}",
        embedded=embedded,
    )
    with service.starting(**(terminal.options if terminal else {})):
        if terminal:
            terminal.started()
        service.wait_until_ready()
        yield service, files, secure
        service.stop()


def untrusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def serial(connection: socket.socket) -> int:
    assert isinstance(connection, ssl.SSLSocket)
    shown = connection.getpeercert(binary_form=True)
    assert shown is not None
    return x509.load_der_x509_certificate(shown).serial_number


def smtp_serial(service: Service) -> int:
    with smtplib.SMTP("127.0.0.1", service.smtp, timeout=PATIENCE) as client:
        client.starttls(context=untrusting())
        assert client.sock is not None
        return serial(client.sock)


def https_serial(port: int) -> int:
    with (
        socket.create_connection(("127.0.0.1", port), PATIENCE) as plain,
        untrusting().wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        return serial(connection)


def sent(service: Service, name: str) -> str:
    """Return the tracking link of a new email."""
    return hrefs(html_of(service.send(email_with('<a href="http://a.example">x</a>', name))))[0]


@pytest.mark.parametrize("embedded", [True, False], ids=["embedded", "apart"])
def test_what_was_replaced_is_read_again_and_no_connection_is_dropped(
    tmp_path: Path, embedded: bool
) -> None:
    with installed(tmp_path, embedded=embedded) as (service, files, secure):
        name = service.configuration_set()
        old_link = sent(service, name)
        mail = smtplib.SMTP("127.0.0.1", service.smtp, timeout=PATIENCE)
        web = http.client.HTTPConnection("127.0.0.1", service.http, timeout=PATIENCE)
        with mail:
            mail.ehlo()
            web.request("GET", urlsplit(old_link).path)
            assert web.getresponse().read() is not None
            (first,) = service.wait_for_events(name, 1)
            assert "network" not in first["click"]["bot"]["reasons"]

            new_serial = files.renew()
            files.networks.write_text("127.0.0.0/8 # us\n")
            service.cli("keys", "rotate")
            service.cli("keys", "retire", "1", "--yes")
            service.signal(signal.SIGHUP)

            wait_for(lambda: smtp_serial(service) == new_serial or None, "a new SMTP certificate")
            wait_for(lambda: https_serial(secure) == new_serial or None, "a new https certificate")
            wait_for(lambda: service.request(old_link).status == 404 or None, "a retired key")
            new_link = sent(service, name)
            wait_for(
                lambda: (
                    [r for r in service.logged("reloaded") if r["what"].startswith("machine")]
                    or None
                ),
                "other networks",
            )
            # What was open is open: it is the same process at the other end.
            web.request("GET", urlsplit(new_link).path)
            assert web.getresponse().status == 302
            assert mail.noop()[0] == 250
        web.close()
        newest = service.wait_for_events(name, 2)[-1]
        assert "network" in newest["click"]["bot"]["reasons"]
        assert service.logged("role_ended") == service.logged(NOT_RELOADED) == []


@pytest.mark.parametrize("embedded", [True, False], ids=["embedded", "apart"])
def test_what_cannot_be_read_again_is_an_error_and_the_old_stays(
    tmp_path: Path, embedded: bool
) -> None:
    with installed(tmp_path, embedded=embedded) as (service, files, secure):
        before = smtp_serial(service)
        assert https_serial(secure) == before
        name = service.configuration_set()
        link = sent(service, name)
        files.folder.joinpath("key.pem").write_text("no key")
        files.networks.write_text("nonsense\n")
        service.data.joinpath("keys.json").write_text("{")
        service.signal(signal.SIGHUP)
        wanted = {"keys", "machine.networks_file", "smtp.tls_certificate"}
        wanted.add("redirect.tls_certificate")
        wait_for(
            lambda: {line["what"] for line in service.logged(NOT_RELOADED)} == wanted or None,
            "what was not reloaded, in the log",
        )
        assert all(line["level"] == "error" for line in service.logged(NOT_RELOADED))
        assert smtp_serial(service) == https_serial(secure) == before
        assert service.request(link).status == 302
        assert service.request(sent(service, name)).status == 302


ENCRYPTED = (
    "{folder}/key.pem cannot be used: its key is encrypted, and nobody is there to ask for the pass"
    " phrase: `openssl pkey -in {folder}/key.pem -out NEW` writes it without"
)


@pytest.mark.parametrize("embedded", [True, False], ids=["embedded", "apart"])
def test_an_encrypted_key_is_an_error_and_no_question_at_the_terminal(
    tmp_path: Path, embedded: bool
) -> None:
    terminal = Terminal()
    with installed(tmp_path, embedded=embedded, terminal=terminal) as (service, files, secure):
        before = smtp_serial(service)
        encrypt(files.folder / "key.pem")
        service.signal(signal.SIGHUP)
        told = ENCRYPTED.format(folder=tmp_path)
        wait_for(
            lambda: [line["reason"] for line in service.logged(NOT_RELOADED)] == 2 * [told] or None,
            "errors of both doors",
        )
        # The same, where they look for a new certificate by themselves.
        files.folder.joinpath("chain.pem").touch()
        assert smtp_serial(service) == https_serial(secure) == before
        wait_for(
            lambda: (
                [line["reason"] for line in service.logged("certificate not renewed")] == 2 * [told]
                or None
            ),
            "warnings of both doors",
        )
        assert service.stop() == 0
        assert "phrase:" not in service.log.read_text().replace(told, "")
    terminal.close()


def test_what_is_wrong_with_a_certificate_is_told_as_at_the_start(tmp_path: Path) -> None:
    with installed(tmp_path, embedded=True) as (service, files, secure):
        before = https_serial(secure)
        chain, key = files.folder / "chain.pem", files.folder / "key.pem"
        good = chain.read_bytes(), key.read_bytes()

        def reason() -> str:
            """Return what is told of the pair that lies there; then put the good one back."""
            seen = len(service.logged(NOT_RELOADED))
            service.signal(signal.SIGHUP)
            wait_for(lambda: len(service.logged(NOT_RELOADED)) == seen + 2 or None, "two errors")
            (told,) = {line["reason"] for line in service.logged(NOT_RELOADED)[seen:]}
            chain.write_bytes(good[0])
            key.write_bytes(good[1])
            return str(told)

        chain.unlink()
        assert reason() == f"{chain} cannot be used: No such file or directory"
        chain.write_bytes(b"")
        assert reason() == (
            f"{chain} cannot be used: expected a PEM file with a certificate, it holds something"
            " else"
        )
        shutil.copy(chain, key)
        assert reason() == (
            f"{key} cannot be used: expected a PEM file with a private key, it holds a certificate"
        )
        shutil.copy(files.authority.issue("localhost")[1], key)
        assert f"{key} cannot be used: it is not the key of the certificate in {chain}" in reason()
        assert https_serial(secure) == smtp_serial(service) == before
