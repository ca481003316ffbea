"""How commands end: with a message and an exit status, and never with a traceback."""

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path

import typer

from clicktrail import __version__
from clicktrail.base.complaints import complaint, named_complaint
from clicktrail.errors import ClicktrailError

FAILED = 1
BROKEN_PIPE = 141
"""As the shell has it for who dies of SIGPIPE: whoever read our output has seen enough."""

INTERRUPTED = 130

_HOME = Path(__file__).parents[2]


@contextmanager
def ending() -> Iterator[None]:
    """Turn what a command raises into a line on standard error, and into `typer.Exit`."""
    try:
        yield
    except BrokenPipeError:
        _let_go_of_output()
        raise typer.Exit(BROKEN_PIPE) from None
    except (ClicktrailError, OSError) as error:
        tell(error)
        raise typer.Exit(FAILED) from None
    except (typer.Exit, typer.Abort, typer.BadParameter):
        raise
    except Exception as error:
        tell(error)
        raise typer.Exit(FAILED) from None


def tell(error: Exception) -> None:
    """Say on standard error what is wrong."""
    typer.echo(f"clicktrail: {said_of(error)}", err=True)


def said_of(error: Exception) -> str:
    """Return what a person is told of an error: no traceback, and nothing of what was at hand."""
    if isinstance(error, ClicktrailError):
        return str(error)
    if isinstance(error, OSError):
        return named_complaint(error)
    return f"a fault of Clicktrail {__version__}, please report it: {_place(error)}"


def _place(error: Exception) -> str:
    """Return what happened and where, without values: some are secret."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [each for each in frames if Path(each.filename).is_relative_to(_HOME)] or frames
    name = type(error).__name__
    if not ours:
        return name
    path = Path(ours[-1].filename)
    shown = path.relative_to(_HOME) if path.is_relative_to(_HOME) else path.name
    return f"{name} in {shown}:{ours[-1].lineno} ({ours[-1].name})"


def open_standard_files() -> None:
    """Open standard input, output and error where they are closed, and let them take any text.

    Else the next file that is opened, a database perhaps, would be standard output.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:
            file = os.fdopen(number, mode, encoding="utf-8", closefd=False)
            setattr(sys, name, file)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal without "→" and "…"


def write_out(status: str | int | None) -> str | int | None:
    """Write what waits for standard output; return the exit status, another where that fails."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _let_go_of_output()
        return BROKEN_PIPE
    except OSError as error:
        _let_go_of_output()
        if not status:
            typer.echo(f"clicktrail: standard output: {complaint(error)}", err=True)
        return status or FAILED
    return status


def _let_go_of_output() -> None:
    """Have what is still to be written go nowhere: Python would complain at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
