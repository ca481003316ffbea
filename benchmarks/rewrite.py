"""How fast links are rewritten, beside pytracking and what else people do it with.

    python benchmarks/rewrite.py [FOLDER]

Over the same emails, in one process on one core and one run, in interleaved rounds: the medians
of CPU time count. Links and tags that come again, as in the emails of a mailing, are remembered;
one row shows the HTML pass without that. FOLDER holds more HTML documents. Peers are in the
dependency group ``bench``; one that is not installed is said to be missing. Writes
``benchmarks/results/rewrite.md``.
"""

import os
import platform
import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from clicktrail.base.ids import new_id
from clicktrail.keys.token import Key, KeyRing
from clicktrail.rewrite import Policy, rewrite_message
from clicktrail.rewrite.html.document import rewrite_html

ROUNDS = 9
HERE = Path(__file__).resolve().parent
EXAMPLES = HERE.parent / "examples"
RESULTS = HERE / "results" / "rewrite.md"
RING = KeyRing([Key(1, bytes(range(64)), 0)])
BASE = "pytracking adapt_html"
ENCODINGS = ("8bit", "quoted-printable", "base64")
FIRST_SIGHT = "HTML pass, no link ever seen before"
REMEMBERING = [f"clicktrail.{name}" for name in ("keys.token", "rewrite.html.document")]
SIZES = (10_000, 100_000, 1_000_000, 10_000_000)
Job = Callable[[str], object]


def policy() -> Policy:
    """Return how a real email's links are replaced: sealed with a real key."""
    seal = RING.sealer(new_id()).seal
    return Policy(
        lambda index, url: f"https://click.example.com/c/{seal(index, url)}", RING.is_tracking_link
    )


def wrapped(html: str, encoding: str) -> bytes:
    """Return an email with that HTML part beside a plain text."""
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "a@example.com", "b@example.com", "Hello"
    message.set_content("Hello\n")
    message.add_alternative(html, subtype="html", cte=encoding)
    return message.as_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def _pytracking(_: str) -> Job:
    configuration = import_module("pytracking").Configuration(
        base_click_tracking_url="https://click.example.com/c/"
    )
    adapt = import_module("pytracking.html").adapt_html
    return lambda html: adapt(
        html,
        extra_metadata={"id": new_id()},
        click_tracking=True,
        open_tracking=False,
        configuration=configuration,
    )


def _is_web(url: object) -> bool:
    return isinstance(url, str) and url.startswith(("http://", "https://", "//"))


def _lxml(link: str) -> Job:
    html_module = import_module("lxml.html")

    def job(html: str) -> str:
        tree = html_module.document_fromstring(html)
        for each in tree.iter("a", "area"):
            if _is_web(each.get("href")):
                each.set("href", link)
        return str(html_module.tostring(tree, encoding="unicode"))

    return job


def _soup(link: str) -> Job:
    import_module("lxml")
    soup = import_module("bs4").BeautifulSoup

    def job(html: str) -> str:
        tree = soup(html, "lxml")
        for each in tree.find_all(("a", "area")):
            if _is_web(each.get("href")):
                each["href"] = link
        return str(tree)

    return job


def _lol(link: str) -> Job:
    rewriter = import_module("lolhtml").HTMLRewriter

    class Handler:
        def element(self, element: Any) -> None:
            if _is_web(element.get_attribute("href")):
                element.set_attribute("href", link)

    def job(html: str) -> bytes:
        output = bytearray()
        one = rewriter(output.extend)
        one.on("a[href], area[href]", Handler())
        one.write(html.encode())
        one.end()
        return bytes(output)

    return job


PEERS = {
    BASE: _pytracking,
    "lxml": _lxml,
    "Beautiful Soup with lxml": _soup,
    "lol_html (python-lolhtml)": _lol,
}


def _html_pass(html: str) -> object:
    return rewrite_html(html, policy())


def _whole(email: bytes) -> object:
    return rewrite_message(email, policy())


def _forget() -> None:
    """Empty what is remembered from one email to the next."""
    for module in map(import_module, REMEMBERING):
        for each in vars(module).values():
            if hasattr(each, "cache_clear"):
                each.cache_clear()


def _first_sight(html: str) -> object:
    _forget()
    return rewrite_html(html, policy())


def _all(job: Callable[[Any], object], items: list[Any]) -> object:
    return [job(each) for each in items]


def jobs_for(documents: list[str]) -> Iterator[tuple[str, Callable[[], object]]]:
    """Yield the name of each job, and what does it over all documents."""
    yield "HTML pass with tokens", partial(_all, _html_pass, documents)
    for encoding in ENCODINGS:
        emails = [wrapped(each, encoding) for each in documents]
        yield f"whole email, {encoding}", partial(_all, _whole, emails)
    urls = [link.url for each in documents for link in rewrite_html(each, policy()).links]
    made = [policy().link(0, url) for url in urls]
    link = "https://click.example.com/c/".ljust(round(statistics.mean(map(len, made))), "A")
    for name, peer in PEERS.items():
        try:
            job = peer(link)
        except ImportError:
            print(f"missing: {name}")
            continue
        yield name, partial(_all, job, documents)
    yield FIRST_SIGHT, partial(_all, _first_sight, documents)
    yield "", partial(_all, _html_pass, documents)  # not shown: remembers again


def compare(documents: list[str]) -> Table:
    """Measure every job on the same documents."""
    jobs = dict(jobs_for(documents))
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(ROUNDS):
        for name, job in jobs.items():
            started = time.process_time()
            job()
            times[name].append(time.process_time() - started)
    size = sum(len(each.encode()) for each in documents) / 1e6
    table = Table("Job", "Emails/s", "MB/s of HTML", "÷ pytracking")
    base = statistics.median(times.get(BASE, [0.0]))
    del times[""]
    for name, taken in times.items():
        median = statistics.median(taken)
        ratio = f"{base / median:.2f}" if base else "missing"
        table.add_row(name, f"{len(documents) / median:.0f}", f"{size / median:.1f}", ratio)
    return table


def grow(document: str) -> Table:
    """Measure how time and memory grow with an email's size."""
    table = Table("Email", "Size, MB", "Time, ms", "ms per MB", "Peak memory ÷ size")
    for encoding in ENCODINGS:
        for size in SIZES:
            email = wrapped(document * max(1, round(size / len(document))), encoding)
            taken = []
            for _ in range(ROUNDS):
                started = time.process_time()
                rewrite_message(email, policy())
                taken.append(time.process_time() - started)
            tracemalloc.start()
            rewrite_message(email, policy())
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            median, megabytes = statistics.median(taken) * 1e3, len(email) / 1e6
            numbers = (f"{megabytes:.2f}", f"{median:.1f}", f"{median / megabytes:.0f}")
            table.add_row(encoding, *numbers, f"{peak / len(email):.1f}")
    return table


def markdown(table: Table) -> str:
    """Return a table as Markdown."""
    columns = [[str(column.header), *map(str, column.cells)] for column in table.columns]
    head, *rows = zip(*columns, strict=True)
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows))


def main() -> None:
    """Measure, print, and write the results."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    folders = [EXAMPLES, *map(Path, sys.argv[1:])]
    files = [path for folder in folders for path in sorted(folder.glob("*.html"))]
    documents = [path.read_text(encoding="utf-8") for path in files]
    size = sum(len(each.encode()) for each in documents)
    about = (
        f"{len(documents)} emails, {size // len(documents)} bytes of HTML each on average;"
        f" one core, CPU time, medians of {ROUNDS} rounds; Python {platform.python_version()},"
        f" {platform.machine()}."
    )
    tables = [compare(documents), grow((EXAMPLES / "newsletter.html").read_text(encoding="utf-8"))]
    console = Console()
    console.print(about, *tables)
    RESULTS.parent.mkdir(exist_ok=True)
    text = "\n\n".join(("# Rewriting links", about, *map(markdown, tables)))
    RESULTS.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
