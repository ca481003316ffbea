"""How long commands take to answer, beside another build of Clicktrail.

    python benchmarks/start.py OTHER_PYTHON [--rounds 15] [--write]

``OTHER_PYTHON`` is the interpreter of a virtual environment in which the other build is installed:
that of a checkout of an earlier commit, say. Each command is a new process; the builds take turns,
and each round's ratio is one value. Help and the version need no data; the commands on the store
work on one folder with a configuration set, each build on its own.
"""

import argparse
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

COMMANDS = (
    ("--version",),
    ("--help",),
    ("configuration-set", "--help"),
    ("event-destination", "--help"),
    ("keys", "--help"),
    ("domain", "--help"),
    ("configuration-set", "list"),
    ("statistics",),
)
ON_DATA = ("list", "statistics")
MUST = {"--version": 0.25, "--help": 0.25, "list": 0.5, "statistics": 0.5}
LIBRARY_MUST = 150
"""Milliseconds that a program may wait for ``import clicktrail.api``."""
RESULT = Path(__file__).parent / "results" / "start.md"


def prepare(python: str, folder: str) -> None:
    """Make a data folder: what `clicktrail serve` makes at its first start, and a set."""
    serve = [python, "-m", "clicktrail", "serve", "--role", "publisher", "--data", folder]
    with subprocess.Popen(
        [*serve, "--metrics-listen", ""], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        if not any(line.startswith("Ready") for line in process.stdout):
            raise SystemExit(f"{python}: the service did not start")
        process.terminate()
    create = [python, "-m", "clicktrail", "configuration-set", "create", "news", "--data", folder]
    subprocess.run(create, check=True, stdout=subprocess.DEVNULL)


def measure(python: str, words: tuple[str, ...], folder: str) -> tuple[float, float]:
    """Run a command; return its wall time and CPU time, in seconds."""
    data = ("--data", folder) if words[-1] in ON_DATA else ()
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(
        [python, "-m", "clicktrail", *words, *data],
        check=True,
        stdout=subprocess.DEVNULL,
        env=os.environ | {"COLUMNS": "100"},
    )
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def compare(other: str, rounds: int) -> str:
    """Measure all commands; return the table, as Markdown."""
    lines = [
        "# How long commands take to answer",
        "",
        f"This build ÷ another one: medians of {rounds} rounds, taken in turn, each command a new"
        f" process. Python {platform.python_version()}. `python benchmarks/start.py OTHER --write`",
        "",
        "| `clicktrail …` | CPU ms, other | CPU ms, this | CPU ÷ | wall ÷ | must |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
        builds = ((other, first), (sys.executable, second))
        for build in builds:
            prepare(*build)
        for words in COMMANDS:
            for build in builds:
                measure(build[0], words, build[1])  # compiled, and in the page cache
            found = [
                [measure(python, words, folder) for python, folder in builds] for _ in range(rounds)
            ]
            walls, cpus = (
                statistics.median(ours[at] / theirs[at] for theirs, ours in found) for at in (0, 1)
            )
            theirs, ours = (
                statistics.median(round_[at][1] for round_ in found) * 1000 for at in (0, 1)
            )
            lines.append(
                f"| `{' '.join(words)}` | {theirs:.0f} | {ours:.0f} | {cpus:.2f} | {walls:.2f}"
                f" | {MUST[words[-1]]} |"
            )
    imports = [cost("import clicktrail.api") - cost("pass") for _ in range(rounds)]
    least = statistics.median(imports) * 1000
    lines += ["", f"`import clicktrail.api` takes {least:.0f} ms of CPU (must: {LIBRARY_MUST})."]
    return "\n".join(lines) + "\n"


def cost(program: str) -> float:
    """Run a line of Python in a new process; return its CPU time, in seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", program], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("other", metavar="OTHER_PYTHON")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--write", action="store_true", help=f"write {RESULT.name} too")
    arguments = parser.parse_args()
    text = compare(arguments.other, arguments.rounds)
    print(text)
    if arguments.write:
        RESULT.write_text(text)
