"""A person's rights, seen from outside: less is kept, for a time only, and erased when asked."""

import json
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from clicktrail.base.ids import new_id, now_us
from clicktrail.keys.orders import OrdersCopy
from clicktrail.keys.ringfile import KeyFile
from clicktrail.model import Click, Identity, Link, LinkChange, Message, Orders
from clicktrail.store import Store
from clicktrail.store.clicks.clicks import LoggedClick
from clicktrail.store.clicks.statistics import Dimensions
from clicktrail.store.clicks.streams import NewStreamEvent
from support.hook import Hook
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
        assert found.pop("damaged_files") == []
        assert set(found.values()) == {0, True}
        assert traces(service) == []  # the processes have all files open
        assert service.stop() == 0
        assert traces(service) == []


@pytest.mark.parametrize("embedded", [True, False], ids=["embedded", "a process each"])
def test_what_settings_keep_back_is_soon_in_no_file(tmp_path: Path, embedded: bool) -> None:
    flags = ("--privacy-ip", "none", "--privacy-user-agent", "none")
    address = "2001:db8:77::1234:abcd"
    seen = {"User-Agent": BROWSER, "X-Forwarded-For": address}
    trusted = ("--redirect-trusted-proxies", "127.0.0.0/8")
    with Service(tmp_path, *flags, *trusted, embedded=embedded) as service:
        name = service.configuration_set()
        link = hrefs(html_of(service.send(email_with(HTML, name))))[0]
        for number in range(1, 301):  # some pages
            assert service.request(link, headers=seen).status == 302
            if number in (1, 300):
                service.wait_for_events(name, number)
        marks = (address.encode(), BROWSER.lower().encode())
        # While all processes have the files open.
        wait_for(lambda: not traces(service, marks) or None, "end of the last trace", 60)
        assert service.wait_for_clicks(name, 300)["clicks"] == 300


@pytest.mark.parametrize("embedded", [True, False], ids=["embedded", "a process each"])
def test_a_notification_that_was_delivered_is_soon_in_no_file(
    tmp_path: Path, embedded: bool
) -> None:
    with (
        Hook() as hook,
        Service(tmp_path, "--webhook-allow", "127.0.0.0/8", embedded=embedded) as service,
    ):
        name = service.configuration_set(stream=False)
        service.cli(
            "event-destination", "add", name, "hook", "--webhook", hook.url, "--type", "CLICK"
        )
        link = hrefs(html_of(service.send(email_with(HTML, name))))[0]
        service.request(link, headers={"User-Agent": BROWSER})
        wait_for(lambda: hook.calls or None, "delivery")
        # As long as the email and the click are kept the person is there; the event is not.
        wait_for(lambda: not traces(service, (b'"eventtype"',)) or None, "end of the event", 60)


def test_a_person_is_erased_from_the_log_while_others_click_without_a_pause(
    tmp_path: Path,
) -> None:
    with Service(tmp_path, embedded=False) as service:
        name = service.configuration_set()
        link = hrefs(html_of(service.send(email_with(HTML, name))))[0]
        other = hrefs(html_of(service.send(email_with("<a href=http://b.example/>x</a>", name))))
        service.request(link, headers={"User-Agent": BROWSER})
        service.wait_for_events(name, 1)
        enough = threading.Event()

        def click() -> None:
            while not enough.is_set():
                assert service.request(other[0]).status == 302

        clicking = threading.Thread(target=click)
        clicking.start()
        try:
            said = service.cli("recipients", "forget", "reader@gmail.com", "--yes")
            assert "clicktrail.db-wal" not in said
            assert "wait in journal.db" not in said
            assert traces(service) == []
        finally:
            enough.set()
            clicking.join()


def test_forgetting_names_what_it_could_not_search(tmp_path: Path) -> None:
    service = Service(tmp_path)
    with service:
        name = service.configuration_set()
        link = hrefs(html_of(service.send(email_with(HTML, name))))[0]
    damaged = service.data / "spool" / "x.spool.damaged"
    damaged.parent.mkdir(exist_ok=True)
    damaged.write_bytes(b"reader@gmail.com")
    # A copy that nobody renews, of a change that names the person.
    service.cli("link", "replace", "http://a.example/x?to=Reader%40gmail.com", "http://b.example/")
    copied = OrdersCopy(service.data)
    copied.write(Orders("before", (LinkChange("1", "http://a.example/?reader@gmail.com", ""),)))
    # A click that nobody counts.
    with Service(tmp_path, "--role", "redirect", embedded=False) as alone:
        assert alone.request(link, headers={"User-Agent": BROWSER}).status == 302
    said = service.cli("recipients", "forget", "reader@gmail.com", "--yes")
    assert f"{damaged} was set aside" in said
    assert "wait in journal.db" in said
    assert "orders" not in {file for file, _ in traces(service)}
    with service:
        wait_for(lambda: service.statistics()["clicks"] or None, "click that is counted")
        said = service.cli("recipients", "forget", "reader@gmail.com", "--yes")
        assert "wait in journal.db" not in said
        assert {file for file, _ in traces(service)} == {damaged.name}


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


PERSON = (b"reader@gmail.com", b"reader%40gmail.com", BROWSER.lower().encode())


def traces(service: Service, marks: Sequence[bytes] = PERSON) -> list[tuple[str, bytes]]:
    """Return where marks are still to be found, in any byte of the data folder."""
    return [
        (path.name, trace)
        for path in service.data.rglob("*")
        if path.is_file()
        for content in (contents(path),)
        for trace in marks
        if trace in content
    ]


def contents(path: Path) -> bytes:
    """Return a file's bytes in lower case; none where it is gone by now.

    Read by another process: closing a file drops the locks that SQLite holds on it in this one.
    """
    return subprocess.run(["cat", path], capture_output=True).stdout.lower()


async def test_the_running_service_deletes_what_is_too_old(tmp_path: Path) -> None:
    service = Service(tmp_path, "--retention-clicks", "30", "--retention-events", "off")
    service.data.mkdir()
    KeyFile(service.data / "keys.json").create_if_missing()
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
