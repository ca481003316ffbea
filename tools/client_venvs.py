"""Install the real SES clients that the tests in ``tests/clients`` run, each where it is alone.

    .venv/bin/python tools/client_venvs.py [NAME …]

Makes ``.venv-clients/NAME``, a virtual environment, or for ``node`` and ``axe`` a folder of npm
packages. What was installed before from the same list is left as it is. Needs the ``.venv`` of this
project, whose pip does the work. A name that cannot be installed is told on standard error, with
status 1.
"""

import fcntl
import json
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".venv-clients"
PACKAGES = {
    "boto3-1.34": ["boto3==1.34.*"],
    "awscli": ["awscli>=1.44,<2"],
    "django": [
        *("django>=5.2,<6", "django-anymail[amazon-ses]>=13", "django-ses>=4.8"),
        "standardwebhooks>=1.0.1",
    ],
}
NODE_PACKAGES = {
    "node": ["@aws-sdk/client-sesv2@3", "nodemailer@7"],
    "axe": ["axe-core@4"],  # no client: what looks for faults in the console's pages
}


class CannotInstall(Exception):
    """A client cannot be installed here; the text says why."""


def main(names: list[str]) -> int:
    """Install the named clients, or all; return the exit status."""
    status = 0
    for name in names or [*PACKAGES, *NODE_PACKAGES]:
        try:
            print(client_environment(name), flush=True)
        except CannotInstall as error:
            print(error, file=sys.stderr)
            status = 1
    return status


def client_environment(name: str) -> Path:
    """Return the folder of an installed client; it is installed where it was not.

    Raises `CannotInstall`, and `KeyError` for a name that is not known.
    """
    wanted = {**PACKAGES, **NODE_PACKAGES}[name]
    FOLDER.mkdir(exist_ok=True)
    with (FOLDER / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests that run side by side want the same client
        return _installed(name, wanted)


def _installed(name: str, wanted: list[str]) -> Path:
    folder = FOLDER / name
    stamp = folder / "installed.json"
    if stamp.exists() and json.loads(stamp.read_text()) == wanted:
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    if name in NODE_PACKAGES:
        _install_node_packages(name, folder, wanted)
    else:
        # Without pip of its own, which not every Python brings along: ours installs into it.
        venv.create(folder, symlinks=True)
        pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "install"]
        _run(name, [*pip, "--quiet", "--disable-pip-version-check", *wanted])
    stamp.write_text(json.dumps(wanted))
    return folder


def _install_node_packages(name: str, folder: Path, packages: list[str]) -> None:
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        raise CannotInstall(f"{name}: Node.js and npm are not on this machine")
    folder.mkdir(parents=True)
    # Without a package.json of its own, npm would look for one further up.
    (folder / "package.json").write_text(json.dumps({"private": True, "type": "module"}))
    options = ["--prefix", str(folder), "--no-audit", "--no-fund", "--silent"]
    _run(name, [npm, "install", *options, *packages])


def _run(name: str, command: list[str]) -> None:
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=600)
    except subprocess.TimeoutExpired:
        raise CannotInstall(f"{name}: the packages did not come within ten minutes") from None
    if done.returncode:
        raise CannotInstall(f"{name}: {(done.stderr or done.stdout).strip()[-1000:]}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
