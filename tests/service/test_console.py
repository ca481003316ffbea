"""The console of the real service: who is let in, what may be changed, and what is shown."""

import asyncio
import re
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.routing import Mount, Route

from clicktrail.console.app import Console
from clicktrail.store import Store
from support.service import PATIENCE, Service, email_with, hrefs, html_of, wait_for
from support.visitor import PASSWORD, Visitor, account

EVIL = '"><script>alert(1)</script>'
ESCAPED = "&lt;script&gt;alert(1)&lt;/script&gt;"


@pytest.fixture
def stranger(service: Service) -> Iterator[Visitor]:
    with Visitor(service) as visitor:
        yield visitor


async def all_routes(folder: Any) -> list[tuple[str, str]]:
    """Return method and path of every route, its parameters filled in."""
    store = await Store.open(f"sqlite:///{folder}/clicktrail.db")
    found = []
    for route in Console(store).app.routes:
        if isinstance(route, Mount):
            assert route.path in Console.PUBLIC
            continue
        assert isinstance(route, Route)
        for method in sorted((route.methods or set()) - {"HEAD"}):
            if route.path not in Console.PUBLIC:
                found.append((method, re.sub(r"\{\w+\}", "x", route.path)))
    await store.close()
    return found


# Who is let in


def test_without_a_session_every_route_refuses(stranger: Visitor, tmp_path: Any) -> None:
    routes = asyncio.run(all_routes(tmp_path))
    assert len(routes) > 15
    for method, path in routes:
        answer = stranger.client.request(method, path)
        if path == "/live/events" and method == "GET":
            answer = stranger.client.get(path, headers={"Accept": "text/event-stream"})
            assert answer.status_code == 401
            continue
        assert answer.status_code == 303, (method, path)
        assert answer.headers["location"].startswith("/sign-in?next="), path


def test_a_viewer_looks_at_everything_and_changes_nothing(
    service: Service, viewer: Visitor, tmp_path: Any
) -> None:
    before = service.cli("configuration-set", "list", "--json")
    for method, path in asyncio.run(all_routes(tmp_path)):
        if method == "GET":
            if path != "/live/events":  # it does not end
                assert viewer.get(path).status_code in (200, 404), path
        elif path not in ("/sign-out", "/templates/x/render"):  # to try one changes nothing
            answer = viewer.post(path, {"name": "made-by-viewer"})
            assert answer.status_code == 403, path
            assert "Only administrators" in answer.text
    assert service.cli("configuration-set", "list", "--json") == before


def test_a_form_of_another_site_does_nothing(service: Service, admin: Visitor) -> None:
    for headers in (
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://["},
    ):
        answer = admin.post("/configurations", {"name": "never"}, **headers)
        assert answer.status_code == 403
    for csrf in ("", "0" * 64, "\u00fc"):
        answer = admin.client.post("/configurations", data={"name": "never", "csrf": csrf})
        assert answer.status_code == 403
    assert '"never"' not in service.cli("configuration-set", "list", "--json")


def test_signing_in_and_out(service: Service, stranger: Visitor) -> None:
    stranger.welcome(account(service, "in and out"))
    stranger.client.cookies.clear()
    answer = stranger.client.post(
        "/sign-in?next=%2Fmessages", data={"name": "in and out", "password": PASSWORD}
    )
    assert (answer.status_code, answer.headers["location"]) == (303, "/messages")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    kept = dict(stranger.client.cookies)
    assert stranger.get("/").status_code == 200
    assert stranger.post("/sign-out").headers["location"] == "/sign-in"
    stranger.client.cookies.update(kept)  # who has kept the cookie is out as well
    assert stranger.get("/").status_code == 303


@pytest.mark.parametrize("target", ["https://evil.example", "//evil.example", "/\\evil.example"])
def test_signing_in_leads_nowhere_else(service: Service, stranger: Visitor, target: str) -> None:
    name = f"redirected {target[:8]}"
    stranger.welcome(account(service, name))
    answer = stranger.client.post(
        "/sign-in", params={"next": target}, data={"name": name, "password": PASSWORD}
    )
    assert (answer.status_code, answer.headers["location"]) == (303, "/")


def test_too_many_wrong_passwords_make_one_wait(service: Service, tmp_path: Any) -> None:
    # A service of its own: all tests come from one address.
    with Service(tmp_path) as own, Visitor(own) as stranger:
        stranger.welcome(account(own, "target"))
        stranger.client.cookies.clear()
        for _ in range(10):
            assert stranger.sign_in("target", "wrong password").status_code == 403
        answer = stranger.sign_in("target")
        assert answer.status_code == 429
        assert 0 < int(answer.headers["retry-after"]) <= 301


def test_a_link_sets_a_password_once(service: Service, stranger: Visitor) -> None:
    token = account(service, "once")
    assert stranger.welcome(token, "short").status_code == 400
    differing = {"password": PASSWORD, "again": PASSWORD + "x"}
    assert stranger.client.post(f"/welcome/{token}", data=differing).status_code == 400
    assert stranger.welcome(token).status_code == 303
    assert stranger.get("/").status_code == 200
    assert stranger.get(f"/welcome/{token}").status_code == 404
    assert stranger.welcome(token).status_code == 404
    assert stranger.get("/welcome/nonsense").status_code == 404


def test_a_new_password_ends_all_sessions(service: Service, stranger: Visitor) -> None:
    stranger.welcome(account(service, "forgetful"))
    assert stranger.get("/").status_code == 200
    token = service.cli("console-user", "link", "forgetful").strip().rpartition("/")[2]
    with Visitor(service) as elsewhere:
        assert elsewhere.welcome(token, "another password").status_code == 303
    assert stranger.get("/").status_code == 303


def test_a_deleted_account_is_out_at_once(service: Service, stranger: Visitor) -> None:
    stranger.welcome(account(service, "leaver"))
    service.cli("console-user", "delete", "leaver", "--yes")
    assert stranger.get("/").status_code == 303
    assert stranger.sign_in("leaver").status_code == 403


def test_the_first_start_prints_a_link_for_the_administrator(tmp_path: Any) -> None:
    with Service(tmp_path) as own, Visitor(own) as first:
        found = re.search(r"/welcome/([\w-]{43})", own.said)
        assert found
        assert first.welcome(found[1]).status_code == 303
        assert "New configuration set" in first.get("/configurations").text
        own.stop()
        own.start()
        assert "/welcome/" not in own.said


def test_every_answer_has_the_security_headers(admin: Visitor, stranger: Visitor) -> None:
    for visitor, path in (
        (stranger, "/sign-in"),
        (stranger, "/"),
        (stranger, "/static/console.css"),
        (stranger, "/static/../app.py"),
        (admin, "/"),
        (admin, "/nothing/here"),
        (admin, "/statistics.csv"),
    ):
        headers = visitor.get(path).headers
        assert "script-src 'self'" in headers["content-security-policy"], path
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
    assert admin.get("/").headers["cache-control"] == "no-store"


# What is changed


def test_a_configuration_set_is_made_explained_changed_and_deleted(
    service: Service, admin: Visitor
) -> None:
    name = f"console-{service.configuration_set(stream=False)}"
    page = f"/configurations/{name}"
    assert admin.post("/configurations", {"name": name}).headers["location"] == page
    assert "Clicks are not tracked" in admin.get(page).text
    saved = admin.post(
        page,
        {"engagement": "on", "redirect_domain": "Go.Example.com", "https_policy": "REQUIRE"},
    )
    assert saved.status_code == 303
    assert "Clicks are counted, nothing is sent." in admin.get(page).text
    assert "Tracking links lead over go.example.com, always https." in admin.get(page).text
    added = admin.post(
        f"{page}/destinations",
        {"name": "d", "kind": "stream", "target": "s", "types": ["CLICK", "SEND"], "enabled": "on"},
    )
    assert added.status_code == 303
    assert "Clicks are counted, and each is sent to d." in admin.get(page).text
    arn = "arn:clicktrail:stream:::s"
    changed = admin.post(
        f"{page}/destinations/d", {"kind": "arn", "target": arn, "types": ["CLICK"]}
    )
    assert changed.status_code == 303
    assert "Switched off" in admin.get(page).text
    assert admin.post(f"{page}/destinations/d/delete").status_code == 303
    assert admin.get(f"{page}/destinations/d").status_code == 404
    assert admin.post(f"{page}/delete").status_code == 303
    assert admin.get(page).status_code == 404


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"name": "d", "kind": "stream", "target": "no/stream"}, "names no built-in stream"),
        ({"name": "d", "kind": "webhook", "target": "ftp://x"}, "names no webhook"),
        (
            {"name": "d", "kind": "webhook", "target": "https://10.0.0.1/", "types": "CLICK"},
            "webhook.allow",
        ),
        ({"name": "d", "kind": "arn", "target": "x"}, "names no event destination"),
        ({"name": "a b", "kind": "stream", "target": "s", "types": "CLICK"}, "not a valid name"),
        ({"name": "d", "kind": "stream", "target": "s"}, "at least one event type"),
    ],
)
def test_what_cannot_be_is_said_on_the_page(
    service: Service, admin: Visitor, form: dict[str, str], said: str
) -> None:
    name = service.configuration_set(stream=False)
    assert said in admin.sent(f"/configurations/{name}/destinations", form).text


def test_who_hangs_up_within_a_form_is_no_error(service: Service) -> None:
    told = len(service.log.read_text())
    for path in ("/sign-in", "/welcome/x"):
        with socket.create_connection(("127.0.0.1", service.console), PATIENCE) as client:
            head = f"POST {path} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
            client.sendall(f"{head}Content-Length: 9999\r\n\r\n".encode())
            assert client.recv(100).startswith(b"HTTP/1.1 100 ")  # the form is being read
            client.sendall(b"name=")
        with Visitor(service) as next_one:  # whose turn comes after that
            assert next_one.get("/sign-in").status_code == 200
    assert '"error"' not in service.log.read_text()[told:]


@pytest.mark.parametrize("number", ["9" * 30, "9" * 5000, "\u0663", "-1", ""])
def test_a_dead_letter_that_cannot_be_is_passed_over(admin: Visitor, number: str) -> None:
    form = {"id": number, "which": "chosen"}
    assert "Nothing is chosen" in admin.sent("/dead-letters/replay", form).text


def test_a_form_that_is_too_large_is_refused(admin: Visitor) -> None:
    assert admin.post("/configurations", {"name": "x" * 70_000}).status_code == 413


# What is shown


def test_clicks_are_shown_and_nothing_of_them_becomes_markup(
    service: Service, admin: Visitor
) -> None:
    name = service.configuration_set()
    url = "http://a.example/?x='\"&gt;&lt;script&gt;alert(1)&lt;/script&gt;".replace('"', "&quot;")
    message = email_with(f'<a href="{url}" postbox:tags="{ESCAPED}:{ESCAPED}">x</a>', name)
    message.replace_header("Subject", EVIL)
    (link,) = hrefs(html_of(service.send(message)))
    service.request(link, headers={"User-Agent": f"Mozilla/5.0 {EVIL}"})
    service.wait_for_events(name, 1)
    row = re.search(r"/messages/([\w-]{21})", admin.get("/messages").text)
    assert row
    pages = {
        path: admin.get(path).text
        for path in (f"/?configuration_set={name}", f"/messages/{row[1]}", "/live")
    }
    for path, text in pages.items():
        assert "<script>alert" not in text, path
        assert "script&gt;alert(1)" in text, path
    evil = admin.get(f"/configurations/{EVIL}")
    assert evil.status_code == 404
    assert "<script>alert" not in evil.text


def test_the_numbers_are_those_of_the_statistics(service: Service, admin: Visitor) -> None:
    name = service.configuration_set()
    links = hrefs(html_of(service.send(email_with('<a href="http://a.example">x</a>', name))))
    for _ in range(3):
        service.request(links[0])
    service.wait_for_clicks(name, 3)
    text = admin.get(f"/?configuration_set={name}").text
    values = re.findall(r'<p class="value">([^<]*)</p>', text)
    assert (values[0], values[2]) == ("1", "3")
    # Less than a second after the email it is no person's, on a machine that was quick enough.
    assert values[1][0] in "01"
    csv = admin.get(f"/statistics.csv?configuration_set={name}").text.splitlines()
    assert csv[0].startswith("day,sent,tracked,clicked_by_people,click_through_rate,clicks,")
    assert len(csv) == 31
    assert csv[-1].split(",")[1:7] == ["1", "1", "0", "0.0", "3", "1"]


@pytest.mark.parametrize(
    "query",
    [
        "since=2020-01-01&until=2026-01-01",
        "since=x&until=y",
        "since=2026-02-01&until=2026-01-01",
        "until=0001-01-01",
        "since=9999-12-31&until=9999-12-31",
    ],
)
def test_any_range_is_answered(admin: Visitor, query: str) -> None:
    assert admin.get(f"/?{query}").status_code == 200
    assert admin.get(f"/statistics.csv?{query}").status_code == 200


def test_clicks_come_live(service: Service, admin: Visitor) -> None:
    name = service.configuration_set()
    link = hrefs(html_of(service.send(email_with('<a href="http://live.example">x</a>', name))))[0]
    with admin.client.stream("GET", "/live/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.iter_lines()
        assert next(lines).startswith(":")
        service.request(link)
        id_ = next(line for line in lines if line.startswith("id: "))
        data = next(line for line in lines if line.startswith("data: "))
    assert re.fullmatch(r"id: [\w-]{21}", id_)
    assert "http://live.example" in data


def test_dead_letters_are_shown_and_tried_again(tmp_path: Any) -> None:
    flags = ("--webhook-allow", "127.0.0.0/8", "--publish-retry-for", "0")
    with Service(tmp_path, *flags) as own, Visitor(own) as admin:
        admin.welcome(account(own, "a", "administrator"))
        name = own.configuration_set(stream=False)
        hook = ("--webhook", "http://127.0.0.1:1/nobody", "--type", "CLICK")
        own.cli("event-destination", "add", name, "hook", *hook)
        own.request(
            hrefs(html_of(own.send(email_with('<a href="http://a.example">x</a>', name))))[0]
        )
        page = wait_for(
            lambda: text if "hook" in (text := admin.get("/dead-letters").text) else None,
            "a dead letter",
        )
        chosen = re.search(r'name="id" value="(\d+)"', page)
        assert chosen
        assert "1 dead" in admin.get(f"/configurations/{name}").text
        assert "were not delivered at once" in page
        form = {"id": chosen[1], "which": "chosen"}
        assert "1 is tried again" in admin.sent("/dead-letters/replay", form).text
        wait_for(
            lambda: len(own.logged("notification not delivered")) >= 2 or None, "another attempt"
        )
