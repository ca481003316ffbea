"""What goes wrong on real machines: files that cannot grow, full disks, clocks set back."""

import os
import resource
import shutil
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

SHIFTED_PYTHON = Path(__file__).parent / "shifted_clock"
DAY = 86_400


@contextmanager
def no_file_grows_beyond(size: int, pid: int) -> Iterator[None]:
    """Refuse a process to write behind that many bytes of any file, root or not (``EFBIG``)."""
    if not hasattr(resource, "prlimit"):
        pytest.skip("NOT TESTED: files that cannot be written to; it needs Linux (prlimit)")
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


@contextmanager
def small_disk(folder: Path, size: str, files: int = 0) -> Iterator[None]:
    """Mount a small disk there, or skip the test where that is not allowed.

    ``files`` is how many it has room for.
    """
    folder.mkdir()
    mount = shutil.which("mount")
    if os.geteuid() != 0 or mount is None:
        pytest.skip("NOT TESTED: a really full disk; mounting one needs root")
    command = [mount, "-t", "tmpfs", "-o", f"size={size},nr_inodes={files}", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("NOT TESTED: a really full disk; mounting one is not allowed here")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@contextmanager
def filled(disk: Path) -> Iterator[None]:
    """Fill a disk to its last byte."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    try:
        yield
    finally:
        ballast.unlink()


@contextmanager
def without_another_file(disk: Path) -> Iterator[None]:
    """Fill a disk to its last byte and its last file."""
    made: list[Path] = []
    with filled(disk):
        with suppress(OSError):
            while True:
                file = disk / f"ballast-{len(made)}"
                file.touch()
                made.append(file)
        try:
            yield
        finally:
            for file in made:
                file.unlink()


class Clock:
    """The clock of processes that are started with its ``environment``; it can be set."""

    environment: dict[str, str]

    def set(self, seconds: int) -> None:
        """Set it that much after the true time, at once, also for processes that are running."""
        raise NotImplementedError


class PythonClock(Clock):
    """Shifts ``time.time`` and ``time.time_ns``, which give all times that Clicktrail keeps."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "clock"
        self.set(0)
        self.environment = {
            "PYTHONPATH": str(SHIFTED_PYTHON),
            "SHIFTED_CLOCK": str(self._file),
        }

    def set(self, seconds: int) -> None:
        """See `Clock.set`."""
        with self._file.open("r+b" if self._file.exists() else "wb", buffering=0) as file:
            file.write(struct.pack("<q", seconds))


class FakedClock(Clock):
    """Shifts the wall clock of the C library, with libfaketime (Debian: ``libfaketime``)."""

    def __init__(self, folder: Path) -> None:
        usual = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
        library = os.environ.get("LIBFAKETIME") or next(map(str, usual), "")
        if not library:
            pytest.skip("NOT TESTED: with libfaketime (Debian: apt install libfaketime)")
        self._file = folder / "faketime"
        self.set(0)
        self.environment = {
            "LD_PRELOAD": library,
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",  # it looks into the file each time
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def set(self, seconds: int) -> None:
        """See `Clock.set`."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{seconds:+d}s\n")
        new.replace(self._file)
