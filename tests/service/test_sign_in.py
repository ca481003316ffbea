"""Who guesses passwords is slowed down, and keeps nobody else from signing in."""

import os
import signal
import smtplib
from base64 import b64encode
from pathlib import Path

import httpx
import pytest

from service.test_monitor import ask
from support.service import PATIENCE, Service, wait_for

PASSWORD = "a long enough password"
GUESSER, OWNER = "203.0.113.9", "198.51.100.7"


def browser(service: Service, address: str) -> httpx.Client:
    """Return a browser that comes through a proxy on this machine."""
    return httpx.Client(
        base_url=f"http://127.0.0.1:{service.console}",
        headers={"X-Forwarded-For": address},
        timeout=PATIENCE * 4,
    )


def test_nobody_locks_the_owner_of_an_account_out(service: Service) -> None:
    made = service.cli("console-user", "create", "olga", "--role", "administrator")
    token = made.rpartition("/welcome/")[2].split()[0]
    with browser(service, OWNER) as owner, browser(service, GUESSER) as guesser:
        chosen = {"password": PASSWORD, "again": PASSWORD}
        assert owner.post(f"/welcome/{token}", data=chosen).status_code == 303
        found: list[int] = []
        while not found or found[-1] == 403:
            guess = guesser.post("/sign-in", data={"name": "olga", "password": "wrong guess"})
            found.append(guess.status_code)
            assert len(found) < 50
        assert found[-1] == 429
        # Her session goes on, and she signs in from where she is.
        assert owner.get("/configurations").status_code == 200
        right = {"name": "olga", "password": PASSWORD}
        with browser(service, OWNER) as another:
            assert another.post("/sign-in", data=right).status_code == 303
        # The guesser may try other names, and learns nothing about this one.
        assert guesser.post("/sign-in", data=right).status_code == 429
        other = guesser.post("/sign-in", data={"name": "nobody", "password": "wrong guess"})
        assert other.status_code == 403


def answer_to(service: Service, password: str, address: str) -> bytes:
    """Return what the SMTP door says to a password of the user "mailer"."""
    with smtplib.SMTP(
        "127.0.0.1", service.smtp, timeout=PATIENCE * 4, source_address=(address, 0)
    ) as client:
        client.ehlo()
        said = f"\0mailer\0{password}".encode()
        return client.docmd("AUTH", "PLAIN " + b64encode(said).decode())[1]


def new_user(service: Service) -> str:
    """Make the user "mailer"; return the password."""
    made = service.cli("smtp-user", "create", "mailer")
    return next(word for word in reversed(made.split()) if len(word) >= 32)


def test_guesses_over_smtp_are_slowed_down_by_name_and_address(service: Service) -> None:
    password = new_user(service)
    said = [answer_to(service, "wrong", "127.0.0.9") for _ in range(11)]
    assert said[:10] == [b"5.7.8 user name or password is wrong"] * 10
    assert b"too many wrong passwords: try again in" in said[10]
    assert b"signed in" in answer_to(service, password, "127.0.0.8")


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="NOT TESTED: it needs Linux")
def test_the_processes_of_the_smtp_door_count_guesses_together(tmp_path: Path) -> None:
    with Service(tmp_path, "--smtp-workers", "4", embedded=False) as service:
        password = new_user(service)
        said = [answer_to(service, "wrong", "127.0.0.9") for _ in range(30)]
        assert said[:10] == [b"5.7.8 user name or password is wrong"] * 10
        assert all(b"try again in" in each for each in said[10:])
        # What was counted outlives the process that counted it, and is of one address alone.
        for worker in ("smtp", "smtp:2", "smtp:3", "smtp:4"):
            old = service.pid_of(worker)
            assert old is not None

            def is_back(worker: str = worker, old: int = old) -> bool | None:
                return service.pid_of(worker) not in (None, old) or None

            os.kill(old, signal.SIGKILL)
            wait_for(is_back, worker)
            wait_for(lambda: ask(service, "/readyz")[0] == 200 or None, "readiness")
        assert b"try again in" in answer_to(service, "wrong", "127.0.0.9")
        assert b"signed in" in answer_to(service, password, "127.0.0.8")


@pytest.mark.parametrize(
    "forged",
    [
        {"X-Forwarded-For": "198.51.100.{0}, 203.0.113.77"},
        {"X-Forwarded-For": "garbage{0}, , 203.0.113.78"},
        {"X-Forwarded-For": "203.0.113.79", "Forwarded": "for=198.51.100.{0}"},
        {"X-Forwarded-For": "2001:db8:0:77::{0}"},  # one client has all of a /64
        {"Forwarded": 'for=198.51.100.{0}, for="[2001:db8:0:78::{0}]:1{0}"'},
    ],
    ids=["before the real one", "garbage", "in the other header", "one network", "ports"],
)
def test_a_forged_address_gives_no_more_guesses(service: Service, forged: dict[str, str]) -> None:
    found = []
    name = f"victim {forged}"
    with httpx.Client(base_url=f"http://127.0.0.1:{service.console}", timeout=PATIENCE) as guesser:
        for number in range(1, 13):
            headers = {header: text.format(number) for header, text in forged.items()}
            form = {"name": name, "password": "wrong guess"}
            found.append(guesser.post("/sign-in", data=form, headers=headers).status_code)
    assert found == [403] * 10 + [429] * 2


def test_who_is_no_proxy_of_ours_is_not_believed(tmp_path: Path) -> None:
    with Service(tmp_path, "--console-trusted-proxies", "192.0.2.0/24") as service:
        found = []
        for number in range(1, 13):
            with browser(service, f"198.51.100.{number}") as guesser:
                form = {"name": "victim", "password": "wrong guess"}
                found.append(guesser.post("/sign-in", data=form).status_code)
        assert found == [403] * 10 + [429] * 2
