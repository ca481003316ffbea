"""What cannot work is told at the start: once, with its setting, and before anything is begun."""

import json
import os
import smtplib
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from clicktrail.keys.ringfile import KeyFile
from service.test_monitor import ask
from support.certificates import Authority, encrypt, make_certificate
from support.service import PATIENCE, Service, email_with, wait_for

DOORS = {
    "smtp.listen": "--smtp-listen",
    "redirect.listen": "--redirect-listen",
    "redirect.tls_listen": "--redirect-tls-listen",
    "milter.listen": "--milter-listen",
    "api.listen": "--api-listen",
    "console.listen": "--console-listen",
    "metrics.listen": "--metrics-listen",
}


@contextmanager
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield other.getsockname()[1]


def refused(service: Service) -> str:
    """Start a service that cannot; return what it said."""
    with service.starting():
        with pytest.raises(AssertionError, match="did not start"):
            service.wait_until_ready()
        assert service.wait() == 1
    said = service.log.read_text()
    assert "Traceback" not in said
    return said


@pytest.mark.parametrize("embedded", [True, False], ids=["embedded", "apart"])
@pytest.mark.parametrize("setting", DOORS)
def test_a_taken_port_is_told_in_one_line_with_its_setting(
    tmp_path: Path, setting: str, embedded: bool
) -> None:
    chain, key = make_certificate(tmp_path)
    tls = ("--redirect-tls-certificate", str(chain), "--redirect-tls-key", str(key))
    with taken_port() as port:
        flags = (DOORS[setting], f"127.0.0.1:{port}")
        more = tls if setting == "redirect.tls_listen" else ()
        said = refused(Service(tmp_path, *flags, *more, embedded=embedded))
    assert said.splitlines() == [
        f"clicktrail: {setting} = 127.0.0.1:{port} (from {DOORS[setting]}) cannot be listened on:"
        " Address already in use: another program listens there (`ss -ltnp` names it): stop that,"
        " or choose another port"
    ]
    assert not (tmp_path / "data" / "keys.json").exists(), "something was begun"


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("192.0.2.1:2525", "that address is none of this machine's"),
        ("nowhere.invalid:2525", "the name does not resolve"),
    ],
)
def test_an_address_that_is_not_ours_is_told(tmp_path: Path, address: str, why: str) -> None:
    said = refused(Service(tmp_path, "--smtp-listen", address, embedded=False))
    (line,) = said.splitlines()
    assert line.startswith(f"clicktrail: smtp.listen = {address} (from --smtp-listen) cannot")
    assert why in line


@pytest.mark.skipif(os.geteuid() != 0, reason="NOT TESTED: only root can be somebody else")
def test_a_privileged_port_is_told_with_what_allows_it(tmp_path: Path) -> None:
    script = """
import os, sys
import encodings.idna, clicktrail.commands, clicktrail.service.service
from clicktrail.errors import ClicktrailError
from clicktrail.settings.settings import load_settings
from clicktrail.service.checks.opening import check_doors
os.setegid(65534)
os.seteuid(65534)
try:
    check_doors(load_settings({"smtp.listen": "127.0.0.1:1"}, {}), ["smtp"])
except ClicktrailError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    first = int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())
    if first <= 1:
        pytest.skip("NOT TESTED: no port is privileged here")
    assert done.stdout.startswith("smtp.listen = 127.0.0.1:1 (from --smtp-listen) cannot")
    assert f"ports below {first} are for privileged programs" in done.stdout
    assert "CAP_NET_BIND_SERVICE" in done.stdout


def test_a_cause_that_all_roles_have_is_told_once(tmp_path: Path, port: int) -> None:
    url = f"postgresql://user:geheim@127.0.0.1:{port}/none"
    # None that could do without it.
    roles = ("--role", "smtp", "--role", "api", "--role", "console")
    service = Service(tmp_path, "--store-url", url, *roles, embedded=False)
    KeyFile(service.data / "keys.json").create_if_missing()
    said = refused(service)
    warned, told = said.splitlines()
    assert "--store-url-file" in warned  # a password is on the command line
    assert told.startswith("clicktrail: the database postgresql://")


def test_a_parameter_of_the_stores_url_that_is_misspelt_is_named(tmp_path: Path, port: int) -> None:
    url = f"postgresql://127.0.0.1:{port}/none?passwort=geheim"
    service = Service(tmp_path, "--store-url", url, embedded=False)
    KeyFile(service.data / "keys.json").create_if_missing()
    assert refused(service) == (
        "clicktrail: the store's URL cannot be used: libpq has no parameter 'passwort': is"
        " 'password' meant?\n"
    )


def problem(service: Service, what: str) -> str | None:
    """Return why something is not ready, where it is not."""
    status, body = ask(service, "/readyz")
    found = json.loads(body)
    return None if status == 200 else found["why"].get(what)


@pytest.mark.parametrize(
    ("listen", "smarthost"),
    [
        ("127.0.0.1", "smtp://127.0.0.1"),
        ("127.0.0.1", "smtp://localhost"),
        ("0.0.0.0", "smtp://127.0.0.2"),
        ("0.0.0.0", "smtps://0.0.0.0"),
        ("localhost", "smtp://127.0.0.1"),
    ],
)
def test_a_smarthost_that_is_our_own_door_is_refused(
    tmp_path: Path, listen: str, smarthost: str
) -> None:
    service = Service(tmp_path, embedded=False, smarthost=smarthost)
    service = Service(
        tmp_path,
        *("--smtp-listen", f"{listen}:{service.smtp}"),
        embedded=False,
        smarthost=f"{smarthost}:{service.smtp}",
    )
    (line,) = refused(service).splitlines()
    assert "is this service itself (smtp.listen = " in line
    assert line.startswith(f"clicktrail: smarthost.url = {smarthost}:")


@pytest.mark.parametrize(
    "embedded",
    [True, pytest.param(False, marks=pytest.mark.long)],
    ids=["embedded", "apart"],
)
def test_a_smarthost_that_leads_back_to_us_is_a_problem(tmp_path: Path, embedded: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as way:
        place = f"smtp://127.0.0.1:{way.getsockname()[1]}"
        with Service(tmp_path, smarthost=place, embedded=embedded) as service:
            stop = lead(way, service.smtp)
            try:
                why = wait_for(lambda: problem(service, "smarthost"), "a problem", 120)
                assert "greets as this service does" in why
                with pytest.raises(smtplib.SMTPRecipientsRefused) as refusal:
                    service.send(email_with(None))
                assert [code for code, _ in refusal.value.recipients.values()] == [451]
            finally:
                stop()


def lead(way: socket.socket, port: int) -> Callable[[], None]:
    """Lead connections on to a port, one after the other, as a proxy does."""
    ending = threading.Event()
    way.settimeout(0.1)

    def run() -> None:
        while not ending.is_set():
            try:
                client, _ = way.accept()
            except TimeoutError:
                continue
            with client, socket.create_connection(("127.0.0.1", port)) as server:
                client.settimeout(PATIENCE)
                with suppress(OSError):
                    client.sendall(server.recv(4096))  # the greeting
                    while words := client.recv(4096):
                        server.sendall(words)
                        client.sendall(server.recv(4096))

    thread = threading.Thread(target=run)
    thread.start()

    def stop() -> None:
        ending.set()
        thread.join()

    return stop


@pytest.mark.parametrize("embedded", [True, False], ids=["embedded", "apart"])
def test_a_smarthost_whose_name_does_not_resolve_is_a_problem(
    tmp_path: Path, embedded: bool
) -> None:
    with Service(tmp_path, smarthost="smtp://mail.invalid:25", embedded=embedded) as service:
        why = wait_for(lambda: problem(service, "smarthost"), "a problem", 120)
        assert "the name mail.invalid does not resolve" in why
        assert [line["what"] for line in service.logged("not ready")] == ["smarthost"] * (
            1 if embedded else 2  # smtp and api send, each in its process
        )
        assert service.request("http://any/c/none").status == 404


@pytest.mark.parametrize("maildir", ["maildir:", "maildir:{}/file", "maildir:{}/file/below"])
def test_a_maildir_that_cannot_be_written_is_refused(tmp_path: Path, maildir: str) -> None:
    (tmp_path / "file").write_text("no folder")
    service = Service(tmp_path, smarthost=maildir.format(tmp_path), embedded=False)
    (line,) = refused(service).splitlines()
    assert line.startswith("clicktrail: smarthost.url = ")
    assert ("or maildir:PATH" if maildir == "maildir:" else "Not a directory") in line


def test_a_maildir_that_is_lost_is_a_problem_until_it_is_back(tmp_path: Path) -> None:
    with Service(tmp_path) as service:
        wait_for(lambda: problem(service, "smarthost") is None or None, "readiness", 120)
        kept = tmp_path / "kept"
        service.mailbox.rename(kept)
        service.mailbox.write_text("no folder")
        why = wait_for(lambda: problem(service, "smarthost"), "a problem", 120)
        assert "Not a directory" in why or "File exists" in why
        service.mailbox.unlink()
        kept.rename(service.mailbox)
        wait_for(lambda: problem(service, "smarthost") is None or None, "readiness", 120)


def break_pair(folder: Path, how: str) -> tuple[Path, Path]:
    """Return a certificate and a key that cannot be used."""
    chain, key = make_certificate(folder)
    if how == "missing":
        chain.unlink()
    elif how == "no PEM":
        chain.write_bytes(b"\x30\x82\x01\x0a")
    elif how == "exchanged":
        return key, chain
    elif how == "another's key":
        (folder / "other").mkdir()
        return chain, make_certificate(folder / "other")[1]
    elif how == "damaged certificate":
        chain.write_text(chain.read_text()[:200] + "\n-----END CERTIFICATE-----\n")
    elif how == "damaged key":
        key.write_text(key.read_text()[:60] + "\n-----END PRIVATE KEY-----\n")
    elif how == "encrypted key":
        encrypt(key)
    return chain, key


@pytest.mark.parametrize("name", ["nats.tls_ca", "kafka.tls_ca"])
@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("missing", "No such file or directory"),
        ("no PEM", "expected a PEM file with a certificate, it holds something else"),
        ("exchanged", "it holds a private key"),
        ("damaged certificate", "a certificate in it is damaged"),
    ],
)
def test_authorities_that_cannot_be_used_are_told_with_their_setting(
    tmp_path: Path, name: str, how: str, why: str
) -> None:
    path, _ = break_pair(tmp_path, how)
    flag = "--" + name.replace(".", "-").replace("_", "-")
    (line,) = refused(Service(tmp_path, f"{flag}={path}", embedded=False)).splitlines()
    assert line.startswith(f"clicktrail: {name} = '{path}' (from {flag}) cannot be used: ")
    assert why in line


@pytest.mark.parametrize("how", ["missing", "a file"])
def test_a_folder_of_app_links_that_is_none_is_told_with_its_setting(
    tmp_path: Path, how: str
) -> None:
    path = tmp_path / "app-links"
    if how == "a file":
        path.touch()
    service = Service(tmp_path, f"--redirect-app-links={path}", embedded=False)
    (line,) = refused(service).splitlines()
    assert line.startswith(f"clicktrail: redirect.app_links = '{path}' (from --redirect-app-links)")
    assert "expected a folder" in line


@pytest.mark.parametrize("role", ["smtp", "redirect", "nats"])
@pytest.mark.parametrize(
    ("how", "setting", "why"),
    [
        ("missing", "tls_certificate", "No such file or directory"),
        ("no PEM", "tls_certificate", "expected a PEM file with a certificate, it holds something"),
        ("exchanged", "tls_certificate", "it holds a private key"),
        ("another's key", "tls_key", "it is not the key of the certificate in "),
        ("damaged certificate", "tls_certificate", "its certificate is damaged"),
        ("damaged key", "tls_key", "its key is damaged"),
        ("encrypted key", "tls_key", "its key is encrypted"),
    ],
)
def test_a_certificate_that_cannot_be_used_is_told_with_its_setting(
    tmp_path: Path, port: int, role: str, how: str, setting: str, why: str
) -> None:
    chain, key = break_pair(tmp_path, how)
    flags = [f"--{role}-tls-certificate={chain}", f"--{role}-tls-key={key}"]
    if role == "redirect":
        flags.append(f"--redirect-tls-listen=127.0.0.1:{port}")
    (line,) = refused(Service(tmp_path, *flags, embedded=False)).splitlines()
    named = chain if setting == "tls_certificate" else key
    assert line.startswith(f"clicktrail: {role}.{setting} = '{named}' (from --{role}-tls-")
    assert why in line


@pytest.mark.parametrize("days", [(-9, -1), (1, 9)], ids=["expired", "not yet valid"])
def test_a_certificate_out_of_date_is_warned_of_once(
    tmp_path: Path, days: tuple[float, float]
) -> None:
    chain, key = Authority(tmp_path / "authority").issue("localhost", days=days)
    flags = [f"--smtp-tls-certificate={chain}", f"--smtp-tls-key={key}"]
    with Service(tmp_path, *flags, embedded=False) as service:
        told = (
            "certificate has expired: renew it" if days[1] < 0 else "certificate is not valid yet"
        )
        (line,) = service.logged(told)
        assert (line["setting"], line["path"]) == ("smtp.tls_certificate", str(chain))


def test_two_services_in_one_folder_are_told_and_roles_apart_are_not(tmp_path: Path) -> None:
    told = (
        "another service works in this data folder: nothing is lost or counted twice, but is it"
        " meant?"
    )

    def serving(name: str, *flags: str, embedded: bool = True) -> Service:
        service = Service(tmp_path, *flags, embedded=embedded)
        service.log = tmp_path / name
        return service

    with serving("first", "--role", "redirect", "--role", "api"):
        with serving("other", "--role", "smtp", "--role", "console") as other:
            assert other.logged(told) == []
        with serving("second", embedded=False) as second:
            (line,) = second.logged(told)
            assert line["roles"] == ["redirect", "api"]
            assert line["data"] == str(tmp_path / "data")
    with serving("third") as third:
        assert third.logged(told) == [], "whoever has ended works there no more"
