"""A smarthost for trying things: each email becomes a file of a maildir, and goes nowhere."""

import asyncio
import errno
import os
from collections.abc import Sequence
from pathlib import Path

from clicktrail.base.complaints import complaint
from clicktrail.base.ids import new_id
from clicktrail.errors import SmarthostUnavailable
from clicktrail.model import Envelope, Recipient, Reply


class MaildirSmarthost:
    """Takes every email into a maildir (``tmp``, ``new``, ``cur``)."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    async def begin(self, envelope: Envelope) -> "MaildirTransaction":
        """Begin an email. Raises nothing: a folder that cannot be written shows in ``data``."""
        return MaildirTransaction(self.path, envelope.sender)

    async def offered(self) -> frozenset[str]:
        """Return nothing: nobody is told of what is not delivered."""
        return frozenset()

    async def close(self) -> None:
        """Do nothing: every file is closed already."""


class MaildirTransaction:
    """One email on its way into the maildir."""

    takes_8bit = True

    def __init__(self, path: Path, sender: str) -> None:
        self._path = path
        self._sender = sender
        self._recipients: list[str] = []

    async def rcpt(self, recipients: Sequence[Recipient]) -> list[Reply]:
        """Name recipients: all are taken."""
        self._recipients += [each.address for each in recipients]
        return [(250, "2.1.5 Ok")] * len(recipients)

    async def data(self, message: bytes) -> Reply:
        """Write the email; it is durable on return. Raises `SmarthostUnavailable`."""
        # RFC 5321 § 4.4: Return-Path is added on final delivery. Nothing else is touched.
        trace = [f"Return-Path: <{self._sender}>"]
        trace += [f"Delivered-To: {recipient}" for recipient in self._recipients]
        head = "".join(line + "\r\n" for line in trace).encode("utf-8", "surrogateescape")
        name = f"{new_id()}.clicktrail"
        try:
            await asyncio.to_thread(_deliver, self._path, name, head + message)
        except OSError as error:
            raise SmarthostUnavailable(
                f"the maildir {self._path} cannot be written: {complaint(error, self._path)}"
            ) from None
        return 250, f"2.0.0 Ok {name}"

    async def abort(self) -> None:
        """Forget the email: nothing has been written."""


def try_maildir(path: Path) -> None:
    """See that emails can be written there; its folders are made where there are none.

    Raises `OSError`.
    """
    _make(path)
    for folder in ("tmp", "new"):
        trial = path / folder / f".{new_id()}.try"  # no email: the name begins with a dot
        trial.touch(exist_ok=False)
        trial.unlink()


def _make(path: Path) -> None:
    for folder in (path, *(path / name for name in ("tmp", "new", "cur"))):
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)  # emails are for their owner
        except FileExistsError:
            raise NotADirectoryError(
                errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder)
            ) from None


def _deliver(path: Path, name: str, content: bytes) -> None:
    _make(path)
    temporary = path / "tmp" / name
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        with os.fdopen(os.open(temporary, flags, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path / "new" / name)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    folder_handle = os.open(path / "new", os.O_RDONLY)
    try:
        os.fsync(folder_handle)
    finally:
        os.close(folder_handle)
