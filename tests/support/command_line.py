"""The command line in this process and in its forks, of which each command is made once.

Typer makes it of functions, and Pydantic what reads each of its options: a tenth of a second of the
processor for `serve`, more than most commands take. What is made is the same each time.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

import typer.main
import typer.testing
from typer.testing import CliRunner, Result

from clicktrail import cli

_build = cache(cli.build)
_get_command = cache(typer.main.get_command)
_NAMES = frozenset(command.name for command in cli.COMMANDS)


def make_once() -> None:
    """From now on, in this process and in its forks, `clicktrail.cli.main` makes nothing twice."""
    cli.build = _build
    typer.main.get_command = _get_command


def invoke(words: Sequence[str], given: bytes | None = None) -> Result:
    """Run a command in this process."""
    vars(typer.testing)["_get_command"] = _get_command
    return CliRunner().invoke(_build(words[0]), list(words), input=given)


def made(words: Sequence[str]) -> None:
    """Make what `clicktrail.cli.main` would make for these words, where they name a command."""
    asked = next((word for word in words if not word.startswith("-")), "")
    if asked not in _NAMES:
        return
    command: Any = _get_command(_build(only=asked, helps=words[0] != asked))
    for word in words[words.index(asked) :]:
        command = getattr(command, "commands", {}).get(word, command)
    for parameter in command.params:
        parameter.get_runtime_param()
