"""Who guesses passwords is slowed down, and keeps nobody else from signing in."""

import smtplib
from base64 import b64encode

import httpx

from support.service import PATIENCE, Service

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


def test_guesses_over_smtp_are_slowed_down_by_name_and_address(service: Service) -> None:
    made = service.cli("smtp-user", "create", "mailer")
    password = next(word for word in reversed(made.split()) if len(word) >= 32)
    said = b""
    for _ in range(20):
        with smtplib.SMTP(
            "127.0.0.1", service.smtp, timeout=PATIENCE * 4, source_address=("127.0.0.9", 0)
        ) as client:
            client.ehlo()
            said = client.docmd("AUTH", "PLAIN " + b64encode(b"\0mailer\0wrong").decode())[1]
        if b"try again in" in said:
            break
    assert b"too many wrong passwords: try again in" in said
    with smtplib.SMTP(
        "127.0.0.1", service.smtp, timeout=PATIENCE * 4, source_address=("127.0.0.8", 0)
    ) as owner:
        assert owner.login("mailer", password)[0] == 235
