"""The program behind `support.forked`: loads Clicktrail, and forks for each order that it gets.

It is given the number of a socket. An order is a message with files: what to do (JSON: words,
folder, environment), standard input, output and error, and where the exit status is written to.
It ends when the socket's other end is closed.
"""

import atexit
import gc
import importlib
import json
import os
import pkgutil
import selectors
import socket
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from setproctitle import getproctitle


def load() -> None:
    """Load what a service that runs has loaded, and what it loads when it is first needed."""
    import clicktrail

    getproctitle()  # it finds the place of the title now: not any more in another environment
    for module in pkgutil.walk_packages(clicktrail.__path__, "clicktrail."):
        if not module.name.endswith("__main__") and ".migrations" not in module.name:
            importlib.import_module(module.name)
    for name in _MORE:
        importlib.import_module(name)
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from support.command_line import invoke, make_once
    from support.new_stores import copy_new_stores, migrated

    make_once()
    invoke(["settings", "--data", "/"])
    copy_new_stores()
    migrated()
    gc.freeze()  # so that no collection in a fork copies what all of them share


_MORE = (
    "alembic.command",
    "alembic.autogenerate",
    "alembic.config",
    "anyio._backends._asyncio",
    "anyio.streams.tls",
    "encodings.idna",
    "pydantic.type_adapter",
    "pydantic.types",
    "smtplib",
    "typer._adapters",
    "uvicorn.lifespan.off",
)


def prepare(words: Sequence[str]) -> None:
    """Make the command that a process is to run, for it and for all that come after it."""
    from support.command_line import made

    made(words)
    gc.freeze()


def become(order: list[Any], files: list[int]) -> None:
    """Be in this new process what an order says; its first three files are the standard ones."""
    words, folder, environment, user = order
    for number, file in enumerate(files):
        os.dup2(file, number)
    os.closerange(3, 256)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["clicktrail", *words]
    if user is not None:
        os.setegid(user)
        os.seteuid(user)
    # As the interpreter's start makes them: those from before have looked at the files from before.
    sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = os.fdopen(
        2, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False
    )


def ended(pid: int, status: int) -> None:
    """Write to a pipe how a process has ended."""
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    with suppress(BrokenPipeError):
        os.write(status, b"%d" % code)
    os.close(status)


def serve(orders: socket.socket) -> bool:
    """Fork for each order. Returns ``True`` in each new process, and ``False`` in the end."""
    events = selectors.DefaultSelector()
    events.register(orders, selectors.EVENT_READ)
    while True:
        for key, _ in events.select():
            if key.data is not None:
                events.unregister(key.fd)
                os.close(key.fd)
                ended(*key.data)
                continue
            message, files, _, _ = socket.recv_fds(orders, 16, 8)
            if not message:
                return False
            order, *standard, status = files
            told = json.loads(os.pread(order, 1 << 20, 0))
            prepare(told[0])
            if (pid := os.fork()) == 0:
                events.close()
                orders.detach()
                become(told, standard)
                return True
            for file in (order, *standard):
                os.close(file)
            events.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, status))
            orders.send(b"%d" % pid)


def leave(end: SystemExit) -> None:
    """End as the interpreter does, but for taking down what was loaded, which all forks share."""
    if not isinstance(end.code, int):
        raise end
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(end.code)


if __name__ == "__main__":
    load()
    if serve(socket.socket(fileno=int(sys.argv[1]))):
        from clicktrail.__main__ import main

        try:
            main()
        except SystemExit as end:
            leave(end)
