"""Two workers of a role against one, each with a share of a core of its own.

    PYTHONPATH=tests python benchmarks/workers.py [--rounds 5] [--seconds 4] [--write]

``smtp.workers`` and ``redirect.workers`` on one port, one data folder, the embedded store and
journal. The load is that of `smtp.py` and `redirect.py`. Needs root, ``wrk`` and cgroups of version
1 with the ``cpu`` controller; without them it says so and measures nothing. Each worker may use
only a share of one core, as in `cluster.py` and for its reason: what is left of the machine stays
partly idle, so two reach twice the rate of one if, and only if, nothing between them makes one wait
for the other.
"""

import argparse
import contextlib
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import uvloop

import redirect
import smtp
from cluster import PERIOD, QUOTAS, cpu_seconds, idle_seconds, machine
from support.ports import Ports

SHARE = 0.2
"""Of one core, for each worker."""
CONNECTIONS = 32
"""For each worker, as in `cluster.py`: whoever has twice the load takes twice the workers."""
MUST, AIM = 1.8, 1.95
ROLES = ("smtp", "redirect")
RESULT = Path(__file__).parent / "results" / "workers.md"


class Workers:
    """A role with so many workers, each in a CPU group of its own."""

    def __init__(self, folder: Path, role: str, number: int, *flags: str) -> None:
        self.number = number
        self._ports = Ports(1)
        (self.port,) = self._ports
        data = folder / f"{role}-{number}"
        data.mkdir()
        shutil.copy(folder / "keys.json", data)
        program = (sys.executable, "-m", "clicktrail")
        create = ("configuration-set", "create", "benchmark", "--engagement-statistics")
        command = [*program, "serve", "--role", role, "--data", str(data), *flags]
        command += [f"--{role}-listen", f"127.0.0.1:{self.port}", f"--{role}-workers", str(number)]
        command += ["--metrics-listen", "", "--log-level", "error"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        if not any(line.startswith("Ready") for line in self._process.stdout):
            raise SystemExit(f"{role} did not start")
        subprocess.run(
            [*program, *create, "--data", str(data)], check=True, stdout=subprocess.DEVNULL
        )
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        self.pids = [int(each) for each in children.read_text().split()] or [self._process.pid]
        if len(self.pids) != number:
            raise SystemExit(f"{role}: {len(self.pids)} workers, not {number}")
        self._groups = [QUOTAS / f"clicktrail-{data.name}-{pid}" for pid in self.pids]
        for group, pid in zip(self._groups, self.pids, strict=True):
            group.mkdir()
            (group / "cpu.cfs_period_us").write_text(str(PERIOD))
            (group / "cpu.cfs_quota_us").write_text(str(int(PERIOD * SHARE)))
            (group / "cgroup.procs").write_text(str(pid))

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(60)
        assert self._process.stdout is not None
        self._process.stdout.close()
        for group in self._groups:
            group.rmdir()


@contextlib.contextmanager
def workers(folder: Path, role: str, *flags: str) -> Iterator[list[Workers]]:
    """Run a role with one worker, and with two."""
    started: list[Workers] = []
    try:
        for number in (1, 2):
            started.append(Workers(folder, role, number, *flags))
        yield started
    finally:
        for each in started:
            each.stop()


Load = Callable[[int, int, float], float]
"""Loads a port for some workers, for seconds, and tells how many a second were answered."""


def send(port: int, number: int, seconds: float) -> float:
    """Send emails as fast as they are taken; return how many a second."""
    smtp.CONNECTIONS = number * CONNECTIONS
    return uvloop.run(smtp.run_client(port, 0, seconds))["rate"]


def click(script: Path) -> Load:
    """Return what clicks as fast as it is answered, and tells how many a second."""

    def load(port: int, number: int, seconds: float) -> float:
        command = ["wrk", "-t1", f"-c{number * CONNECTIONS}", f"-d{round(seconds)}s"]
        command += ["-s", str(script), f"http://127.0.0.1:{port}"]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        assert "Non-2xx" not in done.stdout, done.stdout
        words = done.stdout.split()
        return float(words[words.index("Requests/sec:") + 1])

    return load


def measure(one: Workers, load: Load, seconds: float) -> dict[str, float]:
    """Return the rate, CPU seconds of the workers for each, and how idle the machine was."""
    idle, began = idle_seconds(), time.monotonic()
    busy = sum(map(cpu_seconds, one.pids))
    rate = load(one.port, one.number, seconds)
    took = time.monotonic() - began
    busy = sum(map(cpu_seconds, one.pids)) - busy
    unused = (idle_seconds() - idle) / took / (os.cpu_count() or 1)
    return {"rate": rate, "busy": busy / took / one.number, "idle": unused}


def row(role: str, number: int, runs: Sequence[dict[str, float]]) -> str:
    rate, busy, idle = (
        statistics.median(run[of] for run in runs) for of in ("rate", "busy", "idle")
    )
    return f"| {role} | {number} | {rate:.0f} | {busy:.0%} | {idle:.0%} |"


def report(found: dict[str, dict[int, list[dict[str, float]]]], args: argparse.Namespace) -> str:
    """Return the tables, as Markdown."""
    lines = [
        "# Workers of a role",
        "",
        f"{machine()}; Python {platform.python_version()}; medians of {args.rounds} rounds of"
        f" {args.seconds:g} s, one worker and two in turn, {CONNECTIONS} connections to each; each"
        f" may use {SHARE:.0%} of a core. `PYTHONPATH=tests python benchmarks/workers.py --write`",
        "",
        "| role | workers | a second | a worker's share of a core | idle |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    said = []
    for role, runs in found.items():
        lines += [row(role, number, runs[number]) for number in (1, 2)]
        pairs = zip(runs[2], runs[1], strict=True)
        ratio = statistics.median(two["rate"] / one["rate"] for two, one in pairs)
        verdict = "aim" if ratio >= AIM else "must" if ratio >= MUST else "NOT the must"
        said += ["", f"{role}: two ÷ one **{ratio:.2f}** (must {MUST}, aim {AIM}): {verdict}."]
    return "\n".join(lines + said) + "\n"


def main() -> None:
    """Run everything and print the table."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=float, default=4.0)
    options.add_argument("--write", action="store_true", help=f"write {RESULT.name} too")
    args = options.parse_args()
    if os.geteuid() != 0 or not shutil.which("wrk") or not (QUOTAS / "cgroup.procs").exists():
        raise SystemExit("NOT MEASURED: this needs root, wrk, and the cpu controller of cgroup v1")
    found: dict[str, dict[int, list[dict[str, float]]]] = {role: {1: [], 2: []} for role in ROLES}
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        paths = redirect.write_paths(folder)
        script = folder / "wrk.lua"
        headers = ", ".join(f'["{name}"] = "{value}"' for name, value in redirect.HEADERS.items())
        script.write_text(redirect.SCRIPT % (paths, headers))
        sink, _ = stack.enter_context(smtp.helper(smtp.CLIENT_CORE, "sink"))
        for role, load, *flags in (
            ("smtp", send, "--smarthost", f"smtp://127.0.0.1:{sink}"),
            ("redirect", click(script)),
        ):
            with workers(folder, role, *flags) as both:
                for each in both:
                    load(each.port, each.number, 1.0)  # so that all is warm
                for _ in range(args.rounds):
                    for each in both:
                        found[role][each.number].append(measure(each, load, args.seconds))
    text = report(found, args)
    print(text)
    if args.write:
        RESULT.write_text(text)


if __name__ == "__main__":
    main()
