"""How orders come to redirects: from whoever has a store, and by a copy in the data folder.

Redirects read the copy: it holds while neither store nor broker is there.
"""

from pathlib import Path
from typing import Protocol

import msgspec

from clicktrail.base.files import write_private
from clicktrail.model import Orders

FILE = "orders"
"""In the data folder."""

encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Orders).decode


class OrderSource(Protocol):
    """Where orders are kept. Raises `ClicktrailError` where it cannot be reached."""

    async def newer(self, known: str) -> Orders | None:
        """Return what is new now; ``None`` where that is the version that is known."""
        ...


class OrdersCopy:
    """The copy in a data folder."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE

    def read(self) -> Orders | None:
        """Return what is there; ``None`` where nothing is. Blocks.

        Raises `OSError`, and `ValueError` where it is damaged.
        """
        try:
            return decode(self.path.read_bytes())
        except FileNotFoundError:
            return None

    def write(self, orders: Orders) -> None:
        """Put orders in the place of what is there. Blocks. Raises `OSError`."""
        write_private(self.path, encode(orders))

    def mark(self) -> tuple[int, int, int] | None:
        """Return what is another one when it was written anew. Raises `OSError`."""
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino
