"""Templates take as long as they and their data are; what does not is stopped by its deadline."""

import json
from collections.abc import Callable

import pytest

from clicktrail.errors import InvalidInput
from clicktrail.ingress.compose.template import DATA_LIMIT, RenderingFailed, Work, read_data, render
from limits.growth import Row, check_growth

TEMPLATE = 128 * 1024
"""Longer ones of many tags fall to the deadline."""


def source(piece: str, before: str = "", after: str = "") -> Callable[[int], str]:
    return lambda size: before + piece * (size // len(piece)) + after


def rendering(data: object) -> Callable[[str], object]:
    text = json.dumps(data)

    def parse(given: str) -> object:
        try:
            return render(Work({"Html": given}, text, True, 1 << 30))
        except RenderingFailed:
            return None

    return parse


def a_list(size: int) -> Work:
    data = json.dumps({"list": [{"n": n % 10} for n in range((size - 20) // 10)]})
    template = "{{#each list}}{{#if n}}{{n}}{{else if ../vip}}x{{/if}}{{/each}}"
    return Work({"Html": template}, data, True, 1 << 30)


def reading(given: str) -> object:
    try:
        return read_data(given)
    except InvalidInput:
        return None


TAGS = ["{{n}}", "{{#if n}}x{{/if}}", "{{#each list}}\n{{/each}}\n", "{{! x }}", "\\{{n}} "]
ROWS = [
    *(Row(f"template of {tag!r}", source(tag), rendering({"n": "<"}), TEMPLATE) for tag in TAGS),
    Row("blocks without end", source("{{#if n}}"), rendering({}), TEMPLATE),
    Row("tags without end", source("{{"), rendering({}), TEMPLATE),
    Row("comments without end", source("{{!--"), rendering({}), TEMPLATE),
    Row("a long path", source("a.", "{{", "a}}"), rendering({"a": 1}), TEMPLATE),
    Row("white space", source(" \n", "{{#if n}}", "{{/if}}"), rendering({}), TEMPLATE),
    Row("a long list", a_list, render, DATA_LIMIT),
    Row("data of lists", source("["), reading, DATA_LIMIT),
    Row("data of objects", source('{"":'), reading, DATA_LIMIT),
    Row("data of members", source('"a":1,', "{", '"b":1}'), reading, DATA_LIMIT),
]


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_time_grows_with_the_template_and_no_faster(row: Row) -> None:
    check_growth(row.shorter())


@pytest.mark.long
@pytest.mark.parametrize("row", ROWS, ids=str)
def test_time_grows_with_the_template_and_no_faster_up_to_the_limit(row: Row) -> None:
    check_growth(row)
