"""The emails and the clicks of ``backlog.py``: made up, put into a data folder."""

import asyncio
import contextlib
import json
import random
import sqlite3
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any

from clicktrail.base.ids import new_id, now_us
from clicktrail.journal.sqlite import SqliteJournal
from clicktrail.keys.ringfile import KeyFile
from clicktrail.model import (
    Click,
    ConfigurationSet,
    EventDestination,
    EventType,
    Identity,
    Link,
    Message,
    MessageState,
)
from clicktrail.store import Store

MESSAGES, LINKS = 10_000, 20
SET = STREAM = "backlog"
DAY = 86_400_000_000
HISTORY = 30 * DAY
"""The emails, and the clicks that are stored, are of so many days."""
RECIPIENTS = ("gmail.com", "yandex.ru", "mail.ru", "outlook.com", "example.org")
APPEND = 2000
INSERT = 50_000
Row = tuple[Any, ...]


class House:
    """A data folder with emails whose links can be clicked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.messages: list[Message] = []
        self._chance = random.Random(1)
        keys = KeyFile(folder / "keys.json")
        keys.create_if_missing()
        self._ring = keys.ring()

    async def build(self, url: str = "") -> None:
        """Make a configuration set with a built-in stream, and the emails.

        ``url`` is the store's; it is a file in the folder where none is given.
        """
        store = await Store.open(url or f"sqlite:///{self.folder / 'clicktrail.db'}")
        arn = f"arn:clicktrail:stream:::{STREAM}"
        clicks = EventDestination("to-stream", arn, frozenset({EventType.CLICK}))
        await store.configuration.create_set(ConfigurationSet(SET))
        await store.configuration.add_destination(SET, clicks)
        identity = await store.configuration.create_identity("example.com", SET)
        now = now_us()
        for number in range(MESSAGES):
            at = now - HISTORY + HISTORY * number // MESSAGES
            self.messages.append(email(number, at, self._chance, identity))
        await asyncio.gather(*map(store.messages.add, self.messages))
        sent = MessageState.SENT
        await asyncio.gather(
            *(store.messages.finish(m.id, sent, m.recipients, m.accepted_at) for m in self.messages)
        )
        await store.close()

    def clicks(self, number: int) -> Iterator[Click]:
        """Yield clicks on links by chance, of the last hour, the oldest first."""
        chance, began = self._chance, now_us() - 3_600_000_000
        for place in range(number):
            message = chance.choice(self.messages)
            link = chance.choice(message.links)
            at = began + 3_600_000_000 * place // number
            address = f"198.51.{chance.randrange(256)}.{chance.randrange(256)}"
            yield Click(new_id(at), message.id, link.index, link.url, at, address, agent(chance))

    def request(self) -> bytes:
        """Return a request for a tracking link by chance, as a browser sends it."""
        message = self._chance.choice(self.messages)
        link = self._chance.choice(message.links)
        return (
            f"GET /c/{self._ring.seal(message.id, link.index, link.url)} HTTP/1.1\r\n"
            f"Host: click.example.com\r\nUser-Agent: {agent(self._chance)}\r\n"
            "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n"
            "Accept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br\r\n\r\n"
        ).encode()


def email(number: int, at: int, chance: random.Random, identity: Identity) -> Message:
    """Return an email of one of ten mailings: 12 to 30 headers, twenty links, half of them tagged.

    One link is the recipient's own; the others are those of all emails of the mailing.
    """
    mailing = number * 10 // MESSAGES
    recipient = f"reader{number}@{RECIPIENTS[number % len(RECIPIENTS)]}"
    date = format_datetime(datetime.fromtimestamp(at // 1_000_000, UTC))
    headers = [
        *(("From", "Example Shop <news@example.com>"), ("To", f"Reader {number} <{recipient}>")),
        *(("Subject", f"New things for autumn, number {mailing}"), ("Date", date)),
        *(("Message-ID", f"<{number}.{at}@example.com>"), ("MIME-Version", "1.0")),
        ("Content-Type", f'multipart/alternative; boundary="=_{number:032x}"'),
        ("List-Unsubscribe", f"<https://www.example.com/unsubscribe?u={number:x}&id={mailing}>"),
        *(("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"), ("Precedence", "bulk")),
        *(("Reply-To", "service@example.com"), ("X-Mailer", "Example Mailer 4.2")),
    ]
    for more in range(number % 19):
        headers.append((f"X-Campaign-{more}", f"{chance.randrange(10**12):x}-{mailing}"))
    links = [
        Link(
            place,
            f"https://shop.example.com/autumn/{mailing}/{place}"
            f"?utm_source=newsletter&utm_medium=email&utm_campaign=autumn{mailing}",
            (("place", f"block {place}"), ("mailing", str(mailing))) if place % 2 else (),
        )
        for place in range(LINKS - 1)
    ]
    links.append(Link(LINKS - 1, f"https://www.example.com/unsubscribe?u={number:x}&id={mailing}"))
    return Message(
        id=new_id(at),
        accepted_at=at,
        source="bounces@example.com",
        recipients=(recipient,),
        identity=identity,
        configuration_set=SET,
        source_ip="192.0.2.10",
        headers=tuple(headers),
        tags={"campaign": [f"autumn{mailing}"]},
        links=tuple(links),
    )


def agent(chance: random.Random) -> str:
    """Return the User-Agent of one of a thousand browsers."""
    return (
        f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko)"
        f" Chrome/{chance.randrange(120, 145)}.0.{chance.randrange(40)}.0 Safari/537.36"
    )


async def fill_journal(house: House, number: int) -> None:
    """Let that many clicks wait."""
    journal = SqliteJournal(house.folder / "journal.db")
    some: list[Click] = []
    for done, click in enumerate(house.clicks(number), 1):
        some.append(click)
        if len(some) == APPEND or done == number:
            await journal.append(*some)
            some.clear()
            note(f"{done:,} clicks wait")
    await journal.close()


def fill_store(folder: Path, number: int) -> None:
    """Record clicks of earlier emails: two of each, on different links. A tenth are in a stream.

    Straight into the tables, or it would take hours.
    """
    chance, began, message_id = random.Random(2), now_us() - HISTORY, ""
    with contextlib.closing(sqlite3.connect(folder / "clicktrail.db")) as database:
        database.execute("PRAGMA synchronous = OFF")
        event = json.dumps({"eventType": "Click", "mail": "x" * 1000})
        for start in range(0, number, INSERT):
            clicks: list[Row] = []
            links: list[Row] = []
            events: list[Row] = []
            for place in range(start, min(start + INSERT, number)):
                at = began + HISTORY * place // number
                event_id = new_id(at)
                if place % 2 == 0:
                    message_id = new_id(at - chance.randrange(DAY))
                links.append((message_id, place % LINKS))
                url = f"https://shop.example.com/earlier/{place}?utm_source=newsletter"
                seen = ("192.0.2.77", agent(chance), url)
                clicks.append((event_id, message_id, place % LINKS, at, "human", "", *seen))
                if place % 10 == 0:
                    events.append(("earlier", f"{event_id}:0", at, event.encode()))
            with database:
                insert(database, "clicks", "?, ?, ?, ?, ?, ?, ?, ?, ?", clicks)
                insert(database, "clicked_links", "?, ?", sorted(links))
                insert(database, "stream_events", "NULL, ?, ?, ?, ?", events)
            note(f"{start + len(clicks):,} of {number:,} clicks are stored")


def insert(database: sqlite3.Connection, table: str, places: str, rows: list[Row]) -> None:
    database.executemany(f"INSERT INTO {table} VALUES ({places})", rows)


def note(text: str) -> None:
    """Show how far it is, where somebody looks on."""
    if sys.stderr.isatty():
        print(f"{text:70}", file=sys.stderr, end="\r")
