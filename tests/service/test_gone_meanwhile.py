"""Who may do something when it begins, and no more when it ends: users, keys, accounts, identities.

Each is taken away by a command while the last byte of an email or a request is still to come.
"""

import json
import smtplib
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from support.service import PATIENCE, Service, email_with
from support.ses import access_key
from support.visitor import CSRF, Visitor, account

EMAIL = email_with("x").as_bytes(policy=email_with("x").policy.clone(linesep="\r\n"))


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Yield a service that takes emails from nobody who has not signed in."""
    folder: Path = tmp_path_factory.mktemp("own")
    with Service(folder, "--smtp-allow", "192.0.2.0/24") as service:
        yield service


def user(service: Service) -> tuple[str, str]:
    made = service.cli("smtp-user", "create", "mailer")
    return "mailer", next(word for word in reversed(made.split()) if len(word) >= 32)


def key(service: Service) -> tuple[str, str]:
    return access_key(service, "send")


@pytest.mark.parametrize(
    ("make", "take_away"),
    [
        (user, lambda name: ("smtp-user", "delete", name)),
        (key, lambda name: ("access-key", "disable", name)),
    ],
    ids=["user", "access key"],
)
def test_an_email_is_refused_whose_user_goes_while_it_comes_in(
    own: Service,
    make: Callable[[Service], tuple[str, str]],
    take_away: Callable[[str], tuple[str, ...]],
) -> None:
    name, password = make(own)
    with smtplib.SMTP("127.0.0.1", own.smtp, timeout=PATIENCE) as client:
        client.login(name, password)
        # What else changes, changes nothing for it.
        for change, code in ((("configuration-set", "create", name), 250), (take_away(name), 530)):
            client.docmd("MAIL", "FROM:<a@example.com>")
            client.docmd("RCPT", "TO:<b@gmail.com>")
            assert client.docmd("DATA")[0] == 354
            own.cli(*change)
            client.send(EMAIL + b"\r\n.\r\n")
            assert client.getreply()[0] == code


def test_an_email_is_refused_whose_identity_goes_while_it_comes_in(tmp_path: Path) -> None:
    with (
        Service(tmp_path) as service,
        smtplib.SMTP("127.0.0.1", service.smtp, timeout=PATIENCE) as client,
    ):
        service.cli("identity", "create", "example.com")
        service.cli("identity", "create", "other.example")
        client.docmd("EHLO", "me")
        client.docmd("MAIL", "FROM:<a@example.com>")
        client.docmd("RCPT", "TO:<b@gmail.com>")
        assert client.docmd("DATA")[0] == 354
        service.cli("identity", "delete", "example.com", "--yes")
        client.send(EMAIL + b"\r\n.\r\n")
        assert client.getreply()[0] == 553


@contextmanager
def begun(port: int, path: str, headers: Mapping[str, str], body: bytes) -> Iterator[socket.socket]:
    """Send the head of a request; give the connection when its body is waited for."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as client:
        lines = [f"POST {path} HTTP/1.1", *(f"{name}: {text}" for name, text in headers.items())]
        lines += [f"Content-Length: {len(body)}", "Expect: 100-continue", "Connection: close"]
        client.sendall("\r\n".join([*lines, "", ""]).encode())
        assert client.recv(100).startswith(b"HTTP/1.1 100 ")
        yield client


def answer(client: socket.socket) -> bytes:
    with client.makefile("rb") as file:
        return file.read()


def test_a_call_is_refused_whose_access_key_goes_while_its_body_comes(own: Service) -> None:
    key_id, secret = access_key(own, "manage")
    path = "/v2/email/configuration-sets"
    body = json.dumps({"ConfigurationSetName": "late"}).encode()
    signed = AWSRequest("POST", f"http://127.0.0.1:{own.api}{path}", data=body)
    SigV4Auth(Credentials(key_id, secret), "ses", "eu-west-1").add_auth(signed)
    headers = {"Host": f"127.0.0.1:{own.api}", **dict(signed.headers.items())}
    with begun(own.api, path, headers, body) as client:
        own.cli("access-key", "disable", key_id)
        client.sendall(body)
        assert b"InvalidClientTokenId" in answer(client)
    assert "late" not in own.cli("configuration-set", "list")


@pytest.mark.parametrize("change", ["deleted", "a viewer"])
def test_a_form_does_nothing_whose_account_goes_while_it_comes(own: Service, change: str) -> None:
    with Visitor(own) as visitor:
        visitor.welcome(account(own, "leaver", "administrator"))
        found = CSRF.search(visitor.get("/configurations").text)
        assert found is not None
        body = f"csrf={found[1]}&name=late".encode()
        cookie = "; ".join(f"{name}={text}" for name, text in visitor.client.cookies.items())
        headers = {"Host": f"127.0.0.1:{own.console}", "Cookie": cookie}
        with begun(own.console, "/configurations", headers, body) as client:
            if change == "deleted":
                own.cli("console-user", "delete", "leaver", "--yes")
            else:
                own.cli("console-user", "role", "leaver", "viewer")
            client.sendall(body)
            said = answer(client)
            if change == "deleted":
                assert b"location: /sign-in" in said.lower()
            else:
                assert said.startswith(b"HTTP/1.1 403 ")
    assert "late" not in own.cli("configuration-set", "list")
