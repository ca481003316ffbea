"""How fast links are rewritten, beside pytracking and what else people do it with.

    python benchmarks/rewrite.py [FOLDER]
    python benchmarks/rewrite.py --rules

Over the same emails, in one process on one core and one run, in interleaved rounds: the medians
of CPU time count. Every link is new in each round, as in transactional emails: each URL that is
tracked gets a text that nobody has seen. One row shows the same emails again and again, as those
of a mailing are, of which links and tags are remembered. First come the examples, then these with
the HTML documents of FOLDER. Peers are in the dependency group ``bench``; one that is not installed
is said to be missing. Last comes what opens and rules cost (`rules`), in instructions where
``valgrind`` is installed; with ``--rules`` that alone. Writes ``benchmarks/results/rewrite.md``.
"""

import os
import platform
import secrets
import shutil
import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from email.message import EmailMessage
from importlib import import_module
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

import rules
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
HTML_PASS, AGAIN = "HTML pass with tokens", "HTML pass, the same emails again"
RULES = "## Opens and rules"
AT_ONCE = 39
"""How many emails a round has, at least."""
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


def places(html: str) -> list[tuple[int, str]]:
    """Return where in a document, and behind what, a text makes the URL of each link another."""
    probe = Policy(lambda index, _: f"x{index}", lambda _: False)
    found = []
    for row in rewrite_html(html, probe, report=True).report:
        if row.outcome == "tracked":
            at = html.index(row.value, row.offset)
            end = at + len(row.value.partition("#")[0])
            found.append((end, "&amp;u=" if "?" in row.value else "?u="))
    return found


def fresh(html: str, found: list[tuple[int, str]]) -> str:
    """Return a document with a new text at each of its `places`."""
    pieces: list[str] = []
    done = 0
    for at, before in found:
        pieces += html[done:at], before, secrets.token_urlsafe(9)
        done = at
    return "".join((*pieces, html[done:]))


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


def jobs_for(documents: list[str]) -> Iterator[tuple[str, Callable[[Any], object], str]]:
    """Yield the name of each job, what does it with one document, and its transfer encoding."""
    yield HTML_PASS, _html_pass, ""
    for encoding in ENCODINGS:
        yield f"whole email, {encoding}", _whole, encoding
    urls = [link.url for each in documents for link in rewrite_html(each, policy()).links]
    made = [policy().link(0, url) for url in urls]
    link = "https://click.example.com/c/".ljust(round(statistics.mean(map(len, made))), "A")
    for name, peer in PEERS.items():
        try:
            yield name, peer(link), ""
        except ImportError:
            print(f"missing: {name}")


def timed(job: Callable[[Any], object], items: Sequence[Any]) -> float:
    """Return the CPU time of a job over all items, in seconds."""
    started = time.process_time()
    for each in items:
        job(each)
    return time.process_time() - started


def compare(documents: list[str]) -> Table:
    """Measure every job on the same documents, whose links are new in each round."""
    documents = documents * -(-AT_ONCE // len(documents))
    found = [places(each) for each in documents]
    jobs = list(jobs_for(documents))
    times: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        new = [fresh(*each) for each in zip(documents, found, strict=True)]
        for name, job, encoding in jobs:
            items = [wrapped(each, encoding) for each in new] if encoding else new
            times.setdefault(name, []).append(timed(job, items))
        times.setdefault(AGAIN, []).append(timed(_html_pass, documents))
    size = sum(len(each.encode()) for each in documents) / 1e6
    table = Table("Job", "Emails/s", "MB/s of HTML", "÷ pytracking")
    base = statistics.median(times.get(BASE, [0.0]))
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


def machine() -> str:
    """Name the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores"


def about(documents: list[str]) -> str:
    """Return a sentence on documents."""
    size = sum(len(each.encode()) for each in documents)
    links = sum(len(places(each)) for each in documents)
    return (
        f"{len(documents)} emails, {size // len(documents)} bytes of HTML and"
        f" {links / len(documents):.1f} tracked links each on average."
    )


def with_rules(pieces: list[str]) -> str:
    """Measure what opens and rules cost, and return the whole page."""
    table = Table("Way", "Instructions an email", "÷ without")
    counted = rules.instructions() if shutil.which("valgrind") else {}
    for way, count in counted.items():
        table.add_row(way, f"{count:,.0f}", f"{count / counted['without']:.3f}")
    Console().print(table)
    shown = markdown(table) if counted else "Not measured: valgrind is not installed."
    return "\n\n".join((*pieces, RULES, rules.ABOUT, shown)) + "\n"


def main() -> None:
    """Measure, print, and write the results."""
    if sys.argv[1:] == ["--rules"]:
        before = RESULTS.read_text(encoding="utf-8").partition(f"\n\n{RULES}")[0].rstrip()
        RESULTS.write_text(with_rules([before]), encoding="utf-8")
        return
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    groups = {"The examples": [EXAMPLES]}
    if sys.argv[1:]:
        groups["The examples and a folder"] = [EXAMPLES, *map(Path, sys.argv[1:])]
    pieces = [
        f"One core, CPU time, medians of {ROUNDS} rounds, taken in turn; {machine()}; Python"
        f" {platform.python_version()}. Every link is new in each round, but in the row of the same"
        " emails again. `python benchmarks/rewrite.py [FOLDER]`"
    ]
    tables: list[Table] = []
    for title, folders in groups.items():
        files = [path for folder in folders for path in sorted(folder.glob("*.html"))]
        documents = [path.read_text(encoding="utf-8") for path in files]
        tables.append(compare(documents))
        pieces += f"## {title}", about(documents), markdown(tables[-1])
    tables.append(grow((EXAMPLES / "newsletter.html").read_text(encoding="utf-8")))
    pieces += "## As it grows", markdown(tables[-1])
    Console().print(*tables)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(with_rules(["# Rewriting links", *pieces]), encoding="utf-8")


if __name__ == "__main__":
    main()
