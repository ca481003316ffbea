"""Mail servers of Debian that are not installed: each runs in a root, and with users, of its own.

`tools/unpack_mail_servers.sh` unpacks them. Their files lie over the machine's `/usr`; `/etc`,
`/var` and processes are theirs alone, and end with them; the network is the machine's.
"""

import os
import shutil
import signal
import smtplib
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.service import PATIENCE, wait_for

UNPACKED = Path(sys.prefix) / "mail-servers"
_ROOT = """\
set -e
mount -t tmpfs tmpfs "$1"
cd "$1"
mkdir usr etc var var/spool run tmp dev proc
mount -t overlay overlay -o "lowerdir=$2/usr:/usr" usr
ln -s usr/bin usr/sbin usr/lib usr/lib64 .
ln -s ../run var/run
cp -a "$3/etc/." etc
cp /etc/nsswitch.conf /etc/ld.so.cache etc
mount --rbind /dev dev
mount -t proc proc proc
mkdir log && mount --bind "$3/log" log
shift 3
exec chroot . sh -c "$*"
"""
_USERS = "root:x:0:0:root:/root:/bin/sh\n"
_GROUPS = "root:x:0:\n"


def missing(program: str) -> str:
    """Return why a mail server cannot run here; nothing where it can."""
    if not (UNPACKED / "usr/sbin" / program).exists():
        return f"no {program} here (tools/unpack_mail_servers.sh {UNPACKED})"
    if os.geteuid() != 0:
        return f"{program} needs root"
    with tempfile.TemporaryDirectory() as folder:
        made = _run(Path(folder), "true")
        return "" if made.wait(PATIENCE) == 0 else "no root of its own can be made (overlayfs)"


def needs(program: str) -> pytest.MarkDecorator:
    """Return the mark of tests of a mail server."""
    why = missing(program)
    return pytest.mark.skipif(bool(why), reason=f"NOT TESTED: {why}")


@contextmanager
def own_root(
    command: str, files: Mapping[str, str], users: Mapping[str, int], port: int
) -> Iterator[Path]:
    """Run a mail server; yield the folder that it has as ``/log``.

    ``command`` is of a shell in its root, ``files`` are put into its ``/etc``. It is there when it
    listens on ``port``.
    """
    folder = Path(tempfile.mkdtemp(prefix="clicktrail-root-"))
    folder.chmod(0o755)
    try:
        process = _run(folder, command, files, users)
        try:
            wait_for(lambda: process.poll() is not None or _listens(port), "a mail server")
            assert process.poll() is None, (folder / "log" / "output").read_text()
            yield folder / "log"
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)  # and with it all that it has begun
                process.wait(PATIENCE)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(
    folder: Path,
    command: str,
    files: Mapping[str, str] | None = None,
    users: Mapping[str, int] | None = None,
) -> "subprocess.Popen[bytes]":
    for name in ("etc", "log", "root"):
        (folder / name).mkdir()
    (folder / "log").chmod(0o777)
    numbers = (users or {}).items()
    given = {
        "passwd": _USERS + "".join(f"{n}:x:{u}:{u}::/nonexistent:/bin/false\n" for n, u in numbers),
        "group": _GROUPS + "".join(f"{n}:x:{u}:\n" for n, u in numbers),
        "hosts": "127.0.0.1 localhost\n",
        "mailname": "mail.test\n",
        "services": "smtp 25/tcp\nsmtps 465/tcp\nsubmission 587/tcp\n",
    }
    for name, text in (given | dict(files or {})).items():
        path = folder / "etc" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    words = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", _ROOT, "root"]
    words += [str(folder / "root"), str(UNPACKED), str(folder), command]
    with (folder / "log" / "output").open("wb") as output:
        return subprocess.Popen(words, stdout=output, stderr=output, start_new_session=True)


def _listens(port: int) -> bool | None:
    try:
        with smtplib.SMTP("127.0.0.1", port, timeout=5):
            return True
    except (OSError, smtplib.SMTPException):
        return None
