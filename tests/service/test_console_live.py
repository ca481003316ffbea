"""Live clicks of the real service are for those who are signed in, and for no longer."""

import contextlib
import sqlite3
from collections.abc import Callable, Iterator

import pytest

from support.service import Service, email_with, hrefs, html_of
from support.visitor import PASSWORD, Visitor, account


def is_deleted(service: Service, name: str, _: Visitor) -> None:
    service.cli("console-user", "delete", name, "--yes")


def signs_out(_: Service, __: str, visitor: Visitor) -> None:
    assert visitor.post("/sign-out").headers["location"] == "/sign-in"


def sets_a_new_password(service: Service, name: str, _: Visitor) -> None:
    token = service.cli("console-user", "link", name).strip().rpartition("/")[2]
    with Visitor(service) as elsewhere:
        assert elsewhere.welcome(token, "another password").status_code == 303


def is_signed_in_for_too_long(service: Service, name: str, _: Visitor) -> None:
    with contextlib.closing(sqlite3.connect(service.data / "clicktrail.db")) as store, store:
        store.execute("update console_sessions set expires_at = 1 where account = ?", [name])


@pytest.fixture
def stranger(service: Service) -> Iterator[Visitor]:
    with Visitor(service) as visitor:
        yield visitor


@pytest.mark.parametrize(
    "event", [is_deleted, signs_out, sets_a_new_password, is_signed_in_for_too_long]
)
def test_an_open_stream_ends_with_its_session(
    service: Service, stranger: Visitor, event: Callable[[Service, str, Visitor], None]
) -> None:
    set_name, name = service.configuration_set(), event.__name__
    url = f"http://{name.replace('_', '-')}.example"
    (link,) = hrefs(html_of(service.send(email_with(f'<a href="{url}">x</a>', set_name))))
    stranger.welcome(account(service, name))
    with stranger.client.stream("GET", "/live/events") as answer:
        lines = answer.iter_lines()
        assert next(lines).startswith(":")
        event(service, name, stranger)
        service.request(link)
        for line in lines:  # it ends
            assert url not in line
    assert stranger.get("/live").status_code == 303


def test_other_sessions_of_the_account_go_on(service: Service, stranger: Visitor) -> None:
    set_name = service.configuration_set()
    (link,) = hrefs(html_of(service.send(email_with('<a href="http://b.example">x</a>', set_name))))
    stranger.welcome(account(service, "in twice"))
    with Visitor(service) as elsewhere:
        assert elsewhere.sign_in("in twice", PASSWORD).status_code == 303
        with elsewhere.client.stream("GET", "/live/events") as answer:
            lines = answer.iter_lines()
            assert next(lines).startswith(":")
            signs_out(service, "", stranger)
            service.request(link)
            assert "http://b.example" in next(line for line in lines if line.startswith("data: "))
