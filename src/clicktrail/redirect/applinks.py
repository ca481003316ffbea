"""The files by which a domain lets apps open its links, for each domain of one's own.

Apple, "Supporting associated domains": ``/.well-known/apple-app-site-association``; Android,
"Verify Android App Links": ``/.well-known/assetlinks.json``. Both are JSON, asked for without a
redirect.
"""

import stat
from dataclasses import dataclass
from pathlib import Path

from clicktrail.base.hostname import host_name
from clicktrail.base.logs import get_logger
from clicktrail.errors import InvalidInput
from clicktrail.redirect.pages import Answer, json_file

FILES = {
    b"/.well-known/apple-app-site-association": "apple-app-site-association",
    b"/.well-known/assetlinks.json": "assetlinks.json",
}
"""The name of the file for each path. There are no others."""

SIZE_LIMIT = 1024 * 1024
"""Bytes of a file; Apple takes 128 KiB."""

log = get_logger(__name__)


@dataclass(slots=True)
class _Known:
    """A file as it was read. ``seen`` tells whether it is still that one."""

    seen: tuple[int, int, int]
    answer: Answer | None


class AppLinks:
    """Answers from ``folder``/HOST/FILE. A file is read once, and again when it has changed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[Path, _Known] = {}

    def answer(self, path: bytes, host: bytes) -> Answer | None:
        """Return the file of that path for a domain (with or without a port), where there is one.

        A name of a host has no ``/`` and no empty label, so no name leads out of the folder.
        """
        file = FILES.get(path)
        if file is None:
            return None
        try:
            name = host_name(host.decode("ascii"))
        except (UnicodeDecodeError, InvalidInput):
            return None
        return self._file(self._folder / name / file)

    def _file(self, path: Path) -> Answer | None:
        try:
            found = path.stat()
            if not stat.S_ISREG(found.st_mode):
                return None
            seen = (found.st_mtime_ns, found.st_size, found.st_ino)
            known = self._known.get(path)
            if known is None or known.seen != seen:
                known = self._known[path] = _Known(seen, None)
                if found.st_size > SIZE_LIMIT:
                    raise OSError(f"it has more than {SIZE_LIMIT} bytes")
                known.answer = json_file(path.read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            self._known.pop(path, None)
            return None
        except OSError as error:
            log.warning("app links cannot be served", path=str(path), reason=error)
            return None
        return known.answer
