"""The ways to install end with a click through https, on a machine that has nothing yet."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAMS = ("debootstrap", "pebble", "unshare", "ip", "openssl", "curl", "dpkg-deb")
FOR_THE_IMAGE = ("buildah", "nft")
SET_UP = 2400.0
"""Seconds that a fresh Debian and three installations may take on the busiest machine."""


def absent(programs: tuple[str, ...]) -> str:
    """Return which of them are not here, in words."""
    names = [name for name in programs if shutil.which(name) is None]
    return f"there is no {', '.join(names)} here" if names else ""


def missing() -> str:
    """Return why it cannot be tried here; nothing where it can."""
    if os.geteuid() != 0:
        return "a fresh Debian needs root"
    if why := absent(PROGRAMS):
        return why
    alone = ["unshare", "--net", "--mount", "--pid", "--fork", "true"]
    if subprocess.run(alone, capture_output=True).returncode:
        return "no namespaces can be made here"
    if not any(map(shutil.which, ("/usr/bin/python3.11", "python3.11"))):
        return "there is no Python 3.11 here, which gathers packages for Debian 12"
    return ""


@pytest.mark.long
@pytest.mark.skipif(bool(missing()), reason=f"NOT TESTED: {missing()}")
def test_installed_as_the_readme_has_it_in_a_fresh_debian(tmp_path: Path) -> None:
    """The wheel, the package of Debian and the image; the rest is left to the command itself.

    All are installed in one Debian, whose making takes the longest.
    """
    pytest.importorskip("build", reason="there is no `build`: tools/setup_venv.py dev dist")
    no_image = absent(FOR_THE_IMAGE)
    ways = ["pip", "deb"] if no_image else ["pip", "deb", "image"]
    done = subprocess.run(
        ["tools/try_install.sh", *ways],
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=SET_UP,
    )
    assert not done.returncode, done.stdout[-2000:] + done.stderr[-4000:]
    ended = [line for line in done.stdout.splitlines() if line.endswith(": ended well")]
    assert [line.split()[1] for line in ended] == [f"{way}:" for way in ways]
    if no_image:
        pytest.skip(f"NOT TESTED: the image, as {no_image}; {' and '.join(ways)} ended well")
