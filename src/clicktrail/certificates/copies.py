"""Copies of certificates in the data folder: https needs no store, as clicks need none."""

from collections.abc import Iterable
from pathlib import Path

import msgspec

from clicktrail.base.complaints import complaint
from clicktrail.base.files import write_private
from clicktrail.base.logs import get_logger
from clicktrail.store.certificates import Kept

FOLDER = "certificates"
"""In the data folder."""

log = get_logger(__name__)

_decode = msgspec.json.Decoder(Kept).decode


class Copies:
    """A folder with a file for each name. Keys are in it as in the store: sealed.

    Nothing is raised: what cannot be read or written is told in the log.
    """

    def __init__(self, data: Path) -> None:
        self._folder = data / FOLDER

    def read(self) -> list[Kept]:
        """Return what is there. Blocks."""
        found = []
        for path in sorted(self._folder.glob("[!.]*")):
            try:
                found.append(_decode(path.read_bytes()))
            except (OSError, msgspec.DecodeError) as error:
                why = complaint(error, path) if isinstance(error, OSError) else "it is damaged"
                log.warning("the copy of a certificate cannot be read", path=str(path), reason=why)
        return found

    def write(self, certificates: Iterable[Kept]) -> None:
        """Keep certificates, in place of older ones of the same names. Blocks."""
        for each in certificates:
            path = self._folder / each.name
            try:
                self._folder.mkdir(mode=0o700, exist_ok=True)
                write_private(path, msgspec.json.encode(each))
            except OSError as error:
                why = complaint(error, path)
                log.warning("the copy of a certificate is not kept", path=str(path), reason=why)
