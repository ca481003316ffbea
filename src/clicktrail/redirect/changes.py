"""Orders in memory: no look-up for a click."""

import sys
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Mapping

from clicktrail.base import weburl
from clicktrail.base.ids import made_at
from clicktrail.keys.token import Opened
from clicktrail.model import LinkChange, Orders
from clicktrail.model.anonymous import is_anonymous, read_anonymous, set_mark
from clicktrail.redirect.location import location


class Changes:
    """What holds now. Most links are to URLs that nobody has changed: these cost nothing.

    Emails whose clicks are not logged are eight bytes each. ``before`` is what held before: most of
    it holds still, and is not read anew.
    """

    def __init__(self, orders: Orders | None = None, before: "Changes | None" = None) -> None:
        self._by_url: dict[str, list[tuple[LinkChange, bytes]]] = {}
        self._spelled: dict[str, set[str]] = {}
        """The `_spellings` of each URL."""
        self._untracked = array("Q")
        self._starts = array("I")
        """Where those begin whose first two bytes are a number: few are looked at for a click."""
        if orders is not None:
            self._know(orders.changes, before._spelled if before is not None else {})
            self._untracked.frombytes(orders.untracked)
            if sys.byteorder == "little":
                self._untracked.byteswap()
            if self._untracked:
                firsts = (number << 48 for number in range(1 << 16))
                self._starts.extend(bisect_left(self._untracked, first) for first in firsts)
                self._starts.append(len(self._untracked))

    def spares(self, digest: bytes) -> bool:
        """Whether clicks of an email are not to be logged: of that `Opened.digest`."""
        if not self._starts or not digest:
            return False
        number = int.from_bytes(digest)
        first = number >> 48
        end = self._starts[first + 1]
        place = bisect_left(self._untracked, number, self._starts[first], end)
        return place < end and self._untracked[place] == number

    def of(self, opened: Opened) -> LinkChange | None:
        """Return the newest change of a link; ``None`` for one that leads where it did."""
        found = self._by_url.get(opened.url)
        if found is None:
            return None
        for change, mark in found:
            if mark and mark != opened.mark:
                continue  # of another set, or of before links said their set
            if change.since and _sent_at(opened.message_id) < change.since:
                continue
            return change
        return None

    def _know(self, changes: Iterable[LinkChange], spelled: Mapping[str, set[str]]) -> None:
        for change in changes:
            mark = set_mark(change.configuration_set) if change.configuration_set else b""
            known = self._spelled.get(change.url) or spelled.get(change.url)
            for url in self._spelled.setdefault(change.url, known or _spellings(change.url)):
                self._by_url.setdefault(url, []).append((change, mark))


def _sent_at(message_id: str) -> int:
    """Return when an email was sent, or began the day of it, where no more is known."""
    return read_anonymous(message_id).at if is_anonymous(message_id) else made_at(message_id)


def _spellings(url: str) -> set[str]:
    """Return how an email may write a URL that people name as it is shown to them."""
    found = {url, location(url).decode()}
    if (written := weburl.serialized(url)) is not None:
        found.add(written)
        # URL § 4.5: a browser shows the slash of an empty path, which few emails have.
        if written.count("/") == 3 and written.endswith("/"):
            found.add(written.removesuffix("/"))
    return found
