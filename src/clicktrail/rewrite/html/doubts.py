"""What a sender should hear of the values of a document: once for each kind, not for each value."""

import re

# A file name, a path or a query: without a base it leads nowhere.
_FORGOTTEN_BASE = re.compile(r"\s*(?:\?|[^?#/\\]*[/\\]|[^?#/\\]*\.[A-Za-z0-9]{1,5}\s*(?:[?#]|\Z))")

_UNFILLED = "placeholder: {} tracked with a placeholder that was not filled in"
_SENTENCES = {
    "relative": "base: {} relative, and there is no <base href>: it leads nowhere in an email",
    "refused": "refused: {} no URL (URL § 4.4), no browser follows it: it stays as it is",
    "undecodable": "undecodable: {} not in the charset of its part: it stays as it is",
    "unfilled": _UNFILLED,
    "unfilled-relative": _UNFILLED,
    "link-limit": (
        "link-limit: {} not tracked: its tracking link would be longer than the configuration set's"
        " limit, and some mail programs cut such links"
    ),
    "shown": (
        "visible-url: {} what a link says, but it leads over the tracking host: readers and mail"
        " programs that compare the two may take it for fraud"
    ),
}
DOUBTFUL = frozenset(_SENTENCES)
"""Why values are tracked or not, where a sender should hear of it."""
SHOWN = 80
"""Characters of a value."""


class Doubts:
    """Counts the doubtful values of each kind, and remembers the first."""

    __slots__ = ("_met",)

    def __init__(self) -> None:
        self._met: dict[str, tuple[str, int]] = {}

    def __bool__(self) -> bool:
        return bool(self._met)

    def note(self, why: str, raw: str) -> None:
        """Take note of a value as written, and why it was tracked or not."""
        if why not in DOUBTFUL or (why == "relative" and not _FORGOTTEN_BASE.match(raw)):
            return
        first, more = self._met.get(why, (raw, -1))
        self._met[why] = first, more + 1

    def told(self) -> list[str]:
        """Return a sentence for each kind that was met."""
        return [_SENTENCES[why].format(_named(*met)) for why, met in self._met.items()]


def _named(first: str, more: int) -> str:
    shown = first if len(first) <= SHOWN else first[:SHOWN] + "…"
    return f"{shown!r} is" if not more else f"{shown!r} (and {more} more) is"
