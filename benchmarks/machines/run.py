"""How many machines are told from people: by scenario, beside what others do.

    python benchmarks/machines/run.py [--sessions 1000] [--seed 1] [--before SRC] [--http 10]
        [--write]

Over the same sessions (`scenarios.py`, each with its source), made from a seed. Clicktrail's
verdicts come from `judged.py`; ``--before`` is the folder ``src`` of an earlier build, which is
judged beside it; ``--http`` replays so many sessions of each scenario to the running service, in
real time (`over_http.py`). Beside them: lists of crawlers alone; Mautic's rule with those lists for
its own, which are empty at first; Postal, which counts every visit. ``--write`` keeps the result.
"""

import argparse
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from crawlerdetect import CrawlerDetect  # type: ignore[import-untyped]
from crawleruseragents import is_crawler  # type: ignore[import-untyped]
from rich.console import Console
from rich.table import Table
from scenarios import SCENARIOS, UNKNOWABLE, sessions
from session import HIDDEN, Ask

HERE = Path(__file__).resolve().parent
SOURCE = HERE.parents[1] / "src"
RESULT = HERE.parent / "results" / "machines.md"

_detect = CrawlerDetect()


def listed(ask: Ask) -> bool:
    """Whether a list of crawlers has the User-Agent."""
    return _is_listed(dict(ask.headers).get("User-Agent", ""))


@lru_cache
def _is_listed(agent: str) -> bool:
    return bool(_detect.is_crawler(agent)) or is_crawler(agent)


def mautic(ask: Ask) -> bool:
    """Two of three signs, as its ``BotRatioHelper`` has them; no address is on its list."""
    return (int(ask.at < 2) + int(listed(ask))) / 3 >= 0.6


OTHERS: dict[str, Callable[[Ask], bool]] = {
    "lists alone": listed,
    "Mautic": mautic,
    "Postal": lambda _: False,
}


@dataclass
class Counts:
    """Clicks of a scenario, and how many of them were told how."""

    machines: int = 0
    missed: int = 0
    people: int = 0
    suspect: int = 0
    machine: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        """Return both together."""
        names = self.__dataclass_fields__
        return Counts(**{n: getattr(self, n) + getattr(other, n) for n in names})

    def told(self, machines: bool) -> str:
        """Say what was found: of machines, or of people."""
        if machines:
            return f"{100 - 100 * self.missed / self.machines:.1f} %" if self.machines else ""
        if not self.people:
            return ""
        either = self.suspect + self.machine
        return f"{100 * either / self.people:.2f} % ({100 * self.machine / self.people:.2f})"


@dataclass
class Way:
    """A way to tell machines from people, and what it found by scenario."""

    name: str
    found: dict[str, Counts] = field(default_factory=dict)


def clicktrail(name: str, source: Path, number: int, seed: int, script: str = "judged.py") -> Way:
    """Return what a build of Clicktrail says."""
    command = [sys.executable, str(HERE / script), str(number), str(seed)]
    environment = os.environ | {"PYTHONPATH": str(source)}
    run = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    way = Way(name, {scenario: Counts() for scenario in SCENARIOS | UNKNOWABLE})
    for scenario, told in json.loads(run.stdout).items():
        machine, person = Counter(told["machine"]), Counter(told["person"])
        way.found[scenario] = Counts(
            machine.total(),
            machine["human"],
            person.total(),
            person["suspect"],
            person["machine"],
        )
    return way


def others(number: int, seed: int) -> list[Way]:
    """Return what others say of the same clicks."""
    ways = [Way(name) for name in OTHERS]
    for scenario in SCENARIOS | UNKNOWABLE:
        for way in ways:
            way.found[scenario] = Counts()
        for session in sessions(scenario, number, seed):
            for ask in session.asks:
                if ask.method != "GET" or ask.link == HIDDEN:
                    continue
                for way in ways:
                    count, is_machine = way.found[scenario], OTHERS[way.name](ask)
                    if ask.machine:
                        count.machines += 1
                        count.missed += not is_machine
                    else:
                        count.people += 1
                        count.machine += is_machine
    return ways


def table(ways: list[Way], machines: bool) -> Table:
    """Return what was found of machines, or of people."""
    made = Table("Machines" if machines else "People", *(way.name for way in ways), "Source")
    names = [n for n in SCENARIOS if ways[0].found[n].told(machines)]
    for name in [*names, *(UNKNOWABLE if machines else ())]:
        source = (SCENARIOS | UNKNOWABLE)[name][1]
        made.add_row(name, *(way.found[name].told(machines) for way in ways), source)
    sums = [sum((way.found[n] for n in SCENARIOS), Counts()).told(machines) for way in ways]
    made.add_row(f"all but the last {len(UNKNOWABLE)}" if machines else "all", *sums, "")
    return made


def markdown(made: Table) -> str:
    """Return a table as Markdown."""
    columns = [[str(column.header), *map(str, column.cells)] for column in made.columns]
    head, *rows = zip(*columns, strict=True)
    rule = ["---", *["---:"] * (len(head) - 2), "---"]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sessions", type=int, default=1000, help="of each scenario")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--before", type=Path, help="the folder src of an earlier build")
    parser.add_argument("--http", type=int, default=0, help="sessions to send over HTTP, too")
    parser.add_argument("--write", action="store_true", help=f"write {RESULT.name} too")
    args = parser.parse_args()
    ways = [clicktrail("Clicktrail", SOURCE, args.sessions, args.seed)]
    if args.before:
        ways.append(clicktrail("the build before", args.before, args.sessions, args.seed))
    if args.http:
        ways.append(clicktrail("over HTTP", SOURCE, args.http, args.seed, "over_http.py"))
    ways += others(args.sessions, args.seed)
    http = (
        f" But `over HTTP`, {args.http} sessions of each that end within a minute, in real time."
        if args.http
        else ""
    )
    parts: list[str | Table] = [
        f"{args.sessions:,} sessions of each scenario, seed {args.seed}:"
        f" `python benchmarks/machines/run.py --sessions {args.sessions} --seed {args.seed}`. They"
        " are not sent over HTTP, as their hours would take hours: each request is read by the"
        " redirect's own code and goes through publisher and store with the scenario's times."
        + http,
        "Clicks of machines that were told as `machine` or `suspect`:",
        table(ways, machines=True),
        "Clicks of people that were told as `suspect` or `machine`, in brackets as `machine`:",
        table(ways, machines=False),
        "Mautic has its rule from its source, with both lists of crawlers in place of its own,"
        " which is empty at first; Postal's counts every visit. Who made these scenarios also made"
        " the rules: other scanners do other things.",
    ]
    Console(width=200).print(*parts)
    if args.write:
        shown = [part if isinstance(part, str) else markdown(part) for part in parts]
        RESULT.write_text("\n\n".join(("# Machines and people", *shown)) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
