"""What is kept of a person's address and browser."""

import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest

from clicktrail.base.ids import now_us
from clicktrail.model import OPEN_LINK, EventType, MessageState
from clicktrail.publish.privacy import Privacy, family, truncated
from clicktrail.publish.publisher import Publisher
from support.counting import counted
from support.publishing import BROWSER, House, click, to_stream


@pytest.mark.parametrize(
    ("ip", "network"),
    [
        ("192.0.2.129", "192.0.2.0"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1::"),
        ("::ffff:192.0.2.129", "192.0.2.0"),
        ("fe80::1%eth0", "fe80::"),
        ("unknown", ""),
        ("", ""),
    ],
)
def test_an_address_is_cut_to_its_network(ip: str, network: str) -> None:
    assert truncated(ip) == network


@pytest.mark.parametrize(
    ("user_agent", "name"),
    [
        (BROWSER, "Firefox"),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15"
            " (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1",
            "Mobile Safari",
        ),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko)"
            " Chrome/120.0.0.0 Safari/537.36",
            "Chrome",
        ),
        ("anna@example.com", ""),
        ("something of my own", ""),
        ("", ""),
        ("Mozilla/5.0 " * 100_000, ""),
    ],
)
def test_a_browser_is_cut_to_its_family(user_agent: str, name: str) -> None:
    assert family(user_agent) == name


@pytest.mark.parametrize("is_known", [True, False])
async def test_nobody_is_kept_of_an_anonymous_set(house: House, is_known: bool) -> None:
    await house.configuration_set("news", to_stream("clicks", EventType.CLICK, EventType.OPEN))
    await house.store.configuration.update_set("news", rules={"anonymous": True})
    message = await house.message()
    if not is_known:  # it is older than `retention.messages`
        await house.store.messages.finish(
            message.id, MessageState.SENT, message.recipients, message.accepted_at
        )
        assert await house.store.messages.forget(now_us()) == 1
    opened = replace(click(message), link=OPEN_LINK, url="")
    await house.journal.append(click(message, ip="192.0.2.129"), opened)
    assert await house.publish() == 2
    for event in await house.events():
        assert event["mail"] == {"messageId": "", "tags": {"ses:configuration-set": ["news"]}}
        told = event.get("click") or event["open"]
        assert (told["ipAddress"], told["userAgent"]) == ("", "")
    with closing(sqlite3.connect(house.url.removeprefix("sqlite:///"))) as connection:
        query = "SELECT ip, user_agent FROM clicks UNION ALL SELECT ip, user_agent FROM opens"
        assert connection.execute(query).fetchall() == [("", "")] * 2


async def test_the_whole_is_judged_and_a_part_is_kept_and_told(house: House) -> None:
    await house.configuration_set("news", to_stream())
    message = await house.message()
    machine = "curl/8.5.0"
    await house.journal.append(
        click(message, ip="192.0.2.129", user_agent=BROWSER),
        click(message, ip="192.0.2.130", user_agent=machine),
    )
    privacy = Privacy("truncate", "none")
    publisher = Publisher(house.journal, house.store, house.deliverer(), privacy)
    assert await publisher.publish(await house.journal.read(10, 0)) == 2
    told = [event["click"] for event in await house.events()]
    assert [(each["ipAddress"], each["userAgent"]) for each in told] == [("192.0.2.0", "")] * 2
    assert sorted(each["bot"]["verdict"] for each in told) == ["human", "machine"]
    with closing(sqlite3.connect(house.url.removeprefix("sqlite:///"))) as connection:
        kept = connection.execute("SELECT ip, user_agent FROM clicks").fetchall()
    assert kept == [("192.0.2.0", "")] * 2


async def test_a_burst_is_seen_although_no_address_is_kept(house: House) -> None:
    await house.configuration_set("news", to_stream())
    message = await house.message()
    made = [click(message, link, ip="192.0.2.129") for link in range(3)]
    publisher = Publisher(house.journal, house.store, house.deliverer(), Privacy("none", "family"))
    for each in made:  # in batches of their own, so that verdicts are corrected later
        await house.journal.append(each)
        await publisher.publish(await house.journal.read(10, 0))
    day = await counted(house.store)
    assert (day.clicks, day.human_clicks) == (3, 0)
    assert {event["click"]["userAgent"] for event in await house.events()} == {"Firefox"}
    assert {event["click"]["ipAddress"] for event in await house.events()} == {""}
