"""Verdicts of the Clicktrail that Python finds, as JSON: who was asked for, and what was said.

    PYTHONPATH=OTHER/src python benchmarks/machines/judged.py SESSIONS SEED

What comes to the redirect is read as it reads it, and what the journal would hold goes through the
publisher into a store, with the times of the scenario: a day would take a day over HTTP.
"""

import asyncio
import json
import sqlite3
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from scenarios import SCENARIOS, UNKNOWABLE, sessions
from session import HIDDEN, Ask

from clicktrail.base.ids import new_id, now_us
from clicktrail.journal import Entry
from clicktrail.journal.memory import MemoryJournal
from clicktrail.model import HONEYPOT_LINK, Click, Link, Message
from clicktrail.publish.deliver import Deliverer, Retry
from clicktrail.publish.publisher import Publisher
from clicktrail.store import Store

model, visitor = (import_module(f"clicktrail.{name}") for name in ("model", "redirect.visitor"))
look: Callable[[bytes], Any] | None = getattr(visitor, "look", None)
"""What reads a request; builds from before requests were looked at have none."""

SECOND = 1_000_000
BATCH = 500
AGO = 3 * 86_400 * SECOND


def click_of(ask: Ask, message: Message) -> Click | None:
    """Return what the journal holds of a request."""
    at = message.accepted_at + round(ask.at * SECOND)
    agent = next((v for n, v in ask.headers if n.lower() == "user-agent"), "")
    link = HONEYPOT_LINK if ask.link == HIDDEN else ask.link
    click = Click(new_id(at), message.id, link, "https://a.example/", at, ask.ip, agent)
    if look is not None:
        lines = "".join(f"\r\n{name}: {value}" for name, value in ask.headers) + "\r\n"
        seen = look(lines.encode())
        click.request = seen.request | (model.Request.HEAD if ask.method == "HEAD" else 0)
    return click if look is not None or ask.method == "GET" else None


async def judge(name: str, number: int, seed: int, path: Path) -> dict[str, Counter[str]]:
    """Return how many clicks of machines and of people got which verdict."""
    store = await Store.open(f"sqlite:///{path}")
    publisher = Publisher(MemoryJournal(), store, Deliverer(store, {}, Retry()))
    truth: dict[str, str] = {}
    clicks = []
    for place, session in enumerate(sessions(name, number, seed)):
        at = now_us() - AGO
        links = tuple(Link(n, f"https://a.example/{n}") for n in range(session.links))
        message = Message(new_id(at), at, "a@a.example", (f"b{place}@b.example",), links=links)
        await store.messages.add(message)
        for ask in session.asks:
            if (click := click_of(ask, message)) is not None:
                clicks.append(click)
                truth[click.event_id] = "machine" if ask.machine else "person"
    clicks.sort(key=lambda click: click.event_id)
    for start in range(0, len(clicks), BATCH):
        some = clicks[start : start + BATCH]
        await publisher.publish([Entry(start + n, click) for n, click in enumerate(some)])
    await store.close()
    found: dict[str, Counter[str]] = {"machine": Counter(), "person": Counter()}
    for event_id, verdict in sqlite3.connect(path).execute("SELECT event_id, verdict FROM clicks"):
        found[truth[event_id]][verdict] += 1
    return found


async def main() -> None:
    number, seed = int(sys.argv[1]), int(sys.argv[2])
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for place, name in enumerate(SCENARIOS | UNKNOWABLE):
            found[name] = await judge(name, number, seed, Path(folder) / f"{place}.db")
            print(name, file=sys.stderr)
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    asyncio.run(main())
