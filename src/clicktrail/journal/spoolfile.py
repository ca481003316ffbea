"""Spool files: append-only, fsynced, one frame for each click.

A frame is ``length (4 bytes, little-endian) | CRC-32 of the record (4) | record``. A file has one
writer, which holds a lock (``flock``) on it as long as it may write; whoever gets the lock later
owns the file and may delete it. Files of a process that died are thus drained by another.
"""

import errno
import fcntl
import os
import stat
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from clicktrail.base.files import naming
from clicktrail.base.ids import new_id
from clicktrail.journal.record import START, decode, length_at
from clicktrail.model import Click

SUFFIX = ".spool"
DAMAGED = ".damaged"
"""Added to the name of a file that holds bytes which nobody wrote."""

TOO_LARGE = ".too-large"
"""Added to the name of a file with clicks that the journal does not take for their size."""

MAX_RECORD = 1 << 20
_HEAD = struct.Struct("<II")
_LONGEST = 1 << 17
"""No click is longer than this (URL and header fields have limits)."""
_WINDOW = 1 << 20
"""So much of a damaged file is looked at at once."""
_OVERLAP = 23
"""What `START` looks at, and a bit: a place that a window cuts off is seen in the next one."""


class SpoolWriter:
    """The end of a spool file that is written to. Its methods block."""

    def __init__(self, folder: Path, kind: str = "") -> None:
        """Make a new file in the folder (mode 0700). ``kind`` ends its name. Raises `OSError`."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.size = 0
        while True:
            self.path = folder / (new_id() + SUFFIX + kind)
            self._file = os.open(
                self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600
            )
            # Between the two calls a drainer may have taken it for left behind.
            if _lock(self._file) and os.fstat(self._file).st_nlink:
                break
            os.close(self._file)
        _sync_folder(folder)

    def write(self, records: Sequence[bytes]) -> None:
        """Append records, durably. After an `OSError` the file must be closed: see `close`."""
        data = b"".join(
            part
            for record in records
            for part in (_HEAD.pack(len(record), zlib.crc32(record)), record)
        )
        view = memoryview(data)
        with naming(self.path):
            while view:
                view = view[os.write(self._file, view) :]
            os.fsync(self._file)
        self.size += len(data)

    def close(self) -> None:
        """Let go of the file: it may be drained now. An empty one is deleted."""
        try:
            # What a failed write left behind was never acknowledged.
            os.ftruncate(self._file, self.size)
            if not self.size:
                self.path.unlink(missing_ok=True)
        finally:
            os.close(self._file)


@dataclass(frozen=True, slots=True)
class Damage:
    """What a spool file holds that is no frame: how many bytes, and whether it is a torn tail.

    A torn tail is what a killed process, a full disk or a power cut leaves: the beginning of a
    frame that was never acknowledged, or zeros.
    """

    size: int
    only_tail: bool


class SpoolReader:
    """A spool file that nobody writes to any more, locked. Its methods block.

    Behind damage it goes on with the next record whose length and checksum hold.
    """

    def __init__(self, path: Path, file: int) -> None:
        self.path = path
        self._file = os.fdopen(file, "rb")
        self._size = os.fstat(file).st_size
        self._skipped = 0
        self._tail = 0

    @classmethod
    def take(cls, path: Path) -> "SpoolReader | None":
        """Return the file, or ``None`` when it has a writer or is gone.

        Raises `OSError`, also for what is no regular file.
        """
        try:
            # Without O_NONBLOCK a named pipe would be waited for.
            flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
            file = os.open(path, flags)
        except FileNotFoundError:
            return None
        try:
            if not stat.S_ISREG(os.fstat(file).st_mode):
                raise OSError(errno.EINVAL, "it is no file")
            if _lock(file) and os.fstat(file).st_nlink:
                return cls(path, file)
        except OSError:
            os.close(file)
            raise
        os.close(file)
        return None

    def tell(self) -> int:
        """Return where the next frame begins, for `seek`."""
        return self._file.tell()

    def seek(self, offset: int) -> None:
        """Go back to a place where a frame begins."""
        self._file.seek(offset)

    def read(self, limit: int) -> list[Click]:
        """Return the next clicks, at most ``limit``; none at the end of the file."""
        clicks: list[Click] = []
        while len(clicks) < limit:
            start = self._file.tell()
            head = self._file.read(_HEAD.size)
            if not head:
                break
            length, crc = _HEAD.unpack(head) if len(head) == _HEAD.size else (0, 0)
            record = self._file.read(length) if 0 < length <= MAX_RECORD else b""
            if not record or len(record) < length or zlib.crc32(record) != crc:
                found = self._find(start)
                if found is None:
                    break
                clicks.append(found)
                continue
            try:
                clicks.append(decode(record))
            except ValueError:
                self._skipped += _HEAD.size + length
        return clicks

    def _find(self, bad: int) -> Click | None:
        """Return the click of the first whole record behind a place where no frame is.

        The rest of the file is read once: a record shows how long it is in a few steps.
        """
        base, begin = max(0, bad - _HEAD.size), bad
        while True:
            self._file.seek(base)
            window = self._file.read(_WINDOW)
            is_last = base + len(window) >= self._size
            again = max(0, len(window) - _OVERLAP)
            for match in START.finditer(window, max(begin - base, 4)):
                place = match.start()
                size = length_at(window, place)
                if place + size > len(window) and not is_last and place > _WINDOW - _LONGEST:
                    again = place  # the next window has the whole of it
                    break
                click = self._checked(window, place, size, abs(base + place - bad - 8) <= 8)
                if click is not None:
                    self._skipped += max(base + place - _HEAD.size - bad, 4)
                    self._file.seek(base + place + size)
                    return click
            else:
                if is_last:
                    self._lose_rest(bad)
                    return None
            begin = base + again
            base = max(0, begin - _HEAD.size)

    def _checked(self, window: bytes, place: int, size: int, is_expected: bool) -> Click | None:
        """Return the click of a record whose checksum holds."""
        record = window[place : place + size]
        if not 0 < size == len(record) <= _LONGEST:
            return None
        # The length alone may be damaged. Elsewhere than about where a frame must be it is asked
        # for too, or what visitors send could pass for a frame.
        length = window[max(0, place - 8) : place - 4]
        if not is_expected and int.from_bytes(length, "little") != size:
            return None
        if zlib.crc32(record) != int.from_bytes(window[place - 4 : place], "little"):
            return None
        try:
            return decode(record)
        except ValueError:
            return None

    def _lose_rest(self, bad: int) -> None:
        """Take note that nothing can be read from there to the end."""
        self._file.seek(bad)
        rest = self._file.read(_HEAD.size + _LONGEST)
        length = int.from_bytes(rest[:4], "little")
        missing = self._size - bad - _HEAD.size < length <= MAX_RECORD
        begun = len(rest) < _HEAD.size + _OVERLAP or length_at(rest, 8) > len(rest) - _HEAD.size
        if len(rest) < _HEAD.size or (missing and begun) or self._is_zeros(bad):
            self._tail = self._size - bad
        else:
            self._skipped += self._size - bad
        self._file.seek(0, os.SEEK_END)

    def _is_zeros(self, at: int) -> bool:
        self._file.seek(at)
        while piece := self._file.read(_WINDOW):
            if piece.strip(b"\0"):
                return False
        return True

    @property
    def damage(self) -> Damage | None:
        """What could not be read so far."""
        if self._skipped or self._tail:
            return Damage(self._skipped + self._tail, only_tail=not self._skipped)
        return None

    def finish(self) -> Path | None:
        """Delete the file: its clicks are durable elsewhere.

        A damaged one is kept under another name, which is returned.
        """
        kept = None
        if self._skipped:
            kept = self.path.with_name(self.path.name + DAMAGED)
            if kept.exists():  # which was another file
                kept = self.path.with_name(f"{new_id()}{SUFFIX}{DAMAGED}")
            self.path.rename(kept)
            _sync_folder(kept.parent)
        else:
            self.path.unlink(missing_ok=True)
        self.close()
        return kept

    def close(self) -> None:
        """Let go of the file; another may take it."""
        self._file.close()


def spool_files(folder: Path) -> list[Path]:
    """Return the spool files of a folder, the oldest first."""
    return sorted(folder.glob("*" + SUFFIX))


def try_folder(folder: Path) -> None:
    """See whether a file can be written there, durably. Raises `OSError`."""
    with naming(folder):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    try_to_write(folder)


def try_to_write(folder: Path) -> None:
    """The same in a folder that is there; it leaves nothing. Raises `OSError`."""
    path = folder / f".try-{new_id()}"
    with naming(folder):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.write(file, bytes(4096))
            os.fsync(file)
        finally:
            os.close(file)
            path.unlink(missing_ok=True)


def _lock(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
