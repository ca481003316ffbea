"""Tags of an email: ``EmailTags`` of a request, and the header X-SES-MESSAGE-TAGS."""

import re
import string
from collections.abc import Iterable

from clicktrail.model import Tags

TAG_LIMIT = 256
"""Characters of a name and of a value that a request may give, as in SES."""
MOST_TAGS = 100
"""Tags of one email that a header gives, or a request."""
_SHOWN = 5
_SHOWN_CHARACTERS = 100

# SES: "ASCII letters, numbers, underscores, dashes"; newer releases take "." and "@" too.
_CHARACTERS = frozenset(string.ascii_letters + string.digits + "_-.@")
# Tags of SES that senders give: they become part of its Feedback-ID header.
_FEEDBACK_ID = re.compile(r"ses:feedback-id-[a-d]")


def is_tag_text(text: str, *, name: bool = False) -> bool:
    """Whether SES takes this as a value, or the name, of one of ``EmailTags``."""
    if name and _FEEDBACK_ID.fullmatch(text):
        return True
    return 0 < len(text) <= TAG_LIMIT and _CHARACTERS.issuperset(text)


def read_tags(given: Tags, values: Iterable[str]) -> tuple[Tags, list[str]]:
    """Return an email's tags, those of the header (``k=v, k2=v2``) too, and what was wrong."""
    tags = {name: list(some) for name, some in given.items()}
    warnings = []
    read = wrong = 0
    for piece in (p.strip() for value in values for p in value.split(",")):
        name, equals, value = (part.strip() for part in piece.partition("="))
        if equals and name:
            read += 1
            if read <= MOST_TAGS:
                tags.setdefault(name, []).append(value)
        elif piece:
            wrong += 1
            if wrong <= _SHOWN:
                shown = piece[:_SHOWN_CHARACTERS]
                warnings.append(f"email tag {shown!r} is not name=value: it was dropped")
    if wrong > _SHOWN:
        warnings.append(f"{wrong - _SHOWN} more email tags are not name=value: they were dropped")
    if read > MOST_TAGS:
        warnings.append(f"the email has {read} tags: those after {MOST_TAGS} were dropped")
    return tags, warnings
