from typing import Any

import pytest

from clicktrail.errors import InvalidInput
from clicktrail.ingress.compose import render
from clicktrail.ingress.send_shapes import Template, TemplateContent
from clicktrail.ingress.template import Renderer, RenderingFailed, read_data

DATA = {
    "name": "<Ann & Co>",
    "user": {"first": "Ann", "nick": None},
    "items": [{"title": "one", "new": True}, {"title": "two"}],
    "number": 3,
    "yes": True,
}


def rendered(source: str, data: dict[str, Any] | None = None, *, html: bool = False) -> str:
    return Renderer(DATA if data is None else data, 10_000).render(source, "Text", html=html)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("plain } { text", "plain } { text"),
        ("{{name}}", "<Ann & Co>"),
        ("{{ user.first }}", "Ann"),
        ("{{user.nick}}", ""),
        ("{{number}} {{yes}}", "3 true"),
        ("{{#each items}}{{title}};{{/each}}", "one;two;"),
        ("{{#each items}}{{#if new}}*{{/if}}{{title}};{{/each}}", "*one;two;"),
        ("{{#if missing}}a{{else}}b{{/if}}", "b"),
        ("{{#if user.last}}a{{else if user.first}}b{{/if}}", "b"),
        ("{{#unless missing}}a{{/unless}}", "a"),
        ("{{#with user}}{{first}}{{/with}}", "Ann"),
        ("{{! a comment }}x", "x"),
        ("{{#items}}{{title}} {{/items}}", "one two "),
    ],
)
def test_templates_are_rendered(source: str, expected: str) -> None:
    assert rendered(source) == expected


def test_values_are_escaped_in_html_alone() -> None:
    assert rendered("{{name}} {{{name}}}", html=True) == "&lt;Ann &amp; Co&gt; <Ann & Co>"
    assert rendered("{{name}} {{{name}}}") == "<Ann & Co> <Ann & Co>"


@pytest.mark.parametrize("name", ["missing", "user.last", "items.5.title", "number.x"])
def test_a_value_that_is_missing_is_an_error_in_the_words_of_ses(name: str) -> None:
    with pytest.raises(RenderingFailed) as caught:
        rendered(f"a {{{{{name}}}}}")
    expected = f"Text: Attribute '{name}' is not present in the rendering data."
    assert str(caught.value) == expected


@pytest.mark.parametrize(
    "source",
    [
        "{{",
        "{{name",
        "{{#if name}}x",
        "{{/if}}",
        "{{#if a}}{{/each}}",
        "{{> partial}}",
        "{{nothing name}}",
        "{{log name}}",
        "{{#if a}}" * 5000,
        "{{#if name}}" * 200 + "{{/if}}" * 200,
        "{{#each items}}" * 3 + "{{../../../name}}" * 500 + "{{/each}}" * 3,
        "{{(lookup name}}",
        "\0{{\0}}",
    ],
)
def test_templates_that_cannot_be_rendered_are_refused(source: str) -> None:
    with pytest.raises(RenderingFailed):
        rendered(source)


@pytest.mark.parametrize(
    "text", ["{", "[]", "null", '"x"', "[" * 100_000, '{"a": ' * 5000, "{}" + " " * 262_144]
)
def test_data_must_be_an_object(text: str) -> None:
    with pytest.raises(RenderingFailed, match="TemplateData"):
        read_data(text)


def test_no_data_is_an_empty_object() -> None:
    assert read_data("") == {}


def test_each_part_says_where_it_failed() -> None:
    for part in ("subject", "text", "html"):
        content = TemplateContent(**{"subject": "s", "text": "t", "html": "h", part: "{{x}}"})
        with pytest.raises(RenderingFailed, match=f"^{part.title()}: Attribute 'x'"):
            render(Template(template_content=content), 10_000)


def test_templates_that_are_kept_elsewhere_are_refused() -> None:
    with pytest.raises(InvalidInput, match="TemplateContent") as caught:
        render(Template(template_name="welcome"), 10_000)
    assert not isinstance(caught.value, RenderingFailed)


@pytest.mark.parametrize(
    "source",
    [
        "{{#each list}}{{#each ../list}}{{/each}}{{/each}}",
        "{{#each map}}{{#each ../map}}{{/each}}{{/each}}",
        "{{#list}}{{#each ../list}}{{/each}}{{/list}}",
        "{{#each list}}{{#each ../list}}{{#each ../../list}}x{{/each}}{{/each}}{{/each}}",
    ],
)
def test_loops_within_loops_come_to_an_end(source: str) -> None:
    data = {"list": list(range(2000)), "map": {str(n): n for n in range(2000)}}
    with pytest.raises(RenderingFailed, match=r"Text: .*loops may go through more than"):
        rendered(source, data)


def test_a_long_loop_is_no_harm() -> None:
    assert len(rendered("{{#each list}}x{{/each}}", {"list": list(range(9000))})) == 9000


@pytest.mark.parametrize("depth", [100, 500, 900, 5000])
def test_data_that_is_nested_deep_is_rendered_or_refused(depth: int) -> None:
    text = '{"a":' * depth + "1" + "}" * depth
    try:
        shown = rendered("{{#each a}}x{{/each}}{{#if b}}{{/if}}", read_data(text))
    except RenderingFailed as refused:
        shown = str(refused)
    assert shown == "x" or "too deep" in shown or "depth exceeded" in shown
