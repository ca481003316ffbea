"""One publisher or three that are killed again and again: the same verdicts, each counted once."""

import asyncio
import random
import subprocess
import sys
from pathlib import Path

import pytest

from clicktrail.base.ids import now_us
from clicktrail.journal.memory import MemoryJournal
from clicktrail.journal.sqlite import SqliteJournal
from clicktrail.model import Click
from clicktrail.store import Store
from support.crowds import clicks_of_crowds
from support.patterns import GATEWAY, PATTERNS, check, clicks_of
from support.publishing import HOUR, House, Receiver, to_stream

EMAILS = 2
"""Of each pattern."""
KILLS = 3
"""At the least, of each publisher."""

PUBLISHER = """
import asyncio, ipaddress, sys
from pathlib import Path
from clicktrail.journal.sqlite import SqliteJournal
from clicktrail.publish import publisher
from clicktrail.publish.deliver import Deliverer, Retry
from clicktrail.publish.networks import Networks
from clicktrail.publish.visitor_verdict import Judge
from clicktrail.store import Store

publisher.BATCH = 10  # many transactions, so that a kill falls between two of them

async def main():
    store = await Store.open(sys.argv[1])
    made = publisher.Publisher(
        SqliteJournal(Path(sys.argv[2])),
        store,
        Deliverer(store, {}, Retry()),
        judge=Judge(Networks([ipaddress.ip_network(sys.argv[3])])),
    )
    await made.start()
    print("running", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def log(path: Path, clicks: list[Click]) -> None:
    journal = SqliteJournal(path)
    for start in range(0, len(clicks), 100):
        await journal.append(*clicks[start : start + 100])
    await journal.close()


async def is_drained(path: Path) -> bool:
    journal = SqliteJournal(path)
    try:
        return not await journal.read(1, 0.05)
    finally:
        await journal.close()


async def publish_and_kill(url: str, path: Path, chance: random.Random) -> None:
    """Run a publisher of a journal until nothing is left in it; kill it again and again."""
    kills = 0
    while kills < KILLS or not await is_drained(path):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", PUBLISHER, url, str(path), GATEWAY, stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        assert await process.stdout.readline() == b"running\n"
        await asyncio.sleep(chance.uniform(0, 0.3 * 2**kills))
        process.kill()
        await process.communicate()
        kills += 1


@pytest.mark.long
@pytest.mark.parametrize("publishers", [1, 3])
async def test_verdicts_are_the_same_whoever_reads_which_click_when(
    store_url: str, tmp_path: Path, publishers: int
) -> None:
    """In a random order, some clicks twice: to the same publisher, or to two of them."""
    store = await Store.open(store_url)
    house = House(store_url, store, MemoryJournal(), Receiver())
    await house.configuration_set("news", to_stream())
    at = now_us() - HOUR
    made = []
    for pattern in list(PATTERNS.values()) * EMAILS:
        message = await house.message(accepted_at=at - 2 * HOUR)
        made += clicks_of(message, pattern, at)
    made += await clicks_of_crowds(house.message)
    chance = random.Random(publishers)
    clicks = [each for each, _ in made]
    clicks += chance.sample(clicks, len(clicks) // 10)
    chance.shuffle(clicks)
    paths = [tmp_path / f"journal-{n}.db" for n in range(publishers)]
    async with asyncio.timeout(900):
        await asyncio.gather(*(log(p, clicks[n::publishers]) for n, p in enumerate(paths)))
        await asyncio.gather(*(publish_and_kill(store_url, path, chance) for path in paths))
    await check(store, made)
    # Who listens was told of each click once, and hears of no other.
    events = await house.events()
    told = {f"{each.event_id}:0" for each, verdict in made if verdict}
    assert sorted(event["eventId"] for event in events) == sorted(told)
    await store.close()
