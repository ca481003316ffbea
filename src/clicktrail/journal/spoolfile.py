"""Spool files: append-only, fsynced, one frame for each click.

A frame is ``length (4 bytes, little-endian) | CRC-32 of the record (4) | record``. A file has one
writer, which holds a lock (``flock``) on it as long as it may write; whoever gets the lock later
owns the file and may delete it. Files of a process that died are thus drained by another.
"""

import fcntl
import os
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from clicktrail.ids import new_id
from clicktrail.journal.record import decode
from clicktrail.model import Click

SUFFIX = ".spool"
DAMAGED = ".damaged"
"""Added to the name of a file that holds bytes which nobody wrote."""

MAX_RECORD = 1 << 20
_HEAD = struct.Struct("<II")


class SpoolWriter:
    """The end of a spool file that is written to. Its methods block."""

    def __init__(self, folder: Path) -> None:
        """Make a new file in the folder (mode 0700). Raises `OSError`."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.size = 0
        while True:
            self.path = folder / (new_id() + SUFFIX)
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
    """What a spool file holds that is no frame: how many bytes, and whether it is only a tail.

    A tail is what a killed process or a full disk leaves: the half of a frame that was never
    acknowledged.
    """

    size: int
    only_tail: bool


class SpoolReader:
    """A spool file that nobody writes to any more, locked. Its methods block."""

    def __init__(self, path: Path, file: int) -> None:
        self.path = path
        self._file = os.fdopen(file, "rb")
        self._size = os.fstat(file).st_size
        self._skipped = 0
        self._tail = 0

    @classmethod
    def take(cls, path: Path) -> "SpoolReader | None":
        """Return the file, or ``None`` when it has a writer or is gone. Raises `OSError`."""
        try:
            file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        if _lock(file) and os.fstat(file).st_nlink:
            return cls(path, file)
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
            if not record or len(record) < length:
                self._tail = self._size - start
                self._file.seek(0, os.SEEK_END)
                break
            try:
                if zlib.crc32(record) != crc:
                    raise ValueError("wrong checksum")
                clicks.append(decode(record))
            except ValueError:
                self._skipped += _HEAD.size + length
        return clicks

    @property
    def damage(self) -> Damage | None:
        """What could not be read so far."""
        if self._skipped or self._tail:
            return Damage(self._skipped + self._tail, only_tail=not self._skipped)
        return None

    def finish(self) -> None:
        """Delete the file: its clicks are durable elsewhere. A damaged one is kept, renamed."""
        if self._skipped:
            self.path.rename(self.path.with_name(self.path.name + DAMAGED))
        else:
            self.path.unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        """Let go of the file; another may take it."""
        self._file.close()


def spool_files(folder: Path) -> list[Path]:
    """Return the spool files of a folder, the oldest first."""
    return sorted(folder.glob("*" + SUFFIX))


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
