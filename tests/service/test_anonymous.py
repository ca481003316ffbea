"""Anonymous configuration sets: clicks are counted, and nobody is known."""

import json
from pathlib import Path
from typing import Any

import pytest

from clicktrail.keys.ringfile import KeyFile
from clicktrail.model.anonymous import is_anonymous
from support.service import BROWSER, Service, email_with, hrefs, html_of, wait_for

URL = "https://shop.example/sale"
HTML = f'<html><body><a href="{URL}" postbox:tags="place:top">x</a></body></html>'
TYPES = ("CLICK", "OPEN", "SEND")
PEOPLE = ("anna.person@gmail.com", "berta.person@gmail.com", "carla.person@mail.ru")
ADDRESS = "203.0.113.77"


@pytest.fixture
def service(tmp_path: Path) -> Any:
    """A service of its own: all that it keeps is looked through."""
    with Service(tmp_path, "--redirect-trusted-proxies", "127.0.0.1") as running:
        yield running


def image_of(html: str) -> str:
    return html[html.index("https://", html.index("<img")) :].partition('"')[0]


def kept(service: Service, *texts: str) -> set[str]:
    """Return which texts are in any file of the data folder."""
    files = [path for path in service.data.rglob("*") if path.is_file()]
    return {t for path in files for t in texts if t.encode() in path.read_bytes()}


def test_clicks_of_an_anonymous_set_are_of_nobody(service: Service) -> None:
    name = service.configuration_set(types=TYPES)
    before = html_of(service.send(email_with(HTML, name), [PEOPLE[0]]))
    service.cli("configuration-set", "update", name, "--anonymous")
    assert json.loads(service.cli("configuration-set", "show", name, "--json"))["anonymous"]
    mails = [html_of(service.send(email_with(HTML, name), [each])) for each in PEOPLE]
    links = [hrefs(html)[0] for html in mails]
    # Nothing tells the emails of one provider and day apart.
    assert links[0] == links[1] != links[2]
    assert image_of(mails[0]) == image_of(mails[1])
    opened = json.loads(service.cli("link", "open", links[0], "--json"))
    assert opened["url"] == URL
    assert opened["messageId"] is None
    assert "recipient" not in opened
    ring = KeyFile(service.data / "keys.json")
    assert is_anonymous(ring.open(links[0].rpartition("/")[2]).message_id)
    agent = f"{BROWSER} telling-agent"
    headers = {"X-Forwarded-For": ADDRESS, "User-Agent": agent}
    for link in (*links, hrefs(before)[0]):
        assert service.request(link, headers=headers).location == URL
    for html in (mails[0], before):
        assert service.request(image_of(html), headers=headers).status == 200
    service.request(links[0], "HEAD", headers=headers)
    events = service.wait_for_events(name, 4 + 4 + 2)  # Send, Click, Open
    for event in events[1:]:  # the first Send event may have gone out before
        assert event["mail"] == {"messageId": "", "tags": {"ses:configuration-set": [name]}}
    clicks = [event["click"] for event in events if event["eventType"] == "Click"]
    assert len(clicks) == 4
    for each in [*clicks, *(e["open"] for e in events if e["eventType"] == "Open")]:
        assert (each["ipAddress"], each["userAgent"]) == ("", "")
    assert {each["url"] for each in clicks} == {URL}
    assert {each["bot"]["verdict"] for each in clicks} <= {"human", "suspect"}
    assert service.wait_for_clicks(name, 4)["clicks"] == 4
    by_provider = {
        provider: service.statistics("--configuration-set", name, "--provider", provider)["clicks"]
        for provider in ("Google", "Mail.Ru Group", "Other")
    }
    assert by_provider == {"Google": 3, "Mail.Ru Group": 1, "Other": 0}
    service.stop()
    # The link that was sealed before the set was anonymous has been in the journal, and is gone.
    assert kept(service, ADDRESS, "telling-agent") == set()
    assert kept(service, PEOPLE[0]) != set()  # the email itself is known, and who got it


def test_neither_address_nor_user_agent_reaches_the_journal(service: Service) -> None:
    name = service.configuration_set()
    service.cli("configuration-set", "update", name, "--anonymous")
    [link] = hrefs(html_of(service.send(email_with(HTML, name), [PEOPLE[0]])))
    service.stop()
    flags = ("--role", "redirect", "--redirect-trusted-proxies", "127.0.0.1")
    with Service(service.folder, *flags) as redirect:
        headers = {"X-Forwarded-For": ADDRESS, "User-Agent": "telling-agent"}
        assert redirect.request(link, headers=headers).location == URL
        journal = b"".join(p.read_bytes() for p in redirect.data.glob("journal.db*"))
        assert b"shop.example" in journal
        assert ADDRESS.encode() not in journal
        assert b"telling-agent" not in journal


def test_links_of_anonymous_sets_can_be_changed_by_set_and_day(service: Service) -> None:
    name = service.configuration_set()
    service.cli("configuration-set", "update", name, "--anonymous")
    [link] = hrefs(html_of(service.send(email_with(HTML, name), [PEOPLE[0]])))
    words = ("--configuration-set", name, "--since", "1d")
    service.cli("link", "replace", URL, "https://new.example/", *words)
    leads = "https://new.example/"
    wait_for(lambda: service.request(link, "HEAD").location == leads or None, "it elsewhere")
