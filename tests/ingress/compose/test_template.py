import asyncio
import gc
import json
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from clicktrail.errors import InvalidInput
from clicktrail.ingress.compose.compose import render as render_email
from clicktrail.ingress.compose.template import RenderingFailed, Work, read_data, render
from clicktrail.ingress.compose.template_process import (
    CPU_SECONDS,
    TemplateProcesses,
    TooManyTemplates,
    answer_to,
    over,
)
from clicktrail.ingress.sesv2.send_shapes import Template, TemplateContent

JUDGED = Path(__file__).parent / "handlebars" / "judged.json"
"""What Handlebars itself makes of templates: `handlebars/judge.mjs` tells how it was asked."""
DATA = {
    "name": "<Ann & Co>",
    "user": {"first": "Ann", "nick": None},
    "items": [{"title": "one", "new": True}, {"title": "two"}],
    "number": 3,
    "yes": True,
}


def rendered(
    source: str, data: dict[str, Any] | None = None, *, part: str = "Text", escape: bool = False
) -> str:
    text = json.dumps(DATA if data is None else data)
    return render(Work({part: source}, text, escape, 10_000))[part]


LITERALS = {'{{"name"}}', '{{"literal"}}', "{{123}}", "{{true}}", "{{'x'}}"}
LENIENT = {"{{name}}}", "{{name.}}", "{{.name.}}", "{{#if yes}}{{else}}{{else}}{{/if}}"}
PROTOTYPE = {
    "{{constructor}}", "{{__proto__}}", "{{toString}}", "{{#with user}}{{hasOwnProperty}}{{/with}}"
}  # fmt: skip
REFUSED = {"{{#if no}}a{{^}}b{{/if}}", '{{> p}}{{#*inline "p"}}late{{/inline}}'}
OTHER = {"{{{name}}}\n{{~#if yes}}\nz{{/if}}", "{{{{raw}}}}{{name}}{{{{/raw}}}}", "{{lookup}}|"}
DIFFERENT = LITERALS | LENIENT | PROTOTYPE | REFUSED | OTHER
"""Oddities that are not as in Handlebars. Of those that work there, `REFUSED` say so loudly."""


def judged() -> list[Any]:
    kept = json.loads(JUDGED.read_text("utf-8"))
    data = json.loads((JUDGED.parent / "cases.json").read_text("utf-8"))["data"]
    return [
        pytest.param(
            data[each["data"]], each, id=each["data"] + " " + ascii(each["template"])[1:-1]
        )
        for each in kept["judged"]
        if each["template"] not in DIFFERENT
    ]


@pytest.mark.parametrize(("data", "case"), judged())
def test_templates_render_as_handlebars_has_it(data: dict[str, Any], case: dict[str, Any]) -> None:
    for escape, expected in (
        (False, case["plain"]),
        (True, case.get("escaped", case["plain"])),
    ):
        if isinstance(expected, str):
            shown = rendered(case["template"], data, part="Html", escape=escape)
            assert shown == expected
        else:
            with pytest.raises(RenderingFailed, match=r"^Html: "):
                rendered(case["template"], data, part="Html", escape=escape)


def test_the_judge_was_asked_enough() -> None:
    assert len(judged()) > 300


@pytest.mark.parametrize("source", sorted(REFUSED))
def test_what_works_in_handlebars_alone_is_refused(source: str) -> None:
    with pytest.raises(RenderingFailed):
        rendered(source)


def test_values_are_escaped_where_it_is_wanted_in_html_alone() -> None:
    source = "{{name}} {{{name}}}"
    assert rendered(source, part="Html") == "<Ann & Co> <Ann & Co>"
    assert rendered(source, part="Html", escape=True) == "&lt;Ann &amp; Co&gt; <Ann & Co>"
    assert rendered(source, part="Text", escape=True) == "<Ann & Co> <Ann & Co>"


@pytest.mark.parametrize("name", ["missing", "user.last", "items.[5].title", "number.x"])
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
        "{{#if a}}" * 5000,
        "{{#if name}}" * 200 + "{{/if}}" * 200,
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


def test_what_is_known_when_the_email_is_sent_stays_and_is_no_data() -> None:
    source = "{{amazonSESUnsubscribeUrl}} {{#each these}}{{ses:openTracker}}{{this}}{{/each}}"
    shown = rendered(source, {"these": ["a"]}, escape=True)
    assert shown == "{{amazonSESUnsubscribeUrl}} {{ses:openTracker}}a"
    assert rendered("{{#each this}}{{@key}}{{/each}}", {"a": 1}) == "a"


def test_no_data_is_an_empty_object() -> None:
    assert read_data("") == {}


@pytest.fixture
async def processes() -> AsyncIterator[TemplateProcesses]:
    processes = TemplateProcesses()
    yield processes
    await processes.stop()


async def email(processes: TemplateProcesses, template: Template, **more: Any) -> Any:
    return await render_email(template, processes, **{"escape": False, "most": 10_000, **more})


async def test_each_part_says_where_it_failed(processes: TemplateProcesses) -> None:
    for part in ("subject", "text", "html"):
        content = TemplateContent(**{"subject": "s", "text": "t", "html": "h", part: "{{x}}"})
        with pytest.raises(RenderingFailed, match=f"^{part.title()}: Attribute 'x'"):
            await email(processes, Template(template_content=content))


async def test_templates_that_are_kept_elsewhere_are_refused(processes: TemplateProcesses) -> None:
    with pytest.raises(InvalidInput, match="TemplateContent") as caught:
        await email(processes, Template(template_name="welcome"))
    assert not isinstance(caught.value, RenderingFailed)


LOOPS = [
    "{{#each list}}{{#each ../list}}{{#each ../../list}}{{/each}}{{/each}}{{/each}}",
    "{{#each map}}{{#each ../map}}{{#each ../../map}}{{/each}}{{/each}}{{/each}}",
    "{{#list}}{{#each ../list}}{{#each ../../list}}x{{/each}}{{/each}}{{/list}}",
    "{{#if missing.a}}{{/if}}" * 100
    + "{{#each list}}{{#each ../list}}{{#if this.x}}{{/if}}{{/each}}{{/each}}",
    '{{#*inline "p"}}{{#each @root.list}}{{> p}}{{/each}}{{/inline}}{{> p}}',
]
LOOPED = json.dumps({"list": list(range(9000)), "map": {str(n): n for n in range(9000)}})


@pytest.mark.parametrize("source", LOOPS)
def test_loops_within_loops_come_to_an_end(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within a tenth of the time that they have in earnest."""
    # Hypothesis looks at each garbage collection, and may be what is interrupted (see below).
    monkeypatch.setattr(sys, "unraisablehook", lambda _: None)
    before = signal.signal(signal.SIGPROF, over)
    try:
        answer = answer_to(Work({"Text": source}, LOOPED, False, 10_000_000), CPU_SECONDS / 10)
    finally:
        signal.signal(signal.SIGPROF, before)
    assert "takes longer than 0.3 seconds" in answer.failed or "nested too deep" in answer.failed


def test_a_limit_that_is_lost_in_the_garbage_collector_comes_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lost: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lost.append)

    def callback(phase: str, _: dict[str, int]) -> None:
        while phase == "start" and not lost and signal.getitimer(signal.ITIMER_PROF)[0]:
            pass

    before = signal.signal(signal.SIGPROF, over)
    gc.callbacks.append(callback)
    try:
        answer = answer_to(Work({"Text": LOOPS[0]}, LOOPED, False, 10_000_000), 0.1)
    finally:
        gc.callbacks.remove(callback)
        signal.signal(signal.SIGPROF, before)
    assert lost
    assert "takes longer than 0.1 seconds" in answer.failed


async def test_others_go_on_while_a_template_loops(processes: TemplateProcesses) -> None:
    asked = asyncio.create_task(
        email(
            processes,
            Template(template_content=TemplateContent(subject=LOOPS[0]), template_data=LOOPED),
            most=10_000_000,
        )
    )
    turns = 0
    while not asked.done():  # others go on meanwhile
        await asyncio.sleep(0.01)
        turns += 1
    with pytest.raises(RenderingFailed, match="takes longer than"):
        await asked
    assert turns > 1
    good = Template(template_content=TemplateContent(subject="{{a}}"), template_data='{"a": "b"}')
    assert (await email(processes, good)).subject.data == "b"


async def test_what_becomes_too_long_is_refused(processes: TemplateProcesses) -> None:
    source = "{{#each list}}" + "x" * 50_000 + "{{/each}}"
    content = TemplateContent(subject=source)
    with pytest.raises(RenderingFailed, match=r"longer than|memory"):
        await email(
            processes,
            Template(template_content=content, template_data=LOOPED),
            most=1_000_000,
        )


async def test_a_process_that_dies_is_followed_by_another(processes: TemplateProcesses) -> None:
    template = Template(template_content=TemplateContent(subject="{{a}}"), template_data='{"a": 1}')
    assert (await email(processes, template)).subject.data == "1"
    [process] = processes._idle
    process.kill()
    await process.wait()
    with pytest.raises(RenderingFailed, match="too much time or memory"):
        await email(processes, template)
    assert (await email(processes, template)).subject.data == "1"


async def test_who_goes_away_leaves_nothing_for_the_next(processes: TemplateProcesses) -> None:
    good = Template(template_content=TemplateContent(subject="{{a}}"), template_data='{"a": "b"}')
    await email(processes, good)
    slow = Template(template_content=TemplateContent(subject=LOOPS[0]), template_data=LOOPED)
    asked = asyncio.create_task(email(processes, slow))
    while processes._idle:  # noqa: ASYNC110 - until it has begun
        await asyncio.sleep(0)
    asked.cancel()
    await asyncio.gather(asked, return_exceptions=True)
    assert not processes._idle
    assert (await email(processes, good)).subject.data == "b"


async def test_no_more_wait_than_may(
    processes: TemplateProcesses, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "MOST_WAITING", 0)
    template = Template(template_content=TemplateContent(subject="{{a}}"), template_data='{"a": 1}')
    asked = [email(processes, template) for _ in range(5)]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, BaseException)]
    assert len(refused) == 3
    assert all(isinstance(each, TooManyTemplates) for each in refused)


def test_a_long_loop_is_no_harm() -> None:
    assert len(rendered("{{#each list}}x{{/each}}", {"list": list(range(9000))})) == 9000


@pytest.mark.parametrize("depth", [100, 500, 900, 5000])
def test_data_that_is_nested_deep_is_rendered_or_refused(depth: int) -> None:
    text = '{"a":' * depth + "1" + "}" * depth
    try:
        work = Work({"Text": "{{#each a}}x{{/each}}{{#if b}}{{/if}}"}, text, False, 100)
        shown = render(work)["Text"]
    except RenderingFailed as refused:
        shown = str(refused)
    assert shown == "x" or "too deep" in shown
