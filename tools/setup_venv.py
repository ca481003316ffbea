"""Make or refresh the virtual environment ``.venv``, with nothing but Python.

    python3 tools/setup_venv.py [--newest] [GROUP …]

Installs the project (editable) and the named dependency groups of ``pyproject.toml``, in the
versions of ``constraints.txt``: those that the tests have passed with. Does nothing when they were
installed before from the same two files, but with ``--newest``, which brings all that is there to
the newest versions that ``pyproject.toml`` lets in. uv installs them, in a quarter of pip's time;
pip does where it has settings that uv does not know. pip itself comes with Python, from Debian's
package of it, or else from the package index.
"""

import ast
import hashlib
import importlib.util
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
UV = VENV / "bin" / "uv"
STAMP = VENV / "installed.json"
CONSTRAINTS = ROOT / "constraints.txt"
DEBIAN_WHEELS = Path("/usr/share/python-wheels")
QUICKLY = ("--quiet", "--no-compile")
NEWER_PIP = "pip>=25.1"
"""Older ones know no dependency groups."""
ANY_UV = "uv>=0.9; sys_platform in 'linux darwin' and platform_machine in 'x86_64 aarch64 arm64'"
UV_CALLS_SO = {"constraint", "extra-index-url", "find-links", "index-url"}
UV_NEEDS_NOT = {"cache-dir", "default-timeout", "disable-pip-version-check", "timeout"}
"""Settings of pip that change nothing of what is installed."""
SELDOM_LOADED = r"/(django|moto|mypyc?|pip|pkg_resources|pygments/lexers|setuptools)/"
"""Half of what there is to compile: tests load little of it, which is compiled then."""
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
    print(f"Setting up {VENV.name} (half a minute) …", flush=True)
    make_venv()
    arguments = ["--editable", str(ROOT)]
    for group in groups:
        arguments += ["--group", group]
    tested = ["--constraint", str(CONSTRAINTS)]
    if newest:
        pip("--upgrade", "--upgrade-strategy", "eager", *arguments)
    elif not uv(*tested, *arguments):
        pip(*tested, *arguments)
    compile_all()
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
    """Make the virtual environment, with pip in it, and uv where it can be had."""
    if not PYTHON.exists() or not has_pip():
        venv.create(VENV, clear=True, symlinks=True)
        # A wheel of pip runs from inside the zip file.
        start: list[str | Path] = [PYTHON, find_pip() / "pip"]
    else:
        start = [PYTHON, "-m", "pip"]
    chosen = ("install", *QUICKLY, "--upgrade", "--constraint", CONSTRAINTS)
    run(*start, *chosen, NEWER_PIP)
    # All goes on without it, more slowly.
    subprocess.run([PYTHON, "-m", "pip", *chosen, ANY_UV], check=False)


def find_pip() -> Path:
    """Return a wheel of pip: Python's own, Debian's, or the newest of the package index."""
    own = importlib.util.find_spec("ensurepip")
    bundled = Path(own.origin).parent / "_bundled" if own and own.origin else DEBIAN_WHEELS
    for wheel in (*bundled.glob("pip-*.whl"), *DEBIAN_WHEELS.glob("pip-*.whl")):
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
    """Install by pip; end with its exit status if it fails."""
    run(PYTHON, "-m", "pip", "install", *QUICKLY, *arguments)


def uv(*arguments: str) -> bool:
    """Install by uv, if it would find what pip would; return whether it did."""
    asked = [str(PYTHON), "-m", "pip", "config", "list"]
    listed = subprocess.run(asked, check=False, capture_output=True, text=True)
    told = [line.partition("=") for line in listed.stdout.splitlines()]
    options, environment = [], os.environ | {"UV_SYSTEM_CERTS": "1"}
    for name, _, value in told:
        option = name.rpartition(".")[2]
        if option == "cert":
            environment["SSL_CERT_FILE"] = ast.literal_eval(value)
        elif option in UV_CALLS_SO:
            options += [f"--{option}={each}" for each in ast.literal_eval(value).split()]
        elif option not in UV_NEEDS_NOT:
            return False
    command = [str(UV), "pip", "install", "--quiet", "--python", str(PYTHON), *options, *arguments]
    # As pip: the newest of all indexes.
    command.append("--index-strategy=unsafe-best-match")
    return UV.exists() and subprocess.run(command, check=False, env=environment).returncode == 0


def compile_all() -> None:
    """Compile what was installed, on all cores; pip does it on one."""
    where = [str(each) for each in VENV.glob("lib/python*/site-packages")]
    command = [str(PYTHON), "-m", "compileall", "-qq", "-j", "0", "-x", SELDOM_LOADED, *where]
    # What is written for another version of Python cannot be compiled: no matter.
    subprocess.run(command, check=False)


def run(*command: str | Path) -> None:
    """Run a command; end with its exit status if it fails."""
    status = subprocess.run([str(part) for part in command], check=False).returncode
    if status:
        sys.exit(status)


if __name__ == "__main__":
    given = sys.argv[1:]
    main([each for each in given if each != "--newest"], newest="--newest" in given)
