"""Verdicts of the running service, as JSON: each request sent over HTTP when its scenario says so.

    python benchmarks/machines/over_http.py SESSIONS SEED

Of sessions whose requests end within a minute; all of them at the same time, by a proxy that names
the visitors' addresses. The others take hours: ``judged.py`` has them.
"""

import asyncio
import json
import os
import sqlite3
import sys
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from scenarios import SCENARIOS, UNKNOWABLE, sessions
from session import HIDDEN, Ask, Session

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from backlog import Service, serving
from clicktrail.base.ids import new_id, now_us
from clicktrail.keys.ringfile import KeyFile
from clicktrail.model import HONEYPOT_LINK, Link, Message
from clicktrail.store import Store

LONGEST = 60.0
SECOND = 1_000_000
HEAD_START = 5.0
"""Seconds until the first request: all connections are made by then."""
Key = tuple[str, int, str, str]
"""Email, link, address and User-Agent."""


def agent_of(ask: Ask) -> str:
    return next((value for name, value in ask.headers if name.lower() == "user-agent"), "")


async def send(port: int, begin: float, session: Session, paths: list[str]) -> None:
    """Send a session's requests, each at its time and on a connection of its own."""
    first = session.asks[0].at

    async def one(ask: Ask, path: str) -> None:
        await asyncio.sleep(max(0, begin + ask.at - first - time.monotonic()))
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        lines = [f"{ask.method} {path} HTTP/1.1", f"X-Forwarded-For: {ask.ip}"]
        lines += [f"{name}: {value}" for name, value in ask.headers]
        writer.write("\r\n".join([*lines, "", ""]).encode())
        answer = await reader.readline()
        writer.close()
        if b" 302 " not in answer:
            raise SystemExit(f"no redirect: {answer!r}")

    await asyncio.gather(*(one(ask, path) for ask, path in zip(session.asks, paths, strict=True)))


async def replay(folder: Path, number: int, seed: int) -> dict[str, Any]:
    """Return how many clicks of machines and of people got which verdict, by scenario."""
    keys = KeyFile(folder / "keys.json")
    keys.create_if_missing()
    ring = keys.ring()
    store = await Store.open(f"sqlite:///{folder / 'clicktrail.db'}")
    asked: defaultdict[Key, list[tuple[float, str, str]]] = defaultdict(list)
    work: list[tuple[Session, list[str]]] = []
    for name in SCENARIOS | UNKNOWABLE:
        for place, session in enumerate(sessions(name, number, seed)):
            first = session.asks[0].at
            if session.asks[-1].at - first > LONGEST:
                continue
            at = now_us() - round(first * SECOND)
            links = tuple(Link(n, f"https://a.example/{n}") for n in range(session.links))
            message = Message(new_id(at), at, "a@a.example", (f"b{place}@b.example",), links=links)
            await store.messages.add(message)
            paths = []
            for ask in session.asks:
                link = HONEYPOT_LINK if ask.link == HIDDEN else ask.link
                paths.append("/c/" + ring.seal(message.id, link, f"https://a.example/{link}"))
                if ask.method == "GET" and ask.link != HIDDEN:
                    key = message.id, link, ask.ip, agent_of(ask)
                    asked[key].append((ask.at, name, "machine" if ask.machine else "person"))
            work.append((session, paths))
    await store.close()
    clicks = sum(map(len, asked.values()))
    os.environ["CLICKTRAIL_REDIRECT_TRUSTED_PROXIES"] = "127.0.0.0/8"
    with serving(folder) as service:
        begin = time.monotonic() + HEAD_START
        await asyncio.gather(*(send(service.redirect, begin, *each) for each in work))
        return await verdicts(folder, service, asked, clicks)


async def verdicts(
    folder: Path, service: Service, asked: dict[Key, list[tuple[float, str, str]]], clicks: int
) -> dict[str, Any]:
    found: defaultdict[str, dict[str, Counter[str]]] = defaultdict(
        lambda: {"machine": Counter(), "person": Counter()}
    )
    database = sqlite3.connect(f"file:{folder / 'clicktrail.db'}?mode=ro", uri=True)
    while database.execute("SELECT count(*) FROM clicks").fetchone()[0] < clicks:
        service.position()  # raises where the store is gone
        await asyncio.sleep(0.5)
    rows = database.execute(
        "SELECT message_id, link, ip, user_agent, verdict FROM clicks ORDER BY clicked_at"
    ).fetchall()
    for *key, verdict in rows:
        waiting = asked[key[0], key[1], key[2], key[3]]
        _, name, who = waiting.pop(0)
        found[name][who][verdict] += 1
    return dict(found)


async def main() -> None:
    number, seed = int(sys.argv[1]), int(sys.argv[2])
    with tempfile.TemporaryDirectory() as folder:
        json.dump(await replay(Path(folder), number, seed), sys.stdout)


if __name__ == "__main__":
    asyncio.run(main())
