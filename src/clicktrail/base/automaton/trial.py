"""Compiles somebody's expression in a process of its own, to see what comes of it.

For some the library takes minutes, or all the memory and the process with it.
"""

import resource
import signal
import subprocess
import sys

from clicktrail.base.automaton import search_of
from clicktrail.errors import InvalidInput

CPU_SECONDS = 0.5
"""Time of the processor. What people write takes a hundredth of it."""
_MEMORY = 1024 * 1024 * 1024
_PATIENCE = 60


def check(expression: str, seconds: float = CPU_SECONDS) -> None:
    """Raise `InvalidInput` for an expression that cannot be searched for, or not compiled in time.

    Blocks for as long.
    """
    command = [sys.executable, "-m", __name__, str(seconds)]
    text = expression.encode("utf-8", "surrogatepass")
    try:
        done = subprocess.run(  # noqa: S603
            command, input=text, capture_output=True, check=False, timeout=_PATIENCE
        )
    except subprocess.TimeoutExpired:
        done = None
    if done is None or done.returncode not in (0, _REFUSED):
        raise InvalidInput(
            f"{expression[:100]!r} takes too long to compile, or too much memory: make the"
            " expression simpler, with fewer and smaller repeats ({m,n})"
        )
    if done.returncode == _REFUSED:
        raise InvalidInput(done.stdout.decode("utf-8", "replace"))


_REFUSED = 3


def main() -> int:
    """Compile what the input has, within so many seconds: then the kernel ends this process."""
    expression = sys.stdin.buffer.read().decode("utf-8", "surrogatepass")
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    if hard == resource.RLIM_INFINITY or hard > _MEMORY:
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.setitimer(signal.ITIMER_PROF, float(sys.argv[1]))
    try:
        search_of(expression)
    except InvalidInput as error:
        sys.stdout.buffer.write(str(error).encode("utf-8", "backslashreplace"))
        return _REFUSED
    return 0


if __name__ == "__main__":
    sys.exit(main())
