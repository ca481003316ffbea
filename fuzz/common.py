"""What the fuzzers share: the rewriter with its coverage watched, seeds, dictionaries, time."""

import sys
import time
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["clicktrail.rewrite"]):
    import clicktrail.rewrite  # noqa: F401 - imported first, so that its coverage is watched

from support.rewrite_checks import run
from targets import TARGETS, envelope

HERE = Path(__file__).parent
SECONDS = 1.0
LARGE = 100_000
EVERY = 20


def fuzz(name: str) -> None:
    """Fuzz a target by name; does not return.

    Arguments of the command line are libFuzzer's. Inputs that reach something new are kept in
    ``fuzz/found/``, those that break a promise in ``fuzz/broken/``; neither is in the repository.
    """
    check = TARGETS[name]
    count = 0

    def one(data: bytes) -> None:
        nonlocal count
        check(data)
        count += 1
        if count % EVERY == 0 and data:
            # The same thing a thousand times: what is not linear shows.
            in_time(envelope(name, data * (LARGE // len(data) + 1)))

    atheris.Setup(arguments(name), one)
    atheris.Fuzz()


def arguments(name: str) -> list[str]:
    """Return the command line for libFuzzer."""
    found, broken = HERE / "found" / name, HERE / "broken"
    for folder in (found, broken):
        folder.mkdir(parents=True, exist_ok=True)
    given = sys.argv[1:]
    inputs = [str(found), str(HERE / "corpus" / name)]
    return [
        sys.argv[0],
        f"-dict={HERE / name}.dict",
        f"-artifact_prefix={broken}/{name}-",
        "-timeout=20",
        "-max_len=4096",
        *given,
        *([] if any(Path(argument).exists() for argument in given) else inputs),
    ]


def in_time(raw: bytes) -> None:
    """Fail where the rewriter takes more processor time than a second per 100 KB."""
    start = time.process_time()
    run(raw, opens=True)
    taken = time.process_time() - start
    if taken > SECONDS * max(1.0, len(raw) / LARGE):
        raise AssertionError(f"{taken:.1f} s for {len(raw)} bytes")
