"""Logging of a command, which most likely tells nothing: then `base.logs` is never loaded.

That takes as long as many a command has for all it does. It is loaded by the first module of ours
that has a logger, or by the first line of somebody else: a library, Python's warnings, an exception
that nobody caught.
"""

import logging
import sys
import threading
import warnings
from contextlib import suppress
from importlib import import_module
from typing import Any

HOW = "warning", "text"
"""What is told, and how (`clicktrail.base.logs.configure_logs`)."""

is_later = False
"""Whether that is done when its module is loaded."""


def configure_logs_later() -> None:
    """Configure logs as soon as there is something to tell, or something that may tell it."""
    global is_later  # noqa: PLW0603 - logging is the process's
    is_later = True
    if (logs := sys.modules.get("clicktrail.base.logs")) is not None:
        logs.configure_logs(*HOW)
        return
    logging.getLogger().handlers = [_Later()]
    _put_off(sys, "excepthook")
    _put_off(threading, "excepthook")
    _put_off(sys, "unraisablehook")
    _put_off(warnings, "showwarning")


def _load() -> None:
    with suppress(ImportError):  # the interpreter is at its end: nothing is told any more
        import_module("clicktrail.base.logs")


class _Later(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        """Let the handler that takes this one's place tell the line."""
        _load()
        root = logging.getLogger()
        if self not in root.handlers:
            root.handle(record)


def _put_off(place: Any, name: str) -> None:
    """Set a hook that calls the one which takes its place as soon as it is called itself."""

    def hook(*given: Any) -> None:
        _load()
        if (now := getattr(place, name)) is not hook:  # else that is being loaded
            now(*given)

    setattr(place, name, hook)
