"""Log lines of every origin, as a process writes them: no values that libraries or faults hold."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import clicktrail

PROGRAM = """
import asyncio, logging, sys, threading, warnings
import structlog
from clicktrail.errors import StoreUnavailable
from clicktrail.base.logs import configure_logs
from clicktrail.base.redact import hide

configure_logs("debug", sys.argv[1])
hide("Mark3dSecret")
log = structlog.get_logger("clicktrail.test")


class Holder:
    def __repr__(self):
        return "Mark3dRepr"


def fail(variable):
    raise ValueError(f"bad {variable}")


def deeper(variable):
    try:
        fail(variable)
    except ValueError as error:
        raise StoreUnavailable("gone with Mark3dSecret of mark3d@example.com") from error


try:
    deeper("Mark3dVariable")
except StoreUnavailable:
    log.exception("a fault", given=Holder(), raw=b"Mark3dBytes", deep={"a": [Holder()]}, n=1)
log.warning("told", answer="550 <mark3d@example.com>: Mark3dSecret\\nsecond line")
log.debug("ours at debug")
library = logging.getLogger("a.library")
library.debug("Mark3dDebug")
library.info("Mark3dInfo")
library.error("library says %s of %r", "Mark3dArgument", Holder())
library.error("library says ready-made 'Mark3dText'", extra={"extra": "Mark3dExtra"})
library.error("wrong %d", "Mark3dWrongType")
try:
    fail("Mark3dVariable")
except ValueError:
    library.exception("library failed")
warnings.warn("careful with 'Mark3dWarning'", RuntimeWarning)


async def main():
    loop = asyncio.get_running_loop()
    loop.call_soon(fail, "Mark3dCallback")
    lost = asyncio.ensure_future(coroutine("Mark3dTask"))
    await asyncio.sleep(0.05)
    del lost
    loop.call_exception_handler({"message": "of a loop", "value": "Mark3dContext"})


async def coroutine(variable):
    fail(variable)


asyncio.run(main())
thread = threading.Thread(target=fail, args=("Mark3dThread",))
thread.start()
thread.join()


class Unraisable:
    def __del__(self):
        fail("Mark3dUnraisable")


Unraisable()
fail("Mark3dUncaught")
"""


def lines(style: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, style], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 1
    assert done.stdout == ""
    return done.stderr


@pytest.mark.parametrize("style", ["json", "text"])
def test_no_line_holds_a_value(style: str) -> None:
    said = lines(style)
    assert "mark3d" not in said.lower()
    for event in (
        "a fault",
        "ours at debug",
        "library says %s of %r",
        "library says ready-made",
        "library failed",
        "a warning of Python",
        "careful with",
        "of a loop",
        "Exception in callback fail",
        "Task exception was never retrieved",
        "a thread has failed",
        "an error that could not be raised",
        "an error that nobody caught",
    ):
        assert event in said, event
    assert "gone with (hidden) of (address)" in said


def test_lines_are_json_one_each_with_the_frames_of_a_fault() -> None:
    told = [json.loads(line) for line in lines("json").splitlines()]
    fault = next(each for each in told if each["event"] == "a fault")
    assert (fault["given"], fault["raw"], fault["deep"]) == (
        "<Holder>",
        "<bytes>",
        {"a": ["<Holder>"]},
    )
    assert fault["n"] == 1
    last, first = fault["exception"]
    assert last["exc_value"] == "gone with (hidden) of (address)"
    assert (first["exc_type"], first["exc_value"]) == ("ValueError", "")
    assert first["frames"][-1].keys() == {"filename", "lineno", "name"}
    assert first["frames"][-1]["name"] == "fail"
    [answer] = [each["answer"] for each in told if each["event"] == "told"]
    assert answer == "550 <(address)>: (hidden)\\nsecond line"


LOST = """
import sys
from clicktrail.base.logs import configure_logs, get_logger

configure_logs("info", sys.argv[1])
log = get_logger("clicktrail.test")


class Odd(str):
    def isprintable(self):
        raise ValueError("Mark3dValue")


log.info("of odd", value=Odd("x"))
log.info("afterwards")
sys.stderr.close()
log.info("to nobody")
print("went on")
"""


@pytest.mark.parametrize("style", ["json", "text"])
def test_who_tells_what_cannot_be_told_goes_on(style: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOST, style], capture_output=True, text=True, timeout=300
    )
    assert (done.returncode, done.stdout) == (0, "went on\n")
    first, second = done.stderr.splitlines()
    if style == "json":
        assert json.loads(first) == {
            "event": "a log line is lost",
            "what": "of odd",
            "level": "error",
        }
    else:
        assert first == "clicktrail: a log line is lost: of odd"
    assert "afterwards" in second


LATER = """
import logging, sys, threading, warnings
from clicktrail.base.logs_later import configure_logs_later

configure_logs_later()
assert "structlog" not in sys.modules


def fail():
    raise ValueError("Mark3dValue")


class Unraisable:
    def __del__(self):
        fail()


def of_ours():
    from clicktrail.base.logs import get_logger
    get_logger("clicktrail.test").info("not told")
    get_logger("clicktrail.test").warning("a line of ours")


def in_thread():
    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
"""


@pytest.mark.parametrize(
    ("does", "event"),
    [
        ("of_ours()", "a line of ours"),
        ("logging.getLogger('a.library').error('wrong: %s', 'Mark3d')", "wrong: %s"),
        ("warnings.warn('careful', RuntimeWarning)", "careful"),
        ("in_thread()", "a thread has failed"),
        ("Unraisable()", "an error that could not be raised"),
        ("fail()", "an error that nobody caught"),
    ],
)
def test_logs_are_loaded_and_configured_by_the_first_line(does: str, event: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LATER + does], capture_output=True, text=True, timeout=300
    )
    assert (done.returncode, done.stdout) == (int(does == "fail()"), "")
    assert done.stderr.count(event) == 1
    assert "Mark3d" not in done.stderr
    assert "not told" not in done.stderr


def test_log_lines_are_given_exceptions_and_not_their_texts() -> None:
    # So that it is told by its kind what of an exception may be told.
    for path in sorted(Path(clicktrail.__file__).parent.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        caught = {
            node.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ExceptHandler) and node.name
        }
        for call in ast.walk(tree):
            if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
                continue
            if ast.unparse(call.func.value) != "log":
                continue
            for given in call.keywords:
                texts = [
                    each
                    for each in ast.walk(given.value)
                    if isinstance(each, ast.FormattedValue)
                    or (isinstance(each, ast.Call) and ast.unparse(each.func) in ("str", "repr"))
                ]
                named = {n.id for each in texts for n in ast.walk(each) if isinstance(n, ast.Name)}
                assert named.isdisjoint(caught), f"{path}:{call.lineno}: {ast.unparse(given)}"
