"""Judges a great many random documents, over all processors. Prints each document that fails.

    python tests/links/judge_driver.py --examples 1000000 --first 0

Each document is made from its number: ``--first NUMBER --examples 1`` finds a failure again.
"""

import argparse
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from random import Random

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2] / "src")]

_BATCH = 500


def judge_batch(first: int, count: int) -> list[tuple[int, str, list[str]]]:
    """Judge documents by their numbers; return number, text and faults of those that fail.

    With opens on: without the image, each is what it is without them.
    """
    from links.documents import document
    from links.trial import judge_document

    failed = []
    for number in range(first, first + count):
        text = document(Random(number))
        try:
            wrong = judge_document(text, Random(~number), opens=True)
        except Exception as error:
            wrong = [f"{type(error).__name__}: {error}"]
        if wrong:
            failed.append((number, text, wrong))
    return failed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=100_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--show", type=int, default=20, help="how many failures to print")
    options = parser.parse_args()
    end = options.first + options.examples
    starts = range(options.first, end, _BATCH)
    counts = [min(_BATCH, end - start) for start in starts]
    begin = time.monotonic()
    failures = 0
    with ProcessPoolExecutor(options.processes) as pool:
        for batch, failed in enumerate(pool.map(judge_batch, starts, counts), 1):
            for number, text, wrong in failed:
                failures += 1
                if failures <= options.show:
                    print(f"\n{number}: {text!r}", *wrong, sep="\n  ", flush=True)
            if sys.stderr.isatty() or batch % 200 == 0 or batch == len(counts):
                done = min(batch * _BATCH, options.examples)
                rate = done / (time.monotonic() - begin)
                print(f"{done} documents, {failures} failed, {rate:.0f}/s", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
