"""Templates of SendEmail: Handlebars, as in SES, with everything that is not there an error."""

import re
from typing import Any

import msgspec

from clicktrail.errors import InvalidInput

DATA_LIMIT = 262_144
"""Characters of ``TemplateData``, as in SES."""
DEEPEST = 50
"""How deep blocks may nest."""
MOST_ROUNDS = 1_000_000
"""How many items all loops together may go through: some seconds of a core."""

# SES: values in HTML are escaped; {{{name}}} is not. Conditions may ask for what is not there.
_CONDITION = re.compile(r"\{\{~?#?(?:else +)?(?:if|unless) +([A-Za-z_][\w.-]*) *~?\}\}")
_BLOCKS = re.compile(r"\{\{~?([#/])\s*([^\s}~]+)")
_OPENS = re.compile(r"\{\{~?#")


class RenderingFailed(InvalidInput):
    """A template that cannot be rendered with the data given."""


def read_data(text: str) -> dict[str, Any]:
    """Return the data of a template (``TemplateData``, a JSON object). Raises `RenderingFailed`."""
    if len(text) > DATA_LIMIT:
        raise RenderingFailed(f"TemplateData is longer than {DATA_LIMIT} characters")
    try:
        data = msgspec.json.decode(text or "{}")
    except (msgspec.DecodeError, UnicodeError) as error:
        raise RenderingFailed(f"TemplateData is not JSON: {error}") from None
    except RecursionError:
        raise RenderingFailed("TemplateData is nested too deep") from None
    if not isinstance(data, dict):
        raise RenderingFailed('TemplateData must be a JSON object, such as {"name": "Ann"}')
    return data


class Renderer:
    """Renders the templates of one email with the same data, up to a size in characters."""

    def __init__(self, data: dict[str, Any], limit: int) -> None:
        self._data = data
        self._limit = limit

    def render(self, source: str, part: str, *, html: bool) -> str:
        """Return a text, with values escaped where it is HTML. Raises `RenderingFailed`.

        ``{{name}}``, ``{{a.b}}``, ``{{#each}}``, ``{{#if}}``, ``{{#unless}}``, ``{{#with}}``. A
        value that is not in the data is an error, but in the condition of an ``if`` or ``unless``.
        """
        if "{{" not in source:
            return source
        # Half of the memory of the rest of the API: loaded with the first template.
        from pydantic_handlebars import HandlebarsEnvironment, HandlebarsError  # noqa: PLC0415

        if len(_OPENS.findall(source)) > 10_000 or len(source) > self._limit:
            raise RenderingFailed(f"{part}: the template is too large")
        environment = HandlebarsEnvironment(
            strict=True, auto_escape=html, max_depth=DEEPEST, max_output_size=self._limit
        )
        environment.unregister_helper("log")
        try:
            if _rounds(source, self._data) > MOST_ROUNDS:
                raise RenderingFailed(
                    f"{part}: its loops may go through more than {MOST_ROUNDS} items in all: nest"
                    " them less, or give shorter lists"
                )
            data = self._data
            for condition in dict.fromkeys(_CONDITION.findall(source)):
                data = _with_condition(data, condition.split("."))
            return environment.render(source, data)
        except HandlebarsError as error:
            raise RenderingFailed(f"{part}: {_reason(str(error))}") from None
        except RecursionError:
            raise RenderingFailed(
                f"{part}: the template, or its data, is nested too deep"
            ) from None


def _rounds(source: str, data: dict[str, Any]) -> int:
    """Return how many items the loops of a template may go through, at the most."""
    depth = deepest = loops = 0
    for sign, name in _BLOCKS.findall(source):
        if name not in ("if", "unless", "with"):
            depth += 1 if sign == "#" else -1
            deepest = max(deepest, depth)
            loops += sign == "#"
    return loops * int(_longest(data) ** min(deepest, DEEPEST))


def _longest(value: Any) -> int:
    """Return the size of the largest list or object in it."""
    if not isinstance(value, list | dict):
        return 0
    inner = value.values() if isinstance(value, dict) else value
    return max(len(value), *map(_longest, inner), 0)


_STRICT = re.compile(r"Strict mode: '(.*)' references missing context key .*", re.DOTALL)


def _reason(text: str) -> str:
    missing = _STRICT.fullmatch(text)
    if missing is None:
        return text
    return f"Attribute '{missing[1]}' is not present in the rendering data."  # SES's words


def _with_condition(value: Any, path: list[str]) -> Any:
    """Return data in which a condition finds at least ``None``.

    Conditions are looked up in the whole data and in the items of lists (``{{#each}}``).
    """
    if isinstance(value, list):
        return [_with_condition(item, path) for item in value]
    if not isinstance(value, dict):
        return value
    found = {
        key: _with_condition(item, path) if isinstance(item, list) else item
        for key, item in value.items()
    }
    first, rest = path[0], path[1:]
    if first not in found:
        found[first] = None
    elif rest and isinstance(found[first], dict):
        found[first] = _with_condition(found[first], rest)
    return found
