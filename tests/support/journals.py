"""Clicks for journals, and journals that are killed."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from clicktrail.base.ids import new_id, now_us
from clicktrail.journal import Journal
from clicktrail.model import Click

WRITER = Path(__file__).parent / "journal_writer.py"


def click(number: int = 0) -> Click:
    url = f"https://example.com/{number}?a=b"
    return Click(new_id(), "m" * 21, number, url, now_us(), "192.0.2.1", "Mozilla/5.0")


def ids(clicks: list[Click]) -> list[str]:
    return [one.event_id for one in clicks]


async def read_all(journal: Journal) -> list[Click]:
    clicks = []
    while entries := await journal.read(5000, 0):
        clicks += [entry.click for entry in entries]
    return clicks


class Writer:
    """A process with `journal_writer`, and what it has acknowledged."""

    def __init__(self, kind: str, folder: Path, *limit: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, WRITER, kind, folder, *limit],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def kill_after(self, acknowledged: int, seconds: float = 0) -> list[str]:
        """Kill it when it has acknowledged so many clicks, and that much later; return all."""
        assert self._process.stdout is not None
        with self._process.stdout as pipe:
            head = b"".join(pipe.readline() for _ in range(acknowledged))
            time.sleep(seconds)
            os.kill(self._process.pid, signal.SIGKILL)
            said = head + pipe.read()
        self._process.wait()
        # The last line may be cut off in the middle.
        return said[: said.rfind(b"\n")].decode().split("\n")


def kill_writers(kind: str, folder: Path, kills: int, seed: int) -> Counter[str]:
    """Kill so many writers at random moments; return what they have acknowledged in all."""
    chance = random.Random(seed)
    acknowledged: Counter[str] = Counter()
    for _ in range(kills):
        writer = Writer(kind, folder)
        acknowledged.update(writer.kill_after(chance.randrange(1, 400), chance.random() * 0.1))
    return acknowledged
