"""The set-up guide of the real service: from nothing to a click."""

import re
import smtplib
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.mail_server import MailServer
from support.service import Service, hrefs, html_of, wait_for
from support.visitor import Visitor, account


@pytest.fixture
def server() -> Iterator[MailServer]:
    with MailServer(refuse="nobody@reader.example") as running:
        yield running


@pytest.fixture
def fresh(tmp_path: Path, server: MailServer) -> Iterator[Service]:
    with Service(tmp_path, smarthost=server.url) as service:
        yield service


@pytest.fixture
def admin(fresh: Service) -> Iterator[Visitor]:
    with Visitor(fresh) as visitor:
        found = re.search(r"/welcome/([\w-]+)", fresh.said)
        assert found
        visitor.welcome(found[1])
        yield visitor


def steps(text: str) -> list[bool]:
    """Return which of the guide's steps are done."""
    return [each == "done" for each in re.findall(r'class="hidden">: (done|to do)<', text)]


def test_it_leads_from_nothing_to_a_click(
    fresh: Service, admin: Visitor, server: MailServer
) -> None:
    assert admin.get("/").headers["location"] == "/guide"
    assert steps(admin.get("/guide").text) == [False] * 5
    assert "It can be reached" in admin.sent("/guide/smarthost").text
    assert admin.post("/guide/identity", {"name": "shop.example"}).status_code == 303
    assert admin.post("/guide/identity", {"name": "shop.example"}).status_code == 303
    assert admin.post("/guide/set", {"name": "news"}).status_code == 303
    assert steps(admin.get("/guide").text) == [False, True, True, False, False]
    form = {"sender": "hello@shop.example", "recipient": "me@reader.example", "set": "news"}
    sent = admin.post("/guide/email", form)
    assert sent.status_code == 303, sent.text
    page = sent.headers["location"].partition("#")[0]
    assert steps(admin.get(page).text) == [True, True, True, True, False]
    piece = re.search(r'data-ask="(/guide/click\?email=[\w-]{21})"', admin.get(page).text)
    assert piece
    assert "Waiting for your click" in admin.get(piece[1]).text
    (link,) = hrefs(html_of(server.arrived()))
    answer = fresh.request(link)
    assert answer.location == f"http://127.0.0.1:{fresh.console}/guide"
    arrived = wait_for(
        lambda: t if "Your click is here" in (t := admin.get(piece[1]).text) else None, "the click"
    )
    assert "data-ask" not in arrived, "it ends when the click has come"
    assert steps(admin.get(page).text) == [True] * 5
    text = admin.get("/guide").text  # it is come back to, from the end of every page
    assert steps(text) == [True] * 5
    assert "Your click is here" in text
    assert f"<code>127.0.0.1:{fresh.smtp}</code>" in text
    assert f"<code>http://127.0.0.1:{fresh.api}</code>" in text
    assert '<a href="/guide">Set-up guide</a>' in admin.get("/").text
    assert fresh.wait_for_events("news", 1)[0]["click"]["linkTags"] == {"place": ["guide"]}
    assert admin.get("/").status_code == 200


def test_who_skips_it_sees_the_overview(admin: Visitor) -> None:
    assert admin.post("/guide/skip").headers["location"] == "/"
    assert admin.get("/").status_code == 200
    assert admin.get("/guide").status_code == 200


def test_a_viewer_is_not_led_there_and_can_do_nothing_there(fresh: Service) -> None:
    with Visitor(fresh) as viewer:
        viewer.welcome(account(fresh, "looks"))
        assert viewer.get("/").status_code == 200
        text = viewer.get("/guide").text
        assert "Only administrators" in text
        assert "/guide/identity" not in text
        assert viewer.post("/guide/identity", {"name": "x.example"}).status_code == 403


def test_what_is_wrong_is_said_at_its_step(
    fresh: Service, admin: Visitor, server: MailServer
) -> None:
    for step, said in (("identity", "is not an identity"), ("set", "not a valid name")):
        page = admin.sent(f"/guide/{step}", {"name": "a b"}).text
        assert said in page
        assert 'value="a b"' in page, "what was typed is still there"
    admin.post("/guide/identity", {"name": "shop.example"})
    admin.post("/guide/set", {"name": "news"})
    form = {"sender": "a@shop.example", "recipient": "me@reader.example", "set": "news"}
    for change, said in (
        ({"recipient": "me"}, "is not an address"),
        ({"recipient": "a@b.example, c@d.example"}, "is not an address"),
        ({"recipient": "x@y.example\r\nBcc: z@y.example"}, "control characters"),
        ({"sender": "a@other.example"}, "belongs to no identity"),
        ({"recipient": "nobody@reader.example"}, "nobody here has that name"),
        ({"set": "none"}, "there is no configuration set"),
    ):
        page = admin.sent("/guide/email", form | change).text
        assert said in page, (change, page)
    assert server.emails == []
    assert admin.post("/guide/nothing").status_code == 404
    assert admin.get("/guide?email=x").status_code == 200
    assert admin.get("/guide/click?email=%00").status_code == 200


def test_a_smarthost_that_is_not_there_is_named(tmp_path: Path, port: int) -> None:
    with (
        Service(tmp_path, smarthost=f"smtp://127.0.0.1:{port}") as service,
        Visitor(service) as admin,
    ):
        admin.welcome(account(service, "a", "administrator"))
        page = admin.sent("/guide/smarthost").text
        assert f"127.0.0.1:{port}" in page
        assert "refused" in page
        with smtplib.SMTP("127.0.0.1", service.smtp) as client:
            assert client.noop()[0] == 250
