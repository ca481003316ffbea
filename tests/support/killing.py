"""Kills commands at each of the steps that change something in a data folder."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

# A step is what CPython tells audit hooks (docs.python.org/3/library/audit_events.html): a file is
# opened to be written, renamed, linked or deleted, or a database opened. The command line is
# imported once, and forked for each kill: to start it anew takes most of the time.
_DRIVER = """
import os, signal, sys
from clicktrail.cli import main
import clicktrail.commands, clicktrail.store, clicktrail.store.database.sqlite
import clicktrail.service.service
import clicktrail.journal.sqlite, clicktrail.journal.spool
folder, words = os.fsencode(sys.argv[1]), sys.argv[2:]
WRITING = os.O_WRONLY | os.O_RDWR
STEPS = {"os.rename", "os.link", "os.remove", "sqlite3.connect"}
left = 0

def step(event, arguments):
    global left
    if event in STEPS or (event == "open" and arguments[2] and arguments[2] & WRITING):
        try:
            path = os.fsencode(arguments[0])
        except TypeError:  # of a descriptor
            return
        if folder in path:
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

for line in sys.stdin:
    left = int(line)
    if (child := os.fork()) == 0:
        os.dup2(2, 1)
        sys.argv = ["clicktrail", *words]
        sys.addaudithook(step)
        main()
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def killed_at_each_step(folder: Path, words: Sequence[str]) -> Iterator[int]:
    """Run a command again and again, killed one step later each time.

    Give the number of steps it was let do after each kill. It ends when the command was not killed
    any more, and asserts that it then succeeded.
    """
    with subprocess.Popen(
        [sys.executable, "-c", _DRIVER, str(folder), *words, "--data", str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "COLUMNS": "200"},
    ) as driver:
        assert driver.stdin is not None
        assert driver.stdout is not None
        assert driver.stderr is not None
        try:
            for steps in range(1000):
                driver.stdin.write(f"{steps}\n")
                driver.stdin.flush()
                status = json.loads(driver.stdout.readline() or "null")
                if status != -9:
                    driver.stdin.close()
                    assert status == 0, driver.stderr.read()
                    return
                yield steps
        finally:
            driver.kill()
    raise AssertionError("it never ended")
