"""Runs the console of one build on a data folder, for ``console.py --beside``.

    PYTHONPATH=CHECKOUT/src:CHECKOUT/tests:CHECKOUT/benchmarks \
        python -P benchmarks/console_of_a_build.py FOLDER

Prints as JSON its address, the cookies of somebody who has signed in, its process, and the names of
the pages that the build's own benchmark asks for; ends with its input.
"""

import json
import sys
import time
from pathlib import Path

import console
from clicktrail.keys.ringfile import KeyFile
from support.service import Service
from support.visitor import Visitor


def main() -> None:
    """Start, sign in, tell, wait."""
    service = Service(Path(sys.argv[1]))
    KeyFile(service.data / "keys.json").create_if_missing()
    with service, Visitor(service) as visitor:
        link = service.cli("console-user", "create", f"b{time.time_ns()}", "--role", "viewer")
        visitor.welcome(link.strip().rpartition("/welcome/")[2])
        told = {
            "url": str(visitor.client.base_url),
            "cookies": dict(visitor.client.cookies),
            "pid": service.pid,
            "pages": list(console.pages(visitor)),
        }
        print(json.dumps(told), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
