"""Templates of SendEmail: Handlebars, as in SES, with everything that is not there an error.

A template may ask for any amount of work, so it is rendered in a process of its own, which is
`clicktrail.ingress.compose.template_process`; nothing here is called by the API itself.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import msgspec
from dotpromptz_handlebars import Handlebars, SafeString, StrictModeError

from clicktrail.base.json_input import InvalidJson, read_json
from clicktrail.errors import InvalidInput

DATA_LIMIT = 262_144
"""Characters of ``TemplateData``, as in SES."""
_LATER = ("amazonSESUnsubscribeUrl", "ses:openTracker")
"""They stay as they are: what they stand for is known when the email is sent."""
DEEPEST = 50
"""How deep blocks may nest."""


class RenderingFailed(InvalidInput):
    """A template that cannot be rendered with the data given."""


class Work(msgspec.Struct):
    """What is to be rendered: the parts of one email, all with the same data."""

    parts: dict[str, str]
    """Sources by the names that errors call them: ``Subject``, ``Text``, ``Html``."""
    data: str
    """``TemplateData``: a JSON object."""
    escape: bool
    """Whether values in ``Html`` are escaped."""
    limit: int
    """Characters that a part may have, before and after."""


def render(work: Work) -> dict[str, str]:
    """Return the parts as they are sent. Raises `RenderingFailed`.

    ``{{name}}``, ``{{a.b}}``, ``{{#each}}``, ``{{#if}}``, ``{{#unless}}``, ``{{#with}}``,
    ``{{lookup}}`` and inline partials. A value that is not in the data is an error where it is to
    be shown; conditions and loops take it as nothing.
    """
    data = read_data(work.data)
    return {name: _render(name, source, data, work) for name, source in work.parts.items()}


def _render(part: str, source: str, data: dict[str, Any], work: Work) -> str:
    if len(source) > work.limit:
        raise RenderingFailed(f"{part}: the template is too large")
    if "{{" not in source:
        return source
    engine = Handlebars(
        # SES "doesn't escape HTML content": Developer Guide, Advanced email personalization.
        escape_html=work.escape and part == "Html",
        strict=True,
        max_depth=DEEPEST,
    )
    engine.register_helper("log", lambda _arguments, _options: SafeString(""))
    for name in _LATER:  # no data: no loop over these finds them, and they are there within blocks
        engine.register_helper(name, partial(_stays, name))
    try:
        shown = engine.compile(source)(data)
    except StrictModeError as missing:  # SES's words
        raise RenderingFailed(
            f"{part}: Attribute '{missing.path}' is not present in the rendering data."
        ) from None
    except RecursionError:
        raise RenderingFailed(f"{part}: the template, or its data, is nested too deep") from None
    except (ValueError, TypeError) as error:
        raise RenderingFailed(f"{part}: the template cannot be read: {error}") from None
    except MemoryError:
        shown = None
    if shown is None or len(shown) > work.limit:
        raise RenderingFailed(f"{part}: it becomes longer than {work.limit} characters")
    return shown


def _stays(name: str, _arguments: object, _options: object) -> SafeString:
    return SafeString(f"{{{{{name}}}}}")


def read_data(text: str) -> dict[str, Any]:
    """Return the data of a template (``TemplateData``, a JSON object). Raises `RenderingFailed`."""
    if len(text) > DATA_LIMIT:
        raise RenderingFailed(f"TemplateData is longer than {DATA_LIMIT} characters")
    try:
        data = read_json(text or "{}", dict[str, Any])
        return {name: _with_lengths(value) for name, value in data.items()}
    except InvalidJson as error:
        raise RenderingFailed(
            f'TemplateData must be a JSON object, such as {{"name": "Ann"}}: {error}'
        ) from None
    except RecursionError:
        raise RenderingFailed("TemplateData is nested too deep") from None


class _List(list[Any]):
    """A list of the data. The library looks for ``length`` only where it takes it for an object."""

    def __contains__(self, name: object) -> bool:
        return name == "length"

    def __getitem__(self, place: Any) -> Any:
        return len(self) if place == "length" else super().__getitem__(place)

    def keys(self) -> range:
        return range(len(self))

    def items(self) -> Iterator[tuple[int, Any]]:
        return iter(enumerate(self))


Mapping.register(_List)


def _with_lengths(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _with_lengths(item) for name, item in value.items()}
    return _List(map(_with_lengths, value)) if isinstance(value, list) else value
