"""A person's rights, seen from outside: less is kept, for a time only, and erased when asked."""

import json
import threading
from pathlib import Path

import pytest

from clicktrail.ids import new_id, now_us
from clicktrail.model import Click, Identity, Link, Message
from clicktrail.store import Store
from clicktrail.store.clicks import LoggedClick
from clicktrail.store.statistics import Dimensions
from clicktrail.store.streams import NewStreamEvent
from support.service import Service, email_with, hrefs, html_of, wait_for

HTML = '<a href="http://a.example/x?to=Reader%40gmail.com">x</a>'
BROWSER = "OneOfAKind/1.0"


@pytest.mark.parametrize("embedded", [True, False], ids=["embedded", "a process each"])
def test_a_person_is_erased_while_the_service_runs_and_the_links_work_on(
    tmp_path: Path, embedded: bool
) -> None:
    with Service(tmp_path, embedded=embedded) as service:
        name = service.configuration_set()
        link = hrefs(html_of(service.send(email_with(HTML, name))))[0]
        seen = {"User-Agent": BROWSER}
        assert service.request(link, headers=seen).status == 302
        service.wait_for_events(name, 1)
        said = service.cli("recipients", "forget", "reader@GMAIL.com", "--yes")
        assert "1  emails to this address alone" in said
        assert "1  clicks" in said
        assert "1  events" in said
        assert service.request(link, headers=seen).location.endswith("?to=Reader%40gmail.com")  # type: ignore[union-attr]
        for event in service.wait_for_events(name, 2):
            assert list(event["mail"]) == ["messageId"]
            assert (event["click"]["ipAddress"], event["click"]["userAgent"]) == ("", "")
        assert service.wait_for_clicks(name, 2)["clicks"] == 2
        again = service.cli("recipients", "forget", "reader@gmail.com", "--yes")
        assert again == "Nothing is kept of reader@gmail.com.\n"
        found = json.loads(
            service.cli("recipients", "forget", "nobody@x.example", "--yes", "--json")
        )
        assert set(found.values()) == {0, True}
        assert service.stop() == 0
        assert traces(service) == []


def test_a_person_who_clicks_meanwhile_is_erased_all_the_same(tmp_path: Path) -> None:
    with Service(tmp_path) as service:
        name = service.configuration_set()
        link = hrefs(html_of(service.send(email_with(HTML, name))))[0]
        enough = threading.Event()
        answers: list[int] = []

        def click() -> None:
            while not enough.is_set():
                answers.append(service.request(link, headers={"User-Agent": BROWSER}).status)

        clicking = [threading.Thread(target=click) for _ in range(4)]
        for thread in clicking:
            thread.start()
        try:
            service.wait_for_events(name, 20)
            service.cli("recipients", "forget", "reader@gmail.com", "--yes")
            service.wait_for_events(name, len(answers) + 20)
        finally:
            enough.set()
            for thread in clicking:
                thread.join()
        assert set(answers) == {302}
        assert service.wait_for_clicks(name, len(answers))["clicks"] == len(answers)
        # What was on its way, in the journal and in the publisher, did not bring the person back.
        assert service.cli("recipients", "forget", "reader@gmail.com", "--yes").startswith(
            "Nothing"
        )
        service.stop()
        assert traces(service) == []


def traces(service: Service) -> list[tuple[str, bytes]]:
    """Return where the person is still to be found, in any byte of the data folder."""
    return [
        (path.name, trace)
        for path in service.data.rglob("*")
        if path.is_file()
        for trace in (b"reader@gmail.com", b"reader%40gmail.com", BROWSER.lower().encode())
        if trace in path.read_bytes().lower()
    ]


async def test_the_running_service_deletes_what_is_too_old(tmp_path: Path) -> None:
    service = Service(tmp_path, "--retention-clicks", "30", "--retention-events", "off")
    service.data.mkdir()
    store = await Store.open(f"sqlite:///{service.data / 'clicktrail.db'}")
    old = now_us() - 45 * 86_400_000_000
    identity = Identity("the-identity", "example.com")
    for at in (old, now_us()):
        message = Message(new_id(at), at, "a@b.c", ("d@e.f",), identity, links=(Link(0, "x"),))
        await store.messages.add(message)
        click = Click(new_id(at), message.id, 0, "x", at, "192.0.2.1", BROWSER)
        told = (NewStreamEvent("clicks", "1:0", b"{}", at),)
        day = Dimensions("2026-01-01T00", "", "", "")
        await store.clicks.record([LoggedClick(click, day, outgoing=told)])
    with service:
        [line] = wait_for(lambda: service.logged("deleted what was too old") or None, "deletion")
        assert {name: line.get(name) for name in ("messages", "clicks", "events")} == {
            "messages": None,  # 60 days
            "clicks": 1,
            "events": None,  # for ever
        }
    assert len(await store.streams.read("clicks", 0, 10)) == 2
    assert [each.clicks for each in await store.statistics.daily()] == [2]
    await store.close()


def test_settings_keep_less_of_a_click(tmp_path: Path) -> None:
    flags = ("--privacy-ip", "truncate", "--privacy-user-agent", "family")
    with Service(tmp_path, *flags) as service:
        name = service.configuration_set()
        link = hrefs(html_of(service.send(email_with(HTML, name))))[0]
        service.request(link)
        [event] = service.wait_for_events(name, 1)
        assert event["click"]["ipAddress"] == "127.0.0.0"
        assert event["click"]["userAgent"] == "Firefox"
        service.stop()
        stored = (service.data / "clicktrail.db").read_bytes()
        assert b"127.0.0.0" in stored
        assert b"Gecko" not in stored
