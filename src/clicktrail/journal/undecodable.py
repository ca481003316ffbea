"""What was in a journal and is no click is kept in files, one for each: nothing is thrown away."""

import hashlib
from pathlib import Path

from clicktrail.base.files import write_private
from clicktrail.base.logs import get_logger

log = get_logger(__name__)

FOLDER = "undecodable"
"""Of the data folder."""


def keep(folder: Path, raw: bytes, reason: str) -> None:
    """Keep bytes, durably. The same bytes are kept once. Raises `OSError`."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / f"{hashlib.blake2b(raw, digest_size=12).hexdigest()}.record"
    if not path.exists():
        write_private(path, raw)
    log.error(
        "an entry of the journal is no click: it is kept; `clicktrail repair` tries it again",
        path=str(path),
        reason=reason,
    )
