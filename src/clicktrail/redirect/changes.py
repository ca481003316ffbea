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

_MOST_BITS = 22
"""Of a digest's beginning, by which most are known not to be spared: 4 MB of places at most."""


class Changes:
    """What holds now. Most links are to URLs that nobody has changed: these cost nothing.

    Emails whose clicks are not logged are eight bytes each, and some more for a quick look.
    ``before`` is what held before: most of it holds still, and is not read anew.
    """

    def __init__(self, orders: Orders | None = None, before: "Changes | None" = None) -> None:
        self.urls: dict[str, list[tuple[LinkChange, bytes]]] = {}
        """Of each URL whose links may have been changed, how."""
        self._spelled: dict[str, set[str]] = {}
        """The `_spellings` of each URL."""
        self.spared = bytearray()
        """By how a digest begins, whether any such email is spared; empty where none is."""
        self._shift = 24
        self._untracked = array("Q")
        self._version = "" if orders is None else orders.untracked_version
        self._topics: dict[str, tuple[tuple[str, str], ...]] = {}
        """Of each contact list that has several."""
        if orders is None:
            return
        self._topics.update((each.name, each.topics) for each in orders.lists or ())
        self._know(orders.changes or (), before._spelled if before is not None else {})
        if before is not None and self._version and before._version == self._version:
            self.spared, self._shift = before.spared, before._shift
            self._untracked = before._untracked
        else:
            self._spare(orders.untracked or b"")

    def spares(self, digest: bytes) -> bool:
        """Whether clicks of an email are not to be logged: of that `Opened.digest`."""
        if not digest or not self.spared:
            return False
        begins = digest[0] << 16 | digest[1] << 8 | digest[2]
        if not self.spared[begins >> self._shift]:
            return False
        number = int.from_bytes(digest)
        place = bisect_left(self._untracked, number)
        return place < len(self._untracked) and self._untracked[place] == number

    def of(self, opened: Opened) -> LinkChange | None:
        """Return the newest change of a link; ``None`` for one that leads where it did."""
        for change, mark in self.urls.get(opened.url, ()):
            if mark and mark != opened.mark:
                continue  # of another set, or of before links said their set
            if change.since and _sent_at(opened.message_id) < change.since:
                continue
            return change
        return None

    def topics(self, contact_list: str) -> tuple[tuple[str, str], ...]:
        """Return the topics of a list that has several, each with its name for people."""
        return self._topics.get(contact_list, ())

    def _know(self, changes: Iterable[LinkChange], spelled: Mapping[str, set[str]]) -> None:
        for change in changes:
            mark = set_mark(change.configuration_set) if change.configuration_set else b""
            known = self._spelled.get(change.url) or spelled.get(change.url)
            for url in self._spelled.setdefault(change.url, known or _spellings(change.url)):
                self.urls.setdefault(url, []).append((change, mark))

    def _spare(self, untracked: bytes) -> None:
        numbers = self._untracked
        numbers.frombytes(untracked)
        if not numbers:
            return
        if sys.byteorder == "little":
            numbers.byteswap()
        bits = min(len(numbers).bit_length() + 4, _MOST_BITS)  # one place in 16 is taken
        self._shift = 24 - bits
        spared, shift = bytearray(1 << bits), 64 - bits
        for number in numbers:
            spared[number >> shift] = 1
        self.spared = spared


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
