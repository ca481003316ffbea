"""Make or refresh the virtual environment ``.venv``, with nothing but Python.

    python3 tools/setup_venv.py [--newest] [GROUP …]

Installs the project (editable) and the named dependency groups of ``pyproject.toml``, in the
versions of ``constraints.txt``: those that the tests have passed with. Does nothing when they were
installed before from the same two files, but with ``--newest``, which brings all that is there to
the newest versions that ``pyproject.toml`` lets in. Debian and Ubuntu ship Python without
`ensurepip`; there, pip is taken from its own package, or else from the package index.
"""

import hashlib
import json
import os
import re
import ssl
import subprocess
import sys
import urllib.parse
import urllib.request
import venv
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "installed.json"
CONSTRAINTS = ROOT / "constraints.txt"
DEBIAN_WHEELS = Path("/usr/share/python-wheels")
INDEX = os.environ.get("PIP_INDEX_URL", "https://pypi.org/simple").rstrip("/")


def main(groups: list[str], *, newest: bool = False) -> None:
    """Set up what is not yet set up; with ``newest``, in the newest versions."""
    if sys.version_info < (3, 11):  # noqa: UP036 - whoever runs this may have an older one
        sys.exit(f"Clicktrail needs Python 3.11 or newer; this is {sys.version.split()[0]}")
    named = (ROOT / "pyproject.toml").read_bytes() + CONSTRAINTS.read_bytes()
    wanted = hashlib.sha256(named).hexdigest()
    done = read_stamp()
    missing = sorted(set(groups) - set(done.get(wanted, [])))
    if wanted in done and not missing and PYTHON.exists() and not newest:
        return
    print(f"Setting up {VENV.name} (about a minute) …", flush=True)
    if not PYTHON.exists() or not has_pip():
        make_venv()
    pip("install", "--quiet", "--upgrade", "pip>=25.1")  # older ones know no dependency groups
    arguments = [item for group in groups for item in ("--group", group)]
    tested = ("--constraint", str(CONSTRAINTS))
    upgrade = ("--upgrade", "--upgrade-strategy", "eager")
    versions = upgrade if newest else tested
    pip("install", "--quiet", *versions, "--editable", str(ROOT), *arguments)
    installed = sorted({*groups, *done.get(wanted, [])})
    STAMP.write_text(json.dumps({wanted: installed}))


def read_stamp() -> dict[str, list[str]]:
    """Return the groups installed, by the hash of the files that named them."""
    try:
        stamp: dict[str, list[str]] = json.loads(STAMP.read_text())
    except (OSError, ValueError):
        return {}
    return stamp


def has_pip() -> bool:
    """Whether the virtual environment has pip."""
    probe = [str(PYTHON), "-c", "import pip"]
    return subprocess.run(probe, check=False, capture_output=True).returncode == 0


def make_venv() -> None:
    """Make the virtual environment with pip in it."""
    try:
        import ensurepip  # noqa: F401, PLC0415 - asking whether it is there
    except ImportError:
        venv.create(VENV, clear=True, symlinks=True)
        wheel = find_pip()
        # A wheel of pip runs from inside the zip file.
        run(PYTHON, wheel / "pip", "install", "--quiet", "--no-index", wheel)
    else:
        venv.create(VENV, clear=True, symlinks=True, with_pip=True)


def find_pip() -> Path:
    """Return a wheel of pip: Debian's, or the newest of the package index."""
    for wheel in sorted(DEBIAN_WHEELS.glob("pip-*.whl")):
        return wheel
    request = urllib.request.Request(
        f"{INDEX}/pip/", headers={"Accept": "application/vnd.pypi.simple.v1+json"}
    )
    try:
        files = json.loads(fetch(request))["files"]
        newest = max(files, key=release)
        url = urllib.parse.urljoin(request.full_url, newest["url"])
        content = fetch(urllib.request.Request(url))
    except (OSError, ValueError, LookupError) as error:
        sys.exit(
            f"pip cannot be fetched from {INDEX} ({error}).\n"
            "Install it with your system, then try again: apt-get install python3-venv"
        )
    if hashlib.sha256(content).hexdigest() != newest["hashes"]["sha256"]:
        sys.exit(f"{newest['filename']} is damaged: its SHA-256 differs from the index's")
    path: Path = VENV / newest["filename"]
    path.write_bytes(content)
    return path


def release(file: dict[str, Any]) -> tuple[int, ...]:
    """Return the version of a file of pip's, for comparing; what cannot be used comes first."""
    name = re.fullmatch(r"pip-([0-9.]+)-py3-none-any\.whl", file["filename"])
    if name is None or file.get("yanked"):
        return ()
    return tuple(int(number) for number in name[1].split("."))


def fetch(request: urllib.request.Request) -> bytes:
    """Return what is at a URL."""
    certificates = os.environ.get("PIP_CERT") or None
    context = ssl.create_default_context(cafile=certificates)
    with urllib.request.urlopen(request, timeout=60, context=context) as answer:
        content: bytes = answer.read()
    return content


def pip(*arguments: str) -> None:
    """Run pip in the virtual environment."""
    run(PYTHON, "-m", "pip", *arguments)


def run(*command: str | Path) -> None:
    """Run a command; end with its exit status if it fails."""
    status = subprocess.run([str(part) for part in command], check=False).returncode
    if status:
        sys.exit(status)


if __name__ == "__main__":
    given = sys.argv[1:]
    main([each for each in given if each != "--newest"], newest="--newest" in given)
