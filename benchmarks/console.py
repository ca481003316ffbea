"""How fast the console's pages are beside a million emails and five million clicks.

    python benchmarks/console.py [--messages 1000000] [--clicks 5000000] [--folder F] [--write]

The emails are of 60 days: most belong to some hundred mailings, every tenth has a subject of its
own; one configuration set of three keeps their HTML. They and their clicks go through the methods
of the store that the service itself uses, so that all counters and indexes are what they would
be. Then the real service is started on that data, somebody signs in, and asks for each page
``--times`` times over HTTP, one after the other. With ``--folder`` the data stay there, and a later
run takes them as they are. Needs some 5 GB.

``--beside CHECKOUT`` compares with an older build, whose source is there: it makes the data, a copy
is upgraded, and both services run at once and are asked in turns for each page that both have.
"""

import argparse
import asyncio
import json
import os
import platform
import random
import re
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.progress import track
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from clicktrail.base.ids import hour_of, new_id, now_us  # noqa: E402
from clicktrail.keys.ringfile import KeyFile  # noqa: E402
from clicktrail.model import (  # noqa: E402
    Click,
    ConfigurationSet,
    EventDestination,
    EventType,
    Identity,
    Link,
    Message,
    MessageState,
    Verdict,
    provider_of,
)
from clicktrail.store import Store  # noqa: E402
from clicktrail.store.clicks.clicks import LoggedClick  # noqa: E402
from clicktrail.store.clicks.cohorts import tags_of  # noqa: E402
from clicktrail.store.clicks.statistics import Dimensions  # noqa: E402
from clicktrail.store.mail.grouping import mailings_of  # noqa: E402
from clicktrail.store.mail.html import place_of  # noqa: E402
from clicktrail.store.mail.pages import version_of  # noqa: E402
from support.service import Service  # noqa: E402
from support.visitor import Visitor  # noqa: E402

MOST_MILLISECONDS = 100
MOST_RATIO = 1.2
RESULT = Path(__file__).parent / "results" / "console.md"
BESIDE = RESULT.with_name("console_beside.md")
DAYS, DAY = 60, 86_400_000_000
SETS = ("news", "shop", "receipts")
PROVIDERS = ("gmail.com", "yandex.ru", "mail.ru", "outlook.com", "example.org")
MAILINGS, LINKS, BATCH = 150, 8, 500
WORDS = "offers autumn books winter sale shoes garden island letters music travel kitchen".split()
VERDICTS = (Verdict.HUMAN, Verdict.HUMAN, Verdict.HUMAN, Verdict.SUSPECT, Verdict.MACHINE)


def emails(number: int, chance: random.Random, identities: Sequence[Identity]) -> Iterator[Message]:
    """Yield emails of the last days, the oldest first."""
    began = now_us() - DAYS * DAY
    for place in range(number):
        at = began + (DAYS * DAY - DAY // 24) * place // number
        mailing = place * MAILINGS // number - chance.randrange(3)
        words = random.Random(mailing).sample(WORDS, 3)
        set_name = SETS[mailing % len(SETS)]
        subject = f"{' '.join(words)} {mailing}" if place % 10 else f"Order {place} is on its way"
        links = tuple(
            Link(n, f"https://example.com/{mailing}/{n}", (("place", f"p{n % 3}"),), 0, 100 * n)
            for n in range(LINKS)
        )
        anchors = "".join(f'<p>Text <a href="{place_of(n)}">link {n}</a></p>' for n in range(LINKS))
        recipient = f"reader{place % 400_000}@{PROVIDERS[place % len(PROVIDERS)]}"
        yield Message(
            id=new_id(at),
            accepted_at=at,
            source="news@example.com",
            recipients=(recipient,),
            identity=identities[mailing % len(identities)],
            configuration_set=set_name,
            headers=(
                ("From", "News <news@example.com>"),
                ("To", recipient),
                ("Subject", subject),
                ("Message-ID", f"<{place}@example.com>"),
            ),
            tags={"campaign": [f"c{mailing}"]},
            links=links,
            html=(f"<html><body><h1>{subject}</h1>{anchors}",) if set_name == "news" else (),
        )


def clicks(number: int, chance: random.Random, sent: Sequence[Message]) -> Iterator[LoggedClick]:
    """Yield clicks, most of them within a day of their email, the oldest first."""
    for place in range(number):
        newest = (place + 1) * len(sent) // number
        message = sent[max(0, newest - 1 - int(chance.expovariate(1 / 15_000)))]
        link = message.links[min(int(chance.expovariate(0.5)), LINKS - 1)]
        at = DAYS * DAY * place // number + sent[0].accepted_at + 1
        address = f"198.51.{chance.randrange(256)}.{chance.randrange(256)}"
        click = Click(new_id(at), message.id, link.index, link.url, at, address, "Firefox/140.0")
        identity = message.identity.name if message.identity else ""
        yield LoggedClick(
            click,
            Dimensions(
                hour_of(at),
                message.configuration_set or "",
                identity,
                provider_of(message.recipients[0]),
            ),
            link.tags,
            chance.choice(VERDICTS),
            mailings=tuple(key.digest for key in mailings_of(message)),
            link_tags=tags_of(message.links),
            version=version_of(message.links),
        )


def batches(things: Iterator[Any], number: int, what: str) -> Iterator[list[Any]]:
    """Yield them some at a time, with a progress bar."""
    for _ in track(range(0, number, BATCH), what, console=Console(stderr=True)):
        yield list(islice(things, BATCH))


async def seed(folder: Path, messages: int, number: int) -> None:
    """Fill a data folder."""
    store = await Store.open(f"sqlite:///{folder / 'clicktrail.db'}")
    for name in SETS:
        stream = EventDestination("to-stream", f"arn:clicktrail:stream:::{name}", CLICKS)
        made = ConfigurationSet(name, True, destinations=(stream,), keep_html=name == "news")
        await store.configuration.create_set(made)
    identities = [
        await store.configuration.create_identity(name, None)
        for name in ("example.com", "news.example.com", "shop.example.com")
    ]
    chance = random.Random(5)
    sent: list[Message] = []
    for some in batches(emails(messages, chance, identities), messages, "Emails"):
        await asyncio.gather(*map(store.messages.add, some))
        state = MessageState.SENT
        await asyncio.gather(
            *(store.messages.finish(m.id, state, m.recipients, m.accepted_at) for m in some)
        )
        await store.search.index(BATCH)
        sent += some
    for logged in batches(clicks(number, chance, sent), number, "Clicks"):
        await store.clicks.record(logged)
    await store.close()


CLICKS = frozenset({EventType.CLICK})


def pages(visitor: Visitor | httpx.Client) -> dict[str, str]:
    """Return what is asked for: a name, and the path."""
    list_ = visitor.get("/messages?q=books").text
    found = re.search(r"/messages/[\w-]{21}", list_)
    mailings = re.findall(r"/mailings/[0-9a-f]{32}", visitor.get("/mailings?kind=tag").text)
    assert found
    message, mailing = found[0], mailings[len(mailings) // 2]
    return {
        "Overview, 30 days": "/",
        "Overview, links": "/?by=links",
        "Overview, link tags": "/?by=tags",
        "Overview, devices": "/?by=devices",
        "Overview, identities": "/?by=identity",
        "Overview, ten years": "/?since=2000-01-01",
        "Overview, one set": "/?configuration_set=news",
        "Overview, link tag": "/?tag=place%3Dp1",
        "Overview, by the hour": f"/?per=hour&since={time.strftime('%Y-%m-%d', _days_ago(7))}",
        "Statistics as CSV": "/statistics.csv",
        "Configurations": "/configurations",
        "Configuration set": "/configurations/news",
        "Event destination": "/configurations/news/destinations/to-stream",
        "Emails": "/messages",
        "Emails of one set": "/messages?configuration_set=receipts",
        "Emails: one recipient": "/messages?q=reader50077%40mail.ru",
        "Emails: a domain": "/messages?q=%40gmail.com",
        "Emails: two words": "/messages?q=books+garden",
        "Emails: words, domain, set": "/messages?q=books+%40gmail.com&configuration_set=shop",
        "Emails: never together": "/messages?q=books+%40gmail.com+order",
        "Emails: a tag": "/messages?q=campaign%3Dc70",
        "Emails: a Message-ID": "/messages?q=%3C50077%40example.com%3E",
        "Email": message,
        "Click map of an email": f"{message}/map",
        "Mailings": "/mailings",
        "Mailings by tag": "/mailings?kind=tag",
        "Mailings: a part of the name": "/mailings?q=777",
        "Mailings: nothing found": "/mailings?q=nowhere",
        "Mailings by clicks": "/mailings?sort=clicks",
        "Two mailings": f"/comparison?mailing={mailing[10:]}&mailing={mailings[0][10:]}",
        "Who clicked": f"{mailing}/clicked",
        "Mailing": mailing,
        "Click map of a mailing": f"{mailing}/map",
        "Live": "/live",
        "Live, one set": "/live?configuration_set=news",
        "Live, no such link": "/live?url=nowhere",
        "Live, no such link tag": "/live?tag=place%3Dnone",
        "Dead letters": "/dead-letters",
    }


def _days_ago(days: int) -> time.struct_time:
    return time.gmtime(time.time() - days * 86_400)


def measure(visitor: Visitor, times: int) -> list[tuple[str, float, float, int]]:
    """Return for each page median and longest milliseconds, and bytes."""
    rows = []
    for name, path in pages(visitor).items():
        taken = []
        for _ in range(times):
            began = time.perf_counter()
            answer = visitor.get(path)
            taken.append((time.perf_counter() - began) * 1000)
            assert answer.status_code == 200, (path, answer.status_code)
        rows.append((name, statistics.median(taken), max(taken), len(answer.content)))
    return rows


@dataclass(frozen=True)
class Build:
    """A running service of one build, and somebody who has signed in to its console."""

    client: httpx.Client
    pid: int
    pages: list[str]

    def cpu(self) -> float:
        """Return the milliseconds of CPU that its console has taken (proc(5), ``schedstat``)."""
        tasks = Path(f"/proc/{self.pid}/task").glob("*/schedstat")
        return sum(int(task.read_text().split()[0]) for task in tasks) / 1_000_000


def make_data(checkout: Path, folder: Path, messages: int, number: int) -> None:
    """Let an older build fill a data folder."""
    folder.mkdir(parents=True)
    made = (
        "import asyncio, console; from pathlib import Path;"
        f"asyncio.run(console.seed(Path({str(folder)!r}), {messages}, {number}))"
    )
    subprocess.run([sys.executable, "-P", "-c", made], env=_environment(checkout), check=True)


def _environment(checkout: Path) -> dict[str, str]:
    path = ":".join(str(checkout / name) for name in ("src", "tests", "benchmarks"))
    return os.environ | {"PYTHONPATH": path}


@contextmanager
def running(checkout: Path, folder: Path) -> Iterator[Build]:
    """Run the service of a build on a data folder."""
    program = Path(__file__).with_name("console_of_a_build.py")
    with subprocess.Popen(
        [sys.executable, "-P", str(program), str(folder)],
        env=_environment(checkout),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as service:
        assert service.stdin
        assert service.stdout
        told = json.loads(service.stdout.readline())
        with httpx.Client(base_url=told["url"], cookies=told["cookies"], timeout=300) as client:
            yield Build(client, told["pid"], told["pages"])
        service.stdin.close()


def wait_for_index(folder: Path) -> None:
    """Return when the service has indexed all emails of before the upgrade."""
    with closing(sqlite3.connect(folder / "data" / "clicktrail.db")) as database:
        while database.execute("SELECT count(*) FROM unindexed").fetchone()[0]:
            time.sleep(1)


def compare(older: Build, newer: Build, times: int) -> list[tuple[str, float, float]]:
    """Return for each page that both have the CPU time (ms) of an answer: the median."""
    rows = []
    for name, path in pages(newer.client).items():
        if name not in older.pages or older.client.get(path).status_code != 200:
            continue
        newer.client.get(path)
        taken: tuple[list[float], list[float]] = [], []
        for _ in range(times):
            for build, some in zip((older, newer), taken, strict=True):
                before = build.cpu()
                build.client.get(path)
                some.append(build.cpu() - before)
        was, now = map(statistics.median, taken)
        rows.append((name, was, now))
    return rows


def beside(checkout: Path, folder: Path, given: argparse.Namespace) -> None:
    """Compare with an older build; end with whether a page is slower than it may be."""
    was, now = folder / "older", folder / "newer"
    if not was.exists():
        make_data(checkout, was / "data", given.messages, given.clicks)
    if not now.exists():
        shutil.copytree(was, now)
    with ExitStack() as both:
        newer = both.enter_context(running(ROOT, now))
        wait_for_index(now)
        older = both.enter_context(running(checkout, was))
        rows = compare(older, newer, given.times)
    lines = ["| page | older (ms) | this build (ms) | ratio |", "| --- | ---: | ---: | ---: |"]
    lines += [f"| {name} | {a:.1f} | {b:.1f} | {b / a:.2f} |" for name, a, b in rows]
    print("\n".join(lines))
    slow = [name for name, a, b in rows if b > MOST_RATIO * a]
    print(f"More than {MOST_RATIO} times as long: {', '.join(slow) or 'none'}")
    if given.write:
        asked = ["git", "-C", str(checkout), "rev-parse", "--short", "HEAD"]
        commit = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()
        head = (
            f"# The console's pages, beside an older build\n\n{given.messages:,} emails, "
            f"{given.clicks:,} clicks, made by the older build ({commit}), and upgraded. Both run "
            f"at once and are asked in turns, {given.times} times for each page: CPU time of the "
            f"console's process for an answer, the median, which tells more than a clock on a "
            f"busy machine. {platform.machine()}, Python {platform.python_version()}.\n\n"
        )
        BESIDE.write_text(head + "\n".join(lines) + "\n")
    sys.exit(bool(slow))


def main() -> None:
    """Seed, start, ask, tell."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--clicks", type=int, default=5_000_000)
    parser.add_argument("--times", type=int, default=15)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--write", action="store_true", help=f"write {RESULT.name}")
    parser.add_argument("--beside", type=Path, metavar="CHECKOUT", help="an older build's source")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        if given.beside:
            beside(given.beside.resolve(), given.folder or Path(temporary), given)
        service = Service(given.folder or Path(temporary), embedded=False)
        if not service.data.exists():
            service.data.mkdir(parents=True)
            KeyFile(service.data / "keys.json").create_if_missing()
            asyncio.run(seed(service.data, given.messages, given.clicks))
        with service, Visitor(service) as visitor:
            link = service.cli("console-user", "create", f"b{time.time_ns()}", "--role", "viewer")
            visitor.welcome(link.strip().rpartition("/welcome/")[2])
            rows = measure(visitor, given.times)
    shown = Table("Page", "Median (ms)", "Longest (ms)", "KB", title="The console's pages")
    lines = ["| page | median (ms) | longest (ms) | KB |", "| --- | ---: | ---: | ---: |"]
    for name, median, longest, size in rows:
        cells = name, f"{median:.0f}", f"{longest:.0f}", f"{size / 1000:.0f}"
        shown.add_row(*cells)
        lines.append(f"| {' | '.join(cells)} |")
    Console().print(shown)
    slow = [name for name, median, *_ in rows if median >= MOST_MILLISECONDS]
    print(f"Slower than {MOST_MILLISECONDS} ms: {', '.join(slow) or 'none'}")
    if given.write:
        head = (
            f"# The console's pages\n\n{given.messages:,} emails, {given.clicks:,} clicks; "
            f"{given.times} requests each, over HTTP, one after the other; {platform.machine()}, "
            f"Python {platform.python_version()}. Each must take less than {MOST_MILLISECONDS} ms "
            "(median).\n\n"
        )
        RESULT.write_text(head + "\n".join(lines) + "\n")
    sys.exit(bool(slow))


if __name__ == "__main__":
    main()
