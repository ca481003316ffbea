"""Many senders, a smarthost that fails at every stage, clients that hang up: the books balance."""

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from support.hostile_smarthost import STAGES, HostileSmarthost
from support.mailroom import Client, Mailroom, mailroom

SENDERS = 8
ANSWERS = ("421 4.3.2 closing", "451 4.7.1 later", "550 5.7.1 no", "nonsense", "999 what")


class Books:
    """What senders were told, by the mark of the email."""

    def __init__(self) -> None:
        self.accepted: dict[str, str] = {}
        """Mark → id of the email."""
        self.refused: set[str] = set()
        self.hung_up: set[str] = set()


async def misbehave(hostile: HostileSmarthost, chance: random.Random) -> None:
    while True:
        hostile.answers.clear()
        hostile.drops.clear()
        stage = chance.choice(STAGES)
        fault = chance.randrange(3)
        if fault == 0 and stage != "TAKEN":
            hostile.answers[stage] = chance.choice(ANSWERS)
        elif fault == 1:
            hostile.drops.add(stage)
        await asyncio.sleep(chance.random() * 0.03)


async def send(room: Mailroom, books: Books, marks: Sequence[str], chance: random.Random) -> None:
    client: Client | None = None
    for mark in marks:
        if client is None:
            client = await Client.connect(room.server.address)
        message = f"From: a@example.com\r\nX-Mark: {mark}\r\n\r\n.text\r\n".encode()
        if chance.random() < 0.1:
            books.hung_up.add(mark)
            submitting = asyncio.create_task(client.submit(message))
            await asyncio.sleep(chance.random() * 0.02)
            submitting.cancel()
            await asyncio.wait([submitting])
            client.writer.transport.abort()
            client = None
            continue
        answer = await client.submit(message)
        if answer.startswith("250 2.0.0 Ok "):
            books.accepted[mark] = answer.rpartition(" ")[2]
        else:
            assert answer[:1] in ("4", "5"), answer
            assert not answer.startswith("500"), answer
            books.refused.add(mark)
    if client is not None:
        await client.close()


def mark_of(message: bytes) -> str:
    return message.partition(b"X-Mark: ")[2].partition(b"\r\n")[0].decode()


async def storm(folder: Path, seed: int, emails: int) -> None:
    chance, books = random.Random(seed), Books()
    async with mailroom(folder) as room:
        trouble = asyncio.create_task(misbehave(room.hostile, chance))
        senders = [
            send(
                room,
                books,
                [f"{sender}-{number}" for number in range(emails)],
                random.Random(f"{seed}-{sender}"),
            )
            for sender in range(SENDERS)
        ]
        await asyncio.gather(*senders)
        trouble.cancel()
        await room.server.stop()  # waits for what is on its way

        taken = [mark_of(each.message) for each in room.hostile.taken]
        owned_up = {mark_of(each.message) for each in room.hostile.taken if not each.silently}
        states = {
            name: {id_ for (id_,) in room.sql(f"SELECT id FROM messages WHERE state = {number}")}
            for number, name in enumerate(("pending", "sent", "refused"))
        }
    assert [mark for mark, times in Counter(taken).items() if times > 1] == []  # doubled
    assert books.accepted.keys() - owned_up == set()  # lost: accepted, and not taken
    assert owned_up & books.refused == set()  # refused, and taken all the same
    assert states["pending"] == set()
    assert set(books.accepted.values()) <= states["sent"]
    assert len(states["sent"]) == len(owned_up)
    # It was a storm, and emails came through it.
    assert len(books.accepted) > SENDERS
    assert len(books.refused) > SENDERS


async def test_no_email_is_lost_doubled_or_falsely_accepted(tmp_path: Path) -> None:
    await storm(tmp_path, 1, 40)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2, 7))
async def test_no_email_is_lost_doubled_or_falsely_accepted_for_long(
    tmp_path: Path, seed: int
) -> None:
    await storm(tmp_path, seed, 250)
