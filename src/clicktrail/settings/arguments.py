"""Takes secrets off the command line, where every user of the machine sees them (``ps``).

It runs before the program's parts are loaded, and so knows flags by their names alone.
"""

import re
import sys
from collections.abc import Iterator, Sequence

from setproctitle import setproctitle

from clicktrail.base.redact import HIDDEN, redact, without_login

SECRET_FLAG = re.compile(
    r"--(?:[a-z-]+-)?(?:password|secret|token|access-key(?:-id)?|mac-key|url|webhook)"
)
"""Flags whose values are not shown. A test sees to it that it fits every secret setting."""


def conceal_arguments() -> None:
    """Overwrite this process's arguments, as the system shows them, where they hold a secret."""
    shown = shown_arguments(sys.argv[1:])
    if shown != sys.argv[1:]:
        setproctitle(" ".join(["clicktrail", *shown]))


def is_text(word: str) -> bool:
    """Whether what the system gave is UTF-8: bytes that are none come as surrogates (PEP 383)."""
    try:
        word.encode()
    except UnicodeEncodeError:
        return False
    return True


def shown_arguments(arguments: Sequence[str]) -> list[str]:
    """Return arguments without secrets, logins in URLs, and email addresses."""
    return list(_shown(arguments))


def _shown(arguments: Sequence[str]) -> Iterator[str]:
    secret = False
    for argument in arguments:
        flag, equals, _ = argument.partition("=")
        if secret:
            yield HIDDEN
            secret = False
        elif SECRET_FLAG.fullmatch(flag):
            secret = not equals
            yield f"{flag}={HIDDEN}" if equals else flag
        else:
            yield redact(without_login(argument))
