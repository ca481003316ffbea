"""The command line loads what was asked for: help waits for nothing, shells complete it."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from typer.testing import CliRunner

from clicktrail.cli import COMMANDS, build
from clicktrail.keys.ringfile import KeyFile
from support import forked

BESIDE = Path(sys.executable).parent

# Asks for help in one process, and prints which modules that has loaded.
LOADED = """
import json, sys
from clicktrail.__main__ import main
for words in json.loads(sys.argv[1]):
    sys.argv = ["clicktrail", *words]
    try:
        main()
    except SystemExit as end:
        assert not end.code, (words, end.code)
print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""
SERVING = ("serve", "settings", "rewrite")
LISTS = [["--version"], ["--help"], ["-h"]]
UPKEEP = ("check", "repair", "migrate")
HEAVY = {
    "sqlalchemy",
    "alembic",
    "dns",
    "hyperscan",
    "starlette",
    "uvicorn",
    "aiosmtpd",
    "pydantic",
}
OTHER_SUBJECTS = tuple(f"clicktrail.store.{room}" for room in ("mail", "clicks", "people", "nodes"))
FOR_WORK = {"rich", "structlog"}


def run(
    *command: str | Path, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        env={**os.environ, "PATH": f"{BESIDE}:{os.environ['PATH']}", **(environment or {})},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_the_list_of_commands_is_the_same_whether_they_are_loaded_or_not() -> None:
    whole, names = (
        CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200"}).output
        for app in (build(), build(only=""))
    )
    assert whole == names
    assert all(f"  {command.name} " in whole for command in COMMANDS)


@pytest.mark.parametrize(
    ("asked", "heavy"),
    [
        (LISTS, HEAVY | FOR_WORK),
        # Those that look at a service's files load what reads them, and some do a service's work.
        (
            [[c.name, "--help"] for c in COMMANDS if c.name not in SERVING + UPKEEP],
            HEAVY | FOR_WORK,
        ),
        ([[name, "--help"] for name in UPKEEP], HEAVY),
    ],
    ids=["lists", "commands", "upkeep"],
)
def test_help_waits_for_no_library_that_does_the_work(
    asked: list[list[str]], heavy: set[str]
) -> None:
    done = run(sys.executable, "-c", LOADED, json.dumps(asked))
    assert done.returncode == 0, done.stderr
    assert not heavy & {name.partition(".")[0] for name in json.loads(done.stderr)}


def test_a_command_on_the_store_loads_the_subject_that_it_asks_for(tmp_path: Path) -> None:
    KeyFile(tmp_path / "keys.json").create_if_missing()
    asked = [["configuration-set", "list", "--data", str(tmp_path)]]
    first, then = (run(sys.executable, "-c", LOADED, json.dumps(asked)) for _ in range(2))
    assert (first.returncode, then.returncode) == (0, 0), first.stderr + then.stderr
    assert "alembic" in json.loads(first.stderr)  # it has made the database
    loaded = json.loads(then.stderr)
    assert "clicktrail.store.configuration_store" in loaded
    others = ("alembic", "structlog", "sqlalchemy.dialects.postgresql", *OTHER_SUBJECTS)
    assert not [name for name in loaded if name.startswith(others)]


def test_a_redirect_alone_loads_no_store() -> None:
    code = (
        "import sys, clicktrail.commands.serve, clicktrail.service.roles.redirect;"
        " print('sqlalchemy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("clicktrail event", ["event-destination", "events"]),
        ("clicktrail events re", ["replay"]),
        ("clicktrail configuration-set event-destination re", ["remove"]),
    ],
)
def test_a_shell_is_offered_what_fits(shell: str, line: str, offered: list[str]) -> None:
    told = {
        "_CLICKTRAIL_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(line.split()) - 1),
        "_TYPER_COMPLETE_ARGS": line,
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    done = forked.run(forked.COMMAND, environment=told)
    assert done.returncode == 0, done.stderr
    words = done.stdout.replace('"', " ").replace(":", " ").split()
    assert [word for word in words if word in offered] == offered
    assert "serve" not in words


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")
def test_bash_completes_a_line_by_what_it_is_told_to_run() -> None:
    script = """
    eval "$(clicktrail --show-completion)"
    COMP_WORDS=(clicktrail keys rot); COMP_CWORD=2
    _clicktrail_completion clicktrail
    echo "${COMPREPLY[@]}"
    """
    done = run("bash", "-c", script)
    assert done.stdout.split() == ["rotate"], done.stderr


# Sends signals to itself when it comes to load the command line, or what a command needs.
SIGNALLED = """
import os, signal, sys
class Finder:
    def find_spec(name, path, target=None):
        if name == place:
            for number in numbers:
                os.kill(os.getpid(), int(number))
place, numbers = sys.argv[1], sys.argv[2].split()
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.meta_path.insert(0, Finder)
from clicktrail.__main__ import main
sys.argv = ["clicktrail", *sys.argv[3:]]
main()
"""


def signalled(place: str, *numbers: int, words: str) -> tuple[int, str]:
    """Return exit status and errors of a command that gets signals while it loads a module."""
    told = (place, " ".join(map(str, numbers)), *words.split())
    done = run(sys.executable, "-c", SIGNALLED, *told)
    return done.returncode, done.stderr


@pytest.mark.parametrize("words", ["keys list", "serve"])
@pytest.mark.parametrize("place", ["clicktrail.cli", "typer", "clicktrail.keys.ringfile"])
def test_ctrl_c_while_it_loads_ends_it_quietly(place: str, words: str) -> None:
    assert signalled(place, signal.SIGINT, words=words) == (130, "")


@pytest.mark.parametrize("place", ["clicktrail.cli", "clicktrail.commands.serve"])
def test_no_signal_but_those_that_stop_it_ends_a_service_that_loads(place: str) -> None:
    numbers = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP)
    status, said = signalled(place, *numbers, words="serve")
    assert (status, said.splitlines()[0].split(":")[:2]) == (
        1,
        ["clicktrail", " smarthost.url is empty"],
    )
