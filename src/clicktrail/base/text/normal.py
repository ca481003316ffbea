"""Unicode's normal forms, in time that grows with the text and no faster."""

import unicodedata
from typing import Literal

_RUN = 30
"""Combining characters in a row, more than any language writes (UAX #15 § 13)."""
_SHORT = 500
"""Texts of so few characters are read at once: nobody notices how long they take."""
_GRAPHEME_JOINER = "\u034f"


def normalized(form: Literal["NFC", "NFKC"], text: str) -> str:
    """Return the normal form of a text; of long ones in the Stream-Safe Text Format.

    Combining characters are sorted, which takes time that grows with the square of their number.
    """
    return unicodedata.normalize(form, text if len(text) <= _SHORT else _stream_safe(text))


def _stream_safe(text: str) -> str:
    pieces, start, run = [], 0, 0
    for place, character in enumerate(text):
        if character < "\u0300" or not unicodedata.combining(character):
            run = 0
        elif (run := run + 1) > _RUN:
            pieces.append(text[start:place])
            start, run = place, 1
    return _GRAPHEME_JOINER.join((*pieces, text[start:]))
