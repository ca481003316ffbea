"""``clicktrail``, and ``python -m clicktrail``."""

# ruff: noqa: PLC0415 - to load the program takes a moment, and each import has its place in it

import gc
import os
import signal
import sys
from typing import NoReturn

INTERRUPTED = 130
"""As the shell has it for who dies of SIGINT."""

MANY_OBJECTS = 100_000
"""So many are made before a command looks for garbage: of what it loads, nothing is."""


def main() -> None:
    """Run the command line."""
    _end_quietly_at_ctrl_c()
    if next((word for word in sys.argv[1:] if not word.startswith("-")), "") == "serve":
        from clicktrail.service.signals import hold_back

        hold_back()
    else:
        gc.set_threshold(MANY_OBJECTS)
    from clicktrail.settings.arguments import conceal_arguments

    conceal_arguments()
    # Only now: while it is loaded, others would see the arguments.
    from clicktrail.cli import main as run

    run()


def _end_quietly_at_ctrl_c() -> None:
    """Until the command line has its command: nothing has begun, and there is nothing to tell."""

    def end(*_: object) -> NoReturn:
        os._exit(INTERRUPTED)  # an exception may come out of an import as another one

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else: told to ignore it
        signal.signal(signal.SIGINT, end)


if __name__ == "__main__":
    main()
