"""Regular expressions that mean the same in every Python we run on."""

import pkgutil
import re
from collections.abc import Iterator
from importlib import import_module
from re import _constants, _parser  # type: ignore[attr-defined]
from typing import Any

import pytest

import clicktrail

ONE_ITEM = {"ANY", "IN", "LITERAL", "NOT_LITERAL"}


def possessive(parsed: object) -> Iterator[Any]:
    """Yield what the possessive repeats of a parsed expression repeat."""
    if isinstance(parsed, tuple) and parsed and parsed[0] is _constants.POSSESSIVE_REPEAT:
        yield parsed[1][2]
    if isinstance(parsed, tuple | list | _parser.SubPattern):
        for each in parsed:
            yield from possessive(each)


def repeats_a_group(expression: re.Pattern[str] | re.Pattern[bytes]) -> bool:
    return any(
        len(repeated) != 1 or str(repeated[0][0]) not in ONE_ITEM
        for repeated in possessive(
            _parser.parse(expression.pattern, expression.flags & ~re.UNICODE)
        )
    )


def values(value: object) -> Iterator[object]:
    """Yield a value, and what is in it where it holds others."""
    yield value
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list | tuple | set | frozenset):
        yield from value


MODULES = [
    module.name
    for module in pkgutil.walk_packages(clicktrail.__path__, "clicktrail.")
    if not module.name.endswith("__main__")
]


def test_no_possessive_repeat_is_over_a_group() -> None:
    """Before Python 3.11.5 what a failed round had read stays read (python/cpython#106052)."""
    wrong = {
        value.pattern: name
        for name in MODULES
        for attribute in vars(import_module(name)).values()
        for value in values(attribute)
        if isinstance(value, re.Pattern) and repeats_a_group(value)
    }
    assert not wrong, "write (?>(?:…)*) for (?:…)*+"


@pytest.mark.parametrize("expression", ["(?:ab?c)*+", "x(?:a|(?:bc)?+)", "(?=(?:ab)++)"])
def test_such_repeats_are_found(expression: str) -> None:
    assert repeats_a_group(re.compile(expression))
    assert repeats_a_group(re.compile(expression.encode()))
