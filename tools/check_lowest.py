"""Check that the libraries installed here are the lowest that ``pyproject.toml`` lets in.

    .venv-lowest/bin/python tools/check_lowest.py [EXEMPT …]

Ends with a line for each that is newer than its lower bound, but those that are exempt: a bound
below what another library asks for has never been tried.
"""

import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

PROJECT = Path(__file__).resolve().parent.parent / "pyproject.toml"


def untried(exempt: set[str]) -> list[str]:
    """Return what is installed in no version that begins as its lower bound does, in words."""
    project = tomllib.loads(PROJECT.read_text("utf-8"))["project"]
    extras = project["optional-dependencies"].values()
    named = [*project["dependencies"], *(each for extra in extras for each in extra)]
    found = []
    for requirement in map(Requirement, named):
        if requirement.name in exempt or (requirement.marker and not requirement.marker.evaluate()):
            continue
        bound = requirement.specifier
        lowest = [Version(each.version).release for each in bound if each.operator == ">="]
        if not lowest:
            found.append(f"{requirement.name} has no lower bound")
            continue
        installed = version(requirement.name)
        if Version(installed).release[: len(lowest[0])] != lowest[0]:
            found.append(f"{requirement.name} {installed} is installed, and {bound} named")
    return found


if __name__ == "__main__":
    sys.exit("\n".join(untried(set(sys.argv[1:]))) or None)
