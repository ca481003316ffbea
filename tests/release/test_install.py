"""The ways to install end with a click through https, on a machine that has nothing yet."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAMS = ("debootstrap", "pebble", "unshare", "ip", "openssl", "curl", "dpkg-deb")
SET_UP = 1800.0
"""Seconds that a fresh Debian and two installations may take on the busiest machine."""


def missing() -> str:
    """Return why it cannot be tried here; nothing where it can."""
    if os.geteuid() != 0:
        return "a fresh Debian needs root"
    if absent := [name for name in PROGRAMS if shutil.which(name) is None]:
        return f"there is no {', '.join(absent)} here"
    alone = ["unshare", "--net", "--mount", "--pid", "--fork", "true"]
    if subprocess.run(alone, capture_output=True).returncode:
        return "no namespaces can be made here"
    if not any(map(shutil.which, ("/usr/bin/python3.11", "python3.11"))):
        return "there is no Python 3.11 here, which gathers packages for Debian 12"
    return ""


@pytest.mark.long
@pytest.mark.skipif(bool(missing()), reason=f"NOT TESTED: {missing()}")
def test_installed_as_the_readme_has_it_in_a_fresh_debian(tmp_path: Path) -> None:
    """The wheel and the package of Debian; the other ways are left to the command itself."""
    pytest.importorskip("build", reason="there is no `build`: tools/setup_venv.py dev dist")
    command = ["tools/try_install.sh", "--in", str(tmp_path), "pip", "deb"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=SET_UP)
    assert not done.returncode, done.stdout[-2000:] + done.stderr[-4000:]
    assert [line for line in done.stdout.splitlines() if line.endswith(": ended well")][1:]
