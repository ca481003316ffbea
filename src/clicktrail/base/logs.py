"""Logging: structured lines on standard error, as JSON for machines or as text for people.

Every line goes the same way, also those of libraries, of warnings, and of exceptions that nobody
caught. What it may tell is `clicktrail.base.redact`'s to say. Of a library's own line the words are
told and none of the values that were put into them.
"""

import json
import logging
import re
import sys
import threading
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, TextIO

import structlog

from clicktrail.base import logs_later
from clicktrail.base.redact import current, reason_of, redact, told_chain, traceback_text

get_logger = structlog.get_logger
"""structlog's. Modules take it from here, so that none tells a line before this one is loaded."""

log = get_logger(__name__)

_MOST_ITEMS, _DEEPEST = 50, 4
_ADDRESSES = ("sender", "recipients")
"""Fields of the lines of emails that are told only where the operator wants it."""
_WORDS = 200
# Where in a library's text something of what it worked on may begin.
_VALUE = re.compile(r"[\"'`<>(\[{=:\n]|\bb?'")


def configure_logs(level: str, style: str, *, addresses: bool = False) -> None:
    """Send all log lines, also those of libraries, to standard error.

    ``style`` is ``json``, ``text``, or ``auto``: text on a terminal, else JSON. ``addresses`` lets
    the lines of emails name their sender and recipients.
    """
    as_text = style == "text" or (style == "auto" and sys.stderr.isatty())
    output = _Output(sys.stderr)
    begin: list[structlog.typing.Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    end: list[structlog.typing.Processor] = [
        _exception_by(traceback_text if as_text else told_chain),
        _addresses_told if addresses else _addresses_dropped,
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
        if as_text
        else structlog.processors.JSONRenderer(),
    ]
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[_words_alone, *begin],
        use_get_message=False,
        pass_foreign_args=True,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *end],
    )
    lost = _lost_in_text if as_text else _lost_in_json
    handler = _Handler(output, lost)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers = [handler]
    # Libraries tell at level info each connection, and at level debug what goes over it.
    least = logging.getLevelName(level.upper())
    root.setLevel(max(logging.WARNING, least))
    # Ours do not go by way of `logging`: that takes longer than all the rest of a line.
    structlog.configure(
        processors=[_whole([*begin, *end], lost)],
        logger_factory=lambda *_: output,
        wrapper_class=structlog.make_filtering_bound_logger(least),
        cache_logger_on_first_use=False,
    )
    _catch_the_rest()


class _Output:
    """Writes lines, one at a time, and raises nothing: there is nowhere else to say why."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def write(self, line: str) -> None:
        """Write a line."""
        with self._lock, suppress(OSError, ValueError):  # full, closed
            self._stream.write(line + "\n")
            self._stream.flush()

    debug = info = warning = error = critical = write


class _Handler(logging.Handler):
    """Takes the lines of libraries."""

    def __init__(self, output: _Output, lost: Callable[[str], str]) -> None:
        super().__init__()
        self._output = output
        self._lost = lost

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line, or that it was lost. By default logging prints what was to be told."""
        try:
            line = self.format(record)
        except Exception:
            line = self._lost(f"{record.pathname}:{record.lineno}")
        self._output.write(line)


def _lost_in_text(what: str) -> str:
    return f"clicktrail: a log line is lost: {what}"


def _lost_in_json(what: str) -> str:
    return json.dumps({"event": "a log line is lost", "what": what, "level": "error"})


def _whole(
    processors: Sequence[structlog.typing.Processor], lost: Callable[[str], str]
) -> structlog.typing.Processor:
    """Return what makes a line of an event; of one that cannot be told, that it was lost."""

    def told(logger: Any, method: str, event: structlog.typing.EventDict) -> str:
        name = event.get("event")
        line: Any = event
        try:
            for each in processors:
                line = each(logger, method, line)
        except Exception:  # whoever tells of something goes on
            return lost(str(name))
        return str(line)

    return told


def _catch_the_rest() -> None:
    """Let what nobody caught, and warnings, go the way of all lines."""

    def uncaught(kind: type[BaseException], error: BaseException, trace: object) -> None:
        if issubclass(kind, KeyboardInterrupt):
            return
        log.critical("an error that nobody caught", exc_info=error)

    def in_thread(given: Any) -> None:
        name = given.thread.name if given.thread else ""
        if given.exc_type is not SystemExit:
            log.error("a thread has failed", thread=name, exc_info=given.exc_value or True)

    def unraisable(given: Any) -> None:
        where = getattr(given.object, "__qualname__", type(given.object).__name__)
        log.error("an error that could not be raised", where=where, exc_info=given.exc_value)

    def warned(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        log.warning(
            "a warning of Python",
            category=category.__name__,
            where=f"{filename}:{lineno}",
            text=words_of(str(message)),
        )

    sys.excepthook = uncaught
    threading.excepthook = in_thread
    sys.unraisablehook = unraisable
    warnings.showwarning = warned


def words_of(text: str) -> str:
    """Return a library's text up to where a value may begin."""
    text = text[: 4 * _WORDS]
    found = _VALUE.search(text)
    return redact(text[: found.start()] if found else text, _WORDS).strip()


def _words_alone(_: Any, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    record: logging.LogRecord = event["_record"]
    # The text before its values were put in; where there were none, they are in it already.
    text = str(event["event"])
    given = event.pop("positional_args", None)
    event["event"] = redact(text, _WORDS) if given else words_of(text)
    event["logger"] = record.name
    return event


def _fault(event: structlog.typing.EventDict) -> BaseException | None:
    event.pop("stack_info", None)
    given = event.pop("exc_info", None)
    if isinstance(given, tuple):
        given = given[1]
    if isinstance(given, BaseException):
        return given
    return current() if given else None


def _exception_by(
    render: Callable[[BaseException], object],
) -> structlog.typing.Processor:
    """Return what puts the exception of a line into it as ``render`` tells it."""

    def told(_: Any, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        if (error := _fault(event)) is not None:
            event["exception"] = render(error)
        return event

    return told


def _addresses_dropped(
    _: Any, __: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    for name in _ADDRESSES:
        event.pop(name, None)
    return _redacted(event)


def _addresses_told(
    _: Any, __: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    given = [(name, event.pop(name)) for name in _ADDRESSES if name in event]
    told = _redacted(event)
    for name, value in given:
        told[name] = redact(value if isinstance(value, str) else " ".join(value), addresses=True)
    return told


def _redacted(event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    told = event.pop("exception", None)
    for key, value in event.items():
        event[key] = _told(value)
    if told is not None:
        event["exception"] = told
    return event


def _told(value: Any, depth: int = 0) -> Any:
    """Return a value as it may be told."""
    if isinstance(value, str):
        text = redact(value)
        return text.replace("\n", "\\n") if "\n" in text else text  # a line is a line
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, BaseException):
        return reason_of(value)
    if depth < _DEEPEST and isinstance(value, dict):
        items = list(value.items())[:_MOST_ITEMS]
        return {redact(str(key)): _told(each, depth + 1) for key, each in items}
    if depth < _DEEPEST and isinstance(value, list | tuple | set | frozenset):
        return [_told(each, depth + 1) for each in list(value)[:_MOST_ITEMS]]
    return f"<{type(value).__name__}>"


if logs_later.is_later:
    configure_logs(*logs_later.HOW)
