"""A publisher that is killed again and again: every click counts once, and is told once."""

import asyncio
import json
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from clicktrail.base.ids import now_us
from clicktrail.journal.memory import MemoryJournal
from clicktrail.journal.sqlite import SqliteJournal
from support.publishing import House, click, to_stream

CLICKS = 3000

PUBLISHER = """
import asyncio, sys
from pathlib import Path
from clicktrail.journal.sqlite import SqliteJournal
from clicktrail.publish import publisher
from clicktrail.publish.deliver import Deliverer, Retry
from clicktrail.store import Store

publisher.BATCH = 50  # many transactions, so that a kill falls between two of them

async def main():
    store = await Store.open(sys.argv[1])
    made = publisher.Publisher(
        SqliteJournal(Path(sys.argv[2])), store, Deliverer(store, {}, Retry())
    )
    await made.start()
    print("running", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def told(house: House) -> int:
    return len(await house.store.streams.read("clicks", 0, CLICKS * 2))


@pytest.mark.long
async def test_every_click_counts_once_and_is_told_once(house: House, tmp_path: Path) -> None:
    await house.configuration_set("news", to_stream())
    messages = [await house.message() for _ in range(60)]
    path = tmp_path / "journal.db"
    journal = SqliteJournal(path)
    # Those of one email a minute apart: people's.
    began = now_us() + 2_000_000
    made = [
        click(
            messages[n % 60],
            n // 60 % 3,
            ip=f"10.{n % 250}.{n // 250}.1",
            clicked_at=began + n * 1_000_000,
        )
        for n in range(CLICKS)
    ]
    await asyncio.gather(*(journal.append(each) for each in made))
    await journal.close()

    async with asyncio.timeout(300):
        kills = 0
        while await told(house) < CLICKS or kills < 3:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", PUBLISHER, house.url, str(path), stdout=subprocess.PIPE
            )
            assert process.stdout is not None
            assert await process.stdout.readline() == b"running\n"
            await asyncio.sleep(random.uniform(0, 0.2 * (kills + 1)))
            process.send_signal(signal.SIGKILL)
            await process.communicate()
            kills += 1

    events = [json.loads(e.payload) for e in await house.store.streams.read("clicks", 0, 10_000)]
    assert sorted(e["eventId"] for e in events) == sorted(f"{c.event_id}:0" for c in made)
    days = await house.store.statistics.daily()
    assert sum(day.clicks for day in days) == CLICKS
    assert sum(day.unique_clicks for day in days) == 60 * 3
    assert sum(day.human_clicks for day in days) == CLICKS
    assert sum(each.clicks for each in await house.store.pages.links()) == CLICKS
    # What is left in the journal is known already.
    left = SqliteJournal(path)
    again = House(house.url, house.store, MemoryJournal(), house.receiver)
    assert await again.publisher().publish(await left.read(CLICKS, 0.1)) == 0
    await left.close()
