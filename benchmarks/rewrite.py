"""How fast links are rewritten, beside pytracking, which does the same job with lxml.

    python benchmarks/rewrite.py [FOLDER]

Over the same emails, in one process and one run, in interleaved rounds: the medians count. FOLDER
holds more HTML documents. Needs `pytracking[html]` (dependency group ``bench``).
"""

import statistics
import sys
import time
from collections.abc import Callable
from email.message import EmailMessage
from importlib import import_module
from pathlib import Path

from rich.console import Console
from rich.table import Table

from clicktrail.ids import new_id
from clicktrail.rewrite import Policy, rewrite_message
from clicktrail.rewrite.html import rewrite_html
from clicktrail.token import Key, KeyRing

ROUNDS = 9
EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
RING = KeyRing([Key(1, bytes(range(64)), 0)])


def policy() -> Policy:
    """Return how a real email's links are replaced: sealed with a real key."""
    seal = RING.sealer(new_id()).seal
    return Policy(
        lambda index, url: f"https://click.example.com/c/{seal(index, url)}", RING.is_tracking_link
    )


def wrapped(html: str, encoding: str) -> bytes:
    """Return an email with that HTML part."""
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "a@example.com", "b@example.com", "Hello"
    message.set_content("Hello\n")
    message.add_alternative(html, subtype="html", cte=encoding)
    return message.as_bytes().replace(b"\n", b"\r\n")


def peer() -> Callable[[str], object] | None:
    """Return pytracking's rewriting of a document, where it is installed."""
    try:
        configuration = import_module("pytracking").Configuration(
            base_click_tracking_url="https://click.example.com/c/"
        )
        adapt = import_module("pytracking.html").adapt_html
    except ImportError:
        return None
    return lambda html: adapt(
        html,
        extra_metadata={"id": new_id()},
        click_tracking=True,
        open_tracking=False,
        configuration=configuration,
    )


def main() -> None:
    """Measure and print."""
    folders = [EXAMPLES, *map(Path, sys.argv[1:])]
    files = [path for folder in folders for path in sorted(folder.glob("*.html"))]
    documents = [path.read_text(encoding="utf-8") for path in files]
    jobs: dict[str, Callable[[], object]] = {
        "HTML pass with tokens": lambda: [rewrite_html(each, policy()) for each in documents]
    }
    for encoding in ("8bit", "quoted-printable", "base64"):
        emails = [wrapped(each, encoding) for each in documents]
        jobs[f"whole email, {encoding}"] = lambda emails=emails: [  # type: ignore[misc]
            rewrite_message(each, policy()) for each in emails
        ]
    other = peer()
    if other is None:
        print("pytracking is not installed: no ratios (pip install 'pytracking[html]')")
    else:
        jobs["pytracking adapt_html"] = lambda: [other(each) for each in documents]
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(ROUNDS):
        for name, job in jobs.items():
            started = time.perf_counter()
            job()
            times[name].append(time.perf_counter() - started)
    size = sum(len(each.encode()) for each in documents) / 1e6
    table = Table("Job", "Emails/s", "MB/s of HTML", "Ratio", title=f"{len(documents)} emails")
    base = statistics.median(times.get("pytracking adapt_html", [0.0]))
    for name, taken in times.items():
        median = statistics.median(taken)
        ratio = f"{base / median:.1f}" if base else "–"
        table.add_row(name, f"{len(documents) / median:.0f}", f"{size / median:.1f}", ratio)
    Console().print(table)


if __name__ == "__main__":
    main()
