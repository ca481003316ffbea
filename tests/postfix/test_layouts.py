"""Before, after, behind and in front of real Postfix by SMTP, with the lines of docs/postfix.md."""

import re
import smtplib
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from postfix.house import House
from postfix.kinds_of_email import KINDS, Kind
from postfix.kinds_of_email import html as html_email
from support.ports import Ports
from support.postfix import NEEDS_POSTFIX, Sink, example_of, postfix
from support.service import PATIENCE, Service, wait_for

pytestmark = [NEEDS_POSTFIX, pytest.mark.long]

LAYOUTS = ("Before the queue", "After the queue", "Behind Postfix", "In front of Postfix")


class Layout:
    """Postfix and Clicktrail as a section of the page has them; ``port`` is the way in."""

    def __init__(self, name: str, folder: Path, stack: ExitStack) -> None:
        self.name = name
        (submission, back) = stack.enter_context(Ports(2))
        sink = stack.enter_context(Sink())
        smarthost = sink.port if name == "Behind Postfix" else back
        service = Service(folder, smarthost=f"smtp://127.0.0.1:{smarthost}")
        smtp = str(service.smtp)
        lines = services = ""
        match name:
            case "Before the queue":
                given = {"submission": str(submission), "smtp": smtp, "back": str(back)}
                services = example_of(name, "master.cf", **given)
            case "After the queue":
                lines = example_of(name, smtp=smtp)
                services = example_of(name, "master.cf", back=str(back))
            case "Behind Postfix":
                lines = example_of(name, smtp=smtp)
            case _:
                lines = example_of(name)
                services = f"127.0.0.1:{back} inet n - n - - smtpd\n"
        stack.enter_context(service)
        running = stack.enter_context(postfix(sink.port, lines, services))
        self.house = House(service, running, sink, service.configuration_set())
        self.port = {
            "Before the queue": submission,
            "In front of Postfix": service.smtp,
        }.get(name, running.port)
        service.cli("configuration-set", "create", "plain")


@pytest.fixture(scope="module", params=LAYOUTS, ids=lambda name: name.split()[0].lower())
def layout(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Layout]:
    with ExitStack() as stack:
        yield Layout(request.param, tmp_path_factory.mktemp("layout"), stack)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_it_arrives_whole_and_once_and_with_other_links_alone(layout: Layout, kind: Kind) -> None:
    if len(kind.recipients) > 1 and layout.name in ("After the queue", "Behind Postfix"):
        pytest.skip("each recipient gets a copy: see below")
    before_us = layout.name == "Behind Postfix"
    layout.house.check(kind, layout.port, relayed=True, before_us=before_us)


def test_each_copy_is_tracked_where_postfix_makes_copies(layout: Layout) -> None:
    people = ("a@gmail.com", "b@gmail.com", "c@gmail.com")
    kind = Kind("copies", html_email(cte="base64"), recipients=people)
    house = layout.house
    house.hand_in(kind, "copies", layout.port)
    makes_copies = layout.name in ("After the queue", "Behind Postfix")
    number = len(people) if makes_copies else 1
    mark = b"X-Mark: copies\r\n"
    wait_for(lambda: len(house.sink.marked(mark)) == number or None, f"{number} emails")
    got = house.sink.marked(mark)
    assert sorted(person for each in got for person in each.recipients) == list(people)
    links = {each.content.partition(b"\r\n\r\n")[2] for each in got}
    assert len(links) == number  # each has links of its own


def test_what_is_refused_is_told_to_the_sender(layout: Layout) -> None:
    house = layout.house
    raw = html_email(cte="base64").replace(b"{set}", b"nosuch")
    kind = Kind("refused", raw, sender="sender@example.com")
    if layout.name in ("Before the queue", "In front of Postfix"):
        with pytest.raises(smtplib.SMTPDataError) as refused:
            house.hand_in(kind, "refused", layout.port)
        assert refused.value.smtp_code == 554
        assert "there is no configuration set" in str(refused.value)
    else:
        house.hand_in(kind, "refused", layout.port)

        def bounce() -> bool | None:
            found = [e for e in house.sink.emails if e.recipients == ("sender@example.com",)]
            return any(b"there is no configuration" in each.content for each in found) or None

        wait_for(bounce, "a bounce")
    assert not house.sink.marked(b"X-Mark: refused\r\n")


def test_who_gave_the_email_to_postfix_is_known(layout: Layout) -> None:
    house = layout.house
    kind = Kind("who", html_email(cte="base64"), sender="who@example.com")
    house.passed(kind, "who", layout.port)
    if layout.name in ("Before the queue", "After the queue"):
        assert any(
            "Received: from app.test" in each.content.decode("utf-8", "replace")
            for each in house.sink.marked(b"X-Mark: who\r\n")
        )
    line = re.compile(r"client=[^,\n]*.*\n(?:.*\n)*?.*from=<who@example\.com>")
    wait_for(lambda: line.search(house.postfix.log), "a line of Postfix")


def test_delivery_reports_are_made_once(layout: Layout) -> None:
    house = layout.house
    kind = Kind(
        "reported",
        html_email(cte="base64"),
        sender="reported@example.com",
        options=("RET=HDRS", "ENVID=QQ161803"),
        rcpt=("NOTIFY=SUCCESS",),
    )
    house.passed(kind, "reported", layout.port)

    def reports() -> bool | None:
        to_sender = [e for e in house.sink.emails if e.recipients == ("reported@example.com",)]
        return any(b"Action: relayed" in each.content for each in to_sender) or None

    wait_for(reports, "a report of delivery")


def test_killed_while_emails_flow_none_is_lost(layout: Layout) -> None:
    house, number, threads = layout.house, 150, 4
    kind = Kind("flow", html_email(cte="base64"))
    unsure: list[int] = []
    """Those whose sender got no answer to the whole email: it has to send them again."""

    def send(which: int) -> None:
        for each in range(which, number, threads):
            while True:
                try:
                    house.hand_in(kind, f"flow {each}.", layout.port)
                    break
                except smtplib.SMTPDataError as refused:
                    if refused.smtp_code < 500:
                        unsure.append(each)
                except (smtplib.SMTPException, AssertionError, OSError):
                    unsure.append(each)

    def arrived() -> Counter[int]:
        marks = (re.search(rb"X-Mark: flow (\d+)\.", each.content) for each in house.sink.emails)
        return Counter(int(found[1]) for found in marks if found)

    with ThreadPoolExecutor(threads) as pool:
        senders = [pool.submit(send, which) for which in range(threads)]
        for part in (1, 2, 3):
            enough = number * part // 4
            wait_for(lambda: len(arrived()) >= enough or None, f"{enough} emails")  # noqa: B023
            house.service.kill()
            house.service.start()
        for sender in senders:
            sender.result()
    wait_for(lambda: len(arrived()) == number or None, f"{number} emails", 5 * PATIENCE)
    twice = {each for each, count in arrived().items() if count > 1}
    if layout.name in ("Before the queue", "In front of Postfix"):
        assert twice <= set(unsure)
    else:  # Postfix itself is the sender, at most ten at once
        assert len(twice) <= 3 * 20
