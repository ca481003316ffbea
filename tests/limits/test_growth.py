"""The measure itself: it passes what is linear and finds what is not."""

import re
from collections.abc import Callable

import pytest

from limits.growth import Row, check_growth


def text(size: int) -> str:
    return "(" * size


def little_text(size: int) -> str:
    """Return less, so that what grows with its square does not take long."""
    return "(" * (size // 16)


def one_walk(given: str) -> int:
    return sum(1 for each in given if each == "(")


def a_copy_for_each(given: str) -> None:
    while given:
        given = given[16:]


def a_search_for_each(given: str) -> None:
    re.findall(r"\(+x", given)


def test_what_is_linear_passes() -> None:
    check_growth(Row("one walk", text, one_walk))


@pytest.mark.parametrize(
    ("make", "parse"), [(text, a_copy_for_each), (little_text, a_search_for_each)]
)
def test_what_grows_with_the_square_is_found(
    make: Callable[[int], str], parse: Callable[[str], object]
) -> None:
    with pytest.raises(AssertionError, match="takes longer than its input"):
        check_growth(Row("a square", make, parse))
