"""Gateways that open one link in each of many emails, and people who come from one address.

Whatever the order and the publishers, each click has in the end the verdict that it would have if
all had come at once; also where the clicks that acquit people come last.
"""

import random
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Connection, func, select, update

from clicktrail.base.ids import ID_LENGTH, new_id, now_us
from clicktrail.journal import Entry
from clicktrail.journal.memory import MemoryJournal
from clicktrail.model import Click, EventDestination, EventType
from clicktrail.model.thresholds import read_thresholds
from clicktrail.publish.privacy import Privacy
from clicktrail.publish.publisher import Publisher
from clicktrail.publish.retention import DAY, Periods, Retention
from clicktrail.publish.visitor_verdict.gateways import network_of
from clicktrail.store import Store
from clicktrail.store.clicks.clicks import RECENT as RECENT_OF_LINK
from clicktrail.store.clicks.judging.crowds import RECENT, RECORD, _leave
from clicktrail.store.clicks.judging.evidence import RECENT as RECENT_OF_EMAIL
from clicktrail.store.clicks.tables import clicks, crowd_findings, crowds, evidence
from clicktrail.store.database.bulk import BulkInsert
from support.crowds import FOUND, PEOPLE, Crowd, accepted, clicks_of_crowd, clicks_of_crowds, over
from support.patterns import HUMAN, check, verdicts
from support.publishing import HOUR, House, Receiver, to_stream

QUICK = Crowd(over(12, 4, 90))
"""A gateway."""


@pytest.fixture
async def house(store_url: str) -> AsyncIterator[House]:
    store = await Store.open(store_url)
    made = House(store_url, store, MemoryJournal(), Receiver())
    changes = EventDestination(
        "changes", "arn:clicktrail:stream:::changes", frozenset({EventType.VERDICT_CHANGED})
    )
    await made.configuration_set("news", to_stream(), changes)
    yield made
    await store.close()


def publisher(house: House, privacy: Privacy | None = None) -> Publisher:
    return Publisher(house.journal, house.store, house.deliverer(), privacy)


async def publish(to: Publisher, made: list[tuple[Click, str]]) -> None:
    await to.publish([Entry(place, each) for place, (each, _) in enumerate(made)])


async def rows(store: Store, table: Any) -> list[Any]:
    return [*await store._database.read(lambda c: c.execute(select(table)).all())]


@pytest.mark.parametrize("order", ["of time", "by chance"])
async def test_crowds(house: House, order: str) -> None:
    """In batches by two publishers in turns, which have nothing in memory."""
    made = await clicks_of_crowds(house.message)
    made.sort(key=lambda each: each[0].event_id)
    if order == "by chance":
        random.Random(1).shuffle(made)
    for start in range(0, len(made), 15):
        await publish(publisher(house), made[start : start + 15])
    await check(house.store, made)
    assert await rows(house.store, crowd_findings) == []


async def test_at_once(house: House) -> None:
    made = await clicks_of_crowd(QUICK, house.message, accepted())
    await publish(publisher(house), made)
    await check(house.store, made)
    told = await house.events()
    assert {event["click"]["bot"]["verdict"] for event in told} == {"suspect"}
    assert await house.events("changes") == []  # nobody had heard another verdict


async def test_people_are_acquitted_by_those_who_read_later(house: House) -> None:
    """What was counted of people is counted again, and who listens hears of both."""
    crowd = PEOPLE["an office of one browser that opens the first link"]
    made = await clicks_of_crowd(crowd, house.message, accepted())
    ours = publisher(house)
    soon = [each for each, delay in zip(made, crowd.delays, strict=True) if delay < 500]
    await publish(ours, soon)
    assert {*(await verdicts(house.store)).values()} == {FOUND}
    await publish(ours, made[len(soon) :])
    await check(house.store, made)
    told = [
        (event["verdictChanged"]["previousVerdict"], event["click"]["bot"]["verdict"])
        for event in await house.events("changes")
    ]
    assert told == [("suspect", "human")] * len(soon)


async def test_a_gateway_that_did_more(house: House) -> None:
    """Of a click that has other reasons, too, these stay."""
    made = await clicks_of_crowd(QUICK, house.message, accepted())
    first = made[0][0]
    at = first.clicked_at + 1_000_000
    beside = replace(first, event_id=new_id(at), clicked_at=at, link=1)
    twice = "machine gateway burst"
    expected = [(first, twice), *made[1:], (beside, twice)]
    for each in reversed(expected):
        await publish(publisher(house), [each])
    assert await verdicts(house.store) == {each.event_id: told for each, told in expected}


async def test_what_is_not_remembered_any_more_is_not_taken_back(house: House) -> None:
    """Of a burst that later clicks pushed out, when its network is found and acquitted."""
    crowd = PEOPLE["an office of one browser that opens the first link"]
    made = await clicks_of_crowd(crowd, house.message, accepted())
    soon = [each for each, delay in zip(made, crowd.delays, strict=True) if delay < 500]
    first = soon[0][0]
    later = [first.clicked_at - 1_000_000] + [
        first.clicked_at + HOUR + n * 60_000_000 for n in range(RECENT_OF_EMAIL - 1)
    ]
    partner, *others = (
        replace(first, event_id=new_id(at), clicked_at=at, link=1, ip="198.51.100.9")
        for at in later
    )
    both = "suspect burst"
    await publish(publisher(house), [(partner, ""), soon[0], *((each, "") for each in others)])
    assert (await verdicts(house.store))[first.event_id] == both
    await publish(publisher(house), soon[1:])
    assert (await verdicts(house.store))[soon[1][0].event_id] == FOUND
    await publish(publisher(house), made[len(soon) :])
    told = {each.event_id: expected for each, expected in made}
    told |= dict.fromkeys((each.event_id for each in others), HUMAN)
    told |= dict.fromkeys((first.event_id, partner.event_id), both)
    assert await verdicts(house.store) == told


@pytest.mark.parametrize(
    ("thresholds", "expected"),
    [
        ("gateway=0", HUMAN),
        ("gateway=13", HUMAN),
        ("gateway=12", FOUND),
        ("suspect=2", "human gateway"),
    ],
)
async def test_a_configuration_set_says_of_how_many(
    house: House, thresholds: str, expected: str
) -> None:
    rules = {"thresholds": read_thresholds(thresholds)}
    await house.store.configuration.update_set("news", rules=rules)
    made = await clicks_of_crowd(QUICK, house.message, accepted())
    for each in made:
        await publish(publisher(house), [each])
    await check(house.store, [(each, expected) for each, _ in made])


@pytest.mark.parametrize(("ip", "expected"), [("none", HUMAN), ("truncate", FOUND)])
async def test_an_address_that_is_not_kept_is_no_evidence(
    house: House, ip: str, expected: str
) -> None:
    made = await clicks_of_crowd(QUICK, house.message, accepted())
    await publish(publisher(house, Privacy(ip, "full")), made)
    await check(house.store, [(each, expected) for each, _ in made])
    assert len(await rows(house.store, crowds)) == (expected == FOUND)


async def test_nothing_is_remembered_of_an_anonymous_set(house: House) -> None:
    await house.store.configuration.update_set("news", rules={"anonymous": True})
    made = await clicks_of_crowd(QUICK, house.message, accepted())
    await publish(publisher(house), made)
    assert await rows(house.store, crowds) == []


async def test_who_is_erased_is_in_no_crowd(house: House) -> None:
    made = await clicks_of_crowd(QUICK, house.message, accepted())
    await publish(publisher(house), made[:9])
    await house.store.forget_person("reader3@example.org")
    [row] = await rows(house.store, crowds)
    ids = {row.records[at : at + ID_LENGTH] for at in range(0, len(row.records), RECORD)}
    assert ids == {each.event_id for number, (each, _) in enumerate(made[:9]) if number != 3}
    await publish(publisher(house), made[3:4] + made[9:])
    again = await clicks_of_crowd(Crowd([30]), house.message, accepted())
    again[0][0].message_id = made[3][0].message_id  # the erased email once more
    await publish(publisher(house), again)
    found = await verdicts(house.store)
    assert [found[each.event_id] for each, _ in made] == [FOUND] * 12
    assert found[again[0][0].event_id] == HUMAN
    [row] = await rows(house.store, crowds)
    assert len(row.records) == 11 * RECORD


async def test_of_who_is_erased_no_click_stays_in_a_crowd(house: House) -> None:
    """Also where there were more than are shown with an email."""
    [(click, _)] = await clicks_of_crowd(Crowd([5]), house.message, accepted())
    times = [click.clicked_at + n * 5_000_000 for n in range(RECENT_OF_LINK * 2)]
    made = [replace(click, event_id=new_id(at), clicked_at=at) for at in times]
    await publish(publisher(house), [(each, "") for each in made])
    [row] = await rows(house.store, crowds)
    assert len(row.records) == len(made) * RECORD
    await house.store.forget_person("reader0@example.org")
    [row] = await rows(house.store, crowds)
    assert row.records == ""


async def test_what_is_found_before_a_kill_is_put_right_by_who_reads_it_again(house: House) -> None:
    made = await clicks_of_crowd(QUICK, house.message, accepted())
    await publish(publisher(house), made[:7])
    killed = publisher(house)
    batch = await killed._prepare([Entry(0, each) for each, _ in made[7:]])
    await house.store.clicks.record(batch.logged, batch)
    assert [*(await verdicts(house.store)).values()].count(HUMAN) == 7
    await publish(publisher(house), made[7:])
    await check(house.store, made)


async def test_what_is_remembered_of_a_network_is_bounded_and_forgotten(house: House) -> None:
    once = await clicks_of_crowd(Crowd([5] * 60), house.message, accepted())
    made = []
    for again in range(RECENT // len(once) + 3):  # people do so where a page opens slowly
        for each, expected in once:
            at = each.clicked_at + again * 3_000_000
            made.append((replace(each, event_id=new_id(at), clicked_at=at), expected))
    for start in range(0, len(made), 500):
        await publish(publisher(house), made[start : start + 500])
    await check(house.store, made)
    [row] = await rows(house.store, crowds)
    assert len(row.records) == RECENT * RECORD
    keeping = Retention(house.store, Periods())
    assert "crowds" not in await keeping.apply(now_us())
    assert (await keeping.apply(now_us() + DAY + HOUR))["crowds"] == 1
    assert await rows(house.store, crowds) == []


@pytest.mark.parametrize(
    ("ip", "network"),
    [
        ("203.0.113.9", "cb0071"),
        ("::ffff:203.0.113.9", "cb0071"),
        ("2001:db8:1:2:3::4", "20010db800010002"),
        ("100.128.0.1", "648000"),
        ("172.32.0.1", "ac2000"),
        *((ip, "") for ip in ("127.0.0.1", "::1", "::ffff:127.0.0.1", "fe80::1%eth0", "fd00::7")),
        *((ip, "") for ip in ("10.1.2.3", "172.16.0.1", "172.31.9.9", "192.168.0.9", "100.64.3.2")),
        ("", ""),
        ("unknown", ""),
        ("1.2.3", ""),
        ("::1\x00", ""),
    ],
)
def test_the_network_of_an_address(ip: str, network: str) -> None:
    assert network_of(ip) == network


@pytest.mark.parametrize(
    "harm",
    ["\ufffd" * 50, "y" * 11, "z" * 45, ""],
    ids=["other bytes", "short", "of another length", "nothing"],
)
async def test_damage_of_what_is_remembered_holds_up_no_click(house: House, harm: str) -> None:
    crowd = PEOPLE["an office of one browser that opens the first link"]
    made = await clicks_of_crowd(crowd, house.message, accepted())
    soon = [each for each, delay in zip(made, crowd.delays, strict=True) if delay < 500]
    await publish(publisher(house), soon)
    again = [replace(each, event_id=new_id(), link=1) for each, _ in soon]

    def damage(connection: Connection) -> None:
        for table, names in ((evidence, ("records", "traps")), (crowds, ("records",))):
            connection.execute(update(table).values(dict.fromkeys(names, harm)))
        of_first = clicks.c.event_id == soon[0][0].event_id
        connection.execute(update(clicks).where(of_first).values(verdict="odd"))

    await house.store._database.write(damage)
    rest = made[len(soon) :]
    await publish(publisher(house), [*rest, *((each, "") for each in again)])
    told = await verdicts(house.store)
    assert told.keys() == {each.event_id for each in (*(e for e, _ in made), *again)}
    shown = await house.store.browse.newest_clicks(1000)
    assert len(shown) == len(told)


async def test_damage_of_records_that_are_marked_anew_holds_up_no_click(house: House) -> None:
    """What was found of clicks from a network waits for records that cannot be read."""
    made = await clicks_of_crowd(QUICK, house.message, accepted())
    await publish(publisher(house), made[:5])
    damaged = func.substr(evidence.c.records, 1, ID_LENGTH) + "\ufffd" * 5
    await house.store._database.write(lambda c: c.execute(update(evidence).values(records=damaged)))
    await publish(publisher(house), made[5:])
    await publish(publisher(house), [])
    told = await verdicts(house.store)
    assert {told[each.event_id] for each, _ in made[5:]} == {FOUND}
    assert await rows(house.store, crowd_findings) == []


async def test_more_is_found_than_a_statement_takes(house: House) -> None:
    """As where one who has many networks clicks in few emails."""
    [(click, _)] = await clicks_of_crowd(Crowd([4]), house.message, accepted())
    await publish(publisher(house), [(click, "")])
    found = {new_id(now_us()): True for _ in range(70_000)}
    assert len(found) == 70_000
    left = [(id_, click.message_id, 1) for id_ in sorted(found)]

    def leave(connection: Connection) -> None:
        BulkInsert(crowd_findings).run(connection, left)
        _leave(connection, {**found, click.event_id: True})

    await house.store._database.write(leave)
    waiting = await rows(house.store, crowd_findings)
    assert (click.event_id, click.message_id, 1) in [tuple(each) for each in waiting]
    [(new, _)] = await clicks_of_crowd(Crowd([8]), house.message, accepted())
    await publish(publisher(house), [(click, ""), (new, "")])
    assert await rows(house.store, crowd_findings) == []
    assert (await verdicts(house.store))[click.event_id] == FOUND
