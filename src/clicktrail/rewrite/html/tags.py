"""Link tags: ``postbox:tags`` and ``ses:tags`` (behaviour § 3)."""

from clicktrail.model import LinkTags

_WHITE = " \t\n\f\r"


def parse_tags(value: str) -> tuple[LinkTags, tuple[str, ...]]:
    """Return the tags of an attribute's value, and the pieces that were dropped.

    ``k:v;k2:v2;``: split at ``;``, then at the first ``:``, ASCII white space trimmed. A piece
    without ``:`` or with an empty key is dropped; empty pieces are nothing.
    """
    tags: list[tuple[str, str]] = []
    dropped: list[str] = []
    for piece in value.split(";"):
        key, colon, tag = piece.partition(":")
        key = key.strip(_WHITE)
        if colon and key:
            tags.append((key, tag.strip(_WHITE)))
        elif text := piece.strip(_WHITE):
            dropped.append(text)
    return tuple(tags), tuple(dropped)
