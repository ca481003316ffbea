"""Links that were changed after they were sent, in memory: no look-up for a click."""

from collections.abc import Iterable

from clicktrail.base import weburl
from clicktrail.base.ids import made_at
from clicktrail.keys.token import Opened, set_mark
from clicktrail.model import LinkChange, Orders
from clicktrail.redirect.location import location


class Changes:
    """What holds now. Most links are to URLs that nobody has changed: these cost nothing."""

    def __init__(self, orders: Orders | None = None) -> None:
        self._by_url: dict[str, list[tuple[LinkChange, bytes]]] = {}
        if orders is not None:
            self._know(orders.changes)

    def of(self, opened: Opened) -> LinkChange | None:
        """Return the newest change of a link; ``None`` for one that leads where it did."""
        found = self._by_url.get(opened.url)
        if found is None:
            return None
        for change, mark in found:
            if mark and mark != opened.mark:
                continue  # of another set, or of before links said their set
            if change.since and made_at(opened.message_id) < change.since:
                continue
            return change
        return None

    def _know(self, changes: Iterable[LinkChange]) -> None:
        for change in changes:
            mark = set_mark(change.configuration_set) if change.configuration_set else b""
            for url in _spellings(change.url):
                self._by_url.setdefault(url, []).append((change, mark))


def _spellings(url: str) -> set[str]:
    """Return how an email may write a URL that people name as it is shown to them."""
    found = {url, location(url).decode()}
    if (written := weburl.serialized(url)) is not None:
        found.add(written)
        # URL § 4.5: a browser shows the slash of an empty path, which few emails have.
        if written.count("/") == 3 and written.endswith("/"):
            found.add(written.removesuffix("/"))
    return found
