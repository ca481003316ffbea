"""The person's own will: emails that are not tracked, and clicks that leave no trace."""

import json
import sqlite3
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.command_line import invoke
from support.service import Service, email_with, hrefs, html_of, wait_for
from support.visitor import Visitor

URL = "https://shop.example/sale"
HTML = f'<html><body><a href="{URL}">x</a></body></html>'
_numbers = count()


@pytest.fixture
def person() -> str:
    """An address that no other test uses, and a domain of its own."""
    return f"anna{next(_numbers)}@person{next(_numbers)}.example"


def sent(service: Service, name: str, *to: str, **headers: str) -> str:
    """Send an email; return its only link, tracked or not."""
    message = email_with(HTML, name)
    for header, value in headers.items():
        message[header.replace("_", "-")] = value
    [link] = hrefs(html_of(service.send(message, to)))
    return link


def last_reason(service: Service) -> str:
    with closing(sqlite3.connect(service.data / "clicktrail.db")) as store:
        [reason] = store.execute("SELECT reason FROM messages ORDER BY id DESC LIMIT 1").fetchone()
    return str(reason)


def metrics(service: Service) -> dict[str, float]:
    found = httpx.get(f"http://127.0.0.1:{service.monitor}/metrics").text.splitlines()
    pairs = (line.rpartition(" ") for line in found if not line.startswith("#"))
    return {name: float(value) for name, _, value in pairs}


def wait_until_untold(service: Service, link: str) -> None:
    """Return when the redirect logs no click on a link any more."""
    name = "clicktrail_clicks_total"

    def look() -> bool | None:
        before = metrics(service)[name]
        assert service.request(link).location == URL
        return metrics(service)[name] == before or None

    wait_for(look, "a click that is not logged")


@pytest.mark.parametrize("whole_domain", [False, True])
def test_who_is_on_the_list_gets_emails_untracked_and_leaves_no_click(
    service: Service, person: str, whole_domain: bool
) -> None:
    name = service.configuration_set(types=("CLICK", "OPEN"))
    entry = "@" + person.partition("@")[2].upper() if whole_domain else person.upper()
    link, other = sent(service, name, person), sent(service, name, "reader@gmail.com")
    service.request(link)
    service.wait_for_events(name, 1)
    service.cli("recipients", "do-not-track", "add", entry)
    assert sent(service, name, person) == URL
    assert last_reason(service) == "recipient"
    assert sent(service, name, "reader@gmail.com") != URL
    wait_until_untold(service, link)
    for _ in range(3):
        assert service.request(link).location == URL
    service.request(other)
    events = service.wait_for_events(name, 2)
    assert [event["mail"]["destination"] for event in events] == [[person], ["reader@gmail.com"]]
    assert service.statistics("--configuration-set", name)["clicks"] == 2
    listed = json.loads(service.cli("recipients", "do-not-track", "list", "--json"))
    assert entry.lower() in [each["entry"] for each in listed]
    service.cli("recipients", "do-not-track", "remove", entry)
    assert sent(service, name, person) != URL

    def counted() -> bool | None:
        service.request(link)
        return service.statistics("--configuration-set", name)["clicks"] > 2 or None

    wait_for(counted, "clicks that are logged again")


def test_an_open_of_who_is_on_the_list_leaves_no_trace(service: Service, person: str) -> None:
    name = service.configuration_set(types=("OPEN",))
    html = html_of(service.send(email_with(HTML, name), [person]))
    image = html[html.index("https://", html.index("<img")) :].partition('"')[0]
    service.cli("recipients", "do-not-track", "add", person)

    def look() -> bool | None:
        before = metrics(service)["clicktrail_opens_total"]
        answer = service.request(image)
        assert (answer.status, answer.body[:3]) == (200, b"GIF")
        return metrics(service)["clicktrail_opens_total"] == before or None

    wait_for(look, "an open that is not logged")
    assert service.events(name) == []  # publishers left out what came before


def test_the_header_allows_less_for_one_email(service: Service) -> None:
    name = service.configuration_set(types=("CLICK", "OPEN"))
    wanted = {
        None: (True, True),
        "no": (False, False),
        "Clicks": (True, False),
        "opens": (False, True),
    }
    for value, (clicks, opens) in wanted.items():
        message = email_with(HTML, name)
        if value:
            message["X-Clicktrail-Track"] = value
        raw = service.send(message)
        assert b"X-Clicktrail-Track" not in raw
        assert ("/c/" in html_of(raw), "/o/" in html_of(raw)) == (clicks, opens), value
    assert sent(service, name, "a@b.example", X_Clicktrail_Track="yes") == URL


def test_the_header_turns_nothing_on(service: Service) -> None:
    name = service.configuration_set(types=("OPEN",))
    assert sent(service, name, "a@b.example", X_Clicktrail_Track="clicks") == URL


def test_the_api_and_the_console_keep_the_list(
    service: Service, admin: Visitor, viewer: Visitor, person: str
) -> None:
    token = (service.data / "api-token").read_text().strip()
    with httpx.Client(
        base_url=f"http://127.0.0.1:{service.api}", headers={"Authorization": f"Bearer {token}"}
    ) as api:

        def listed() -> list[dict[str, Any]]:
            answer = api.get("/v1/do-not-track").json()
            assert answer["next"] is None
            return [e for e in answer["entries"] if e["entry"] == person]

        assert api.put(f"/v1/do-not-track/{person.upper()}").json() == {"entry": person}
        assert [each["madeBy"] for each in listed()] == ["API"]
        assert person in viewer.get("/do-not-track").text
        assert "may be tracked again" in admin.sent("/do-not-track/remove", {"entry": person}).text
        assert listed() == []
        assert api.delete(f"/v1/do-not-track/{person}").status_code == 404
        assert "not an address" in api.put("/v1/do-not-track/nobody").json()["message"]
        assert "will not be tracked" in admin.sent("/do-not-track", {"entry": person}).text
        assert [each["madeBy"] for each in listed()] == ["test administrator"]
        assert "is not an address" in admin.sent("/do-not-track", {"entry": "nobody"}).text
        assert api.delete(f"/v1/do-not-track/{person}").status_code == 200
        assert httpx.get(f"{api.base_url}/v1/do-not-track").status_code == 401


def test_many_are_added_from_standard_input_and_an_erased_person_stays_on_it(
    service: Service, person: str
) -> None:
    words = ["recipients", "do-not-track", "add", "-", "--data", str(service.data)]
    done = invoke(words, b"one@many.example\n\n@many2.example\n" + person.encode())
    assert "3 will not be tracked" in done.stdout
    assert invoke(words, b"one@many.example\n").stdout.startswith("1 will not be tracked")
    assert invoke(words, b"ok@many3.example\nnobody\n").exit_code == 1
    name = service.configuration_set()
    service.cli("recipients", "forget", person, "--yes")
    listed = json.loads(service.cli("recipients", "do-not-track", "list", "--json"))
    entries = [each["entry"] for each in listed]
    assert {"one@many.example", "@many2.example"} <= set(entries)
    assert person not in entries
    assert "ok@many3.example" not in entries  # all or none
    assert sent(service, name, person) == URL
    assert sent(service, name, "x@sub.many2.example") != URL  # a domain, and none below it


def test_changes_of_who_is_tracked_hold_for_a_store_anew(service: Service, person: str) -> None:
    name = service.configuration_set()
    link = sent(service, name, person)
    service.cli("recipients", "do-not-track", "add", person)
    wait_until_untold(service, link)
    service.stop()
    service.start()
    before = metrics(service).get("clicktrail_clicks_total", 0)
    assert service.request(link).location == URL
    assert metrics(service).get("clicktrail_clicks_total", 0) == before
    assert Path(service.data / "orders").stat().st_mode & 0o77 == 0
