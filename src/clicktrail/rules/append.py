"""Parameters that every URL gets: ``utm_source=news&utm_campaign={tag:campaign}``."""

import re
from functools import lru_cache
from urllib.parse import quote

from clicktrail.base.weburl import parameters_of
from clicktrail.errors import InvalidInput
from clicktrail.model import Tags

APPEND_LIMIT = 1000
"""Characters of the rule."""

_TAG = re.compile(r"\{tag:([^{}]+)\}")
# URL § 1.3, the special-query percent-encode set and more; what is encoded already stays so.
_NOT_IN_QUERY = re.compile(r"%(?![0-9A-Fa-f]{2})|[^!$%&()*+,\-./0-9:;=?@A-Z_a-z~]")


def checked_append(text: str) -> str:
    """Return such a rule as it is kept. Raises `InvalidInput`."""
    text = text.strip().lstrip("?&")
    if len(text) > APPEND_LIMIT:
        raise InvalidInput(
            f"what is appended has {len(text)} characters: expected at most {APPEND_LIMIT}"
        )
    for piece in filter(None, text.split("&")):
        name = piece.partition("=")[0]
        rest = _TAG.sub("", piece)
        if not name or "{" in name or "{" in rest or "}" in rest:
            raise InvalidInput(
                f"{piece[:100]!r} cannot be appended: expected name=value, in which {{tag:NAME}}"
                " stands for an email's tag, such as utm_campaign={tag:campaign}"
            )
    return text


def appended(text: str, tags: Tags) -> tuple[tuple[str, str], ...]:
    """Return the parameters of a rule for an email with these tags, as `parameters_of` has them.

    One with a tag that the email does not have is left out.
    """
    given = tuple([each[0] if (each := tags.get(name)) else None for name in _tags(text)])
    short = sum(len(each) for each in given if each) <= _REMEMBERED
    return (_short_filled if short else _filled)(text, given)


def _filled(text: str, given: tuple[str | None, ...]) -> tuple[tuple[str, str], ...]:
    tags = dict(zip(_tags(text), given, strict=True))
    found = []
    for name, literals, names in _read(text):
        values = [tags[each] for each in names]
        if None not in values:
            encoded = [quote(each or "", safe="", errors="replace") for each in values]
            pairs = zip(literals, [*encoded, ""], strict=True)
            found.append((name, "".join(literal + value for literal, value in pairs)))
    return tuple(found)


_REMEMBERED = 512
"""Characters of tags' values of which it is remembered what is made of them."""
_short_filled = lru_cache(256)(_filled)  # of many emails those that count are the same


@lru_cache(256)
def _tags(text: str) -> tuple[str, ...]:
    """Return the names of the tags that parameters have."""
    return tuple(dict.fromkeys(_TAG.findall(text)))


@lru_cache(256)
def _read(text: str) -> list[tuple[str, list[str], list[str]]]:
    """Return the name of each parameter, what is around its tags, encoded, and their names."""
    found = []
    for piece in filter(None, text.split("&")):
        literals = [_NOT_IN_QUERY.sub(_encoded, each) for each in _TAG.split(piece)[::2]]
        [(name, _)] = parameters_of(literals[0])
        found.append((name, literals, _TAG.findall(piece)))
    return found


def _encoded(found: re.Match[str]) -> str:
    return quote(found[0], safe="", errors="replace")
