"""Templates of SendEmail on a running service: what they become, and that they hold up nobody."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from clicktrail.ingress.compose.template_process import TemplateProcesses
from support.service import Service, html_of
from support.ses import access_key, ses_client

LIST = json.dumps({"list": [{"n": n} for n in range(9000)]})
# A condition in a loop in a loop, many times: 1.8 KB.
SLOW = "{{#each list}}{{#each ../list}}{{#if this.p}}x{{/if}}{{/each}}{{/each}}" * 25


def send(ses: Any, content: dict[str, str], data: str) -> None:
    ses.send_email(
        FromEmailAddress="News <news@example.com>",
        Destination={"ToAddresses": ["reader@example.org"]},
        Content={
            "Template": {
                "TemplateContent": {"Subject": "s", "Text": "t", **content},
                "TemplateData": data,
            }
        },
    )


CONDITIONS = (
    "{{#each o}}{{#if this.p}}{{@key}}{{/if}}{{/each}}{{#each list}}{{#if ../vip}}v{{/if}}{{/each}}"
    "{{#if a.[0]}}0{{/if}}{{#if a.[7]}}7{{/if}}{{#if x.y.z}}x{{/if}} {{a}} {{a.length}}\n"
    "{{#if a}}\nline\n{{/if}}\nend"
)
CONDITIONAL = {"o": {"b": {"p": 1}, "c": {}}, "list": [1], "a": ["q", "r"]}


def test_what_is_not_there_is_false_and_lists_and_lines_are_as_in_handlebars(
    service: Service, ses: Any
) -> None:
    send(ses, {"Html": CONDITIONS}, json.dumps(CONDITIONAL))
    page = html_of(service.arrived()).replace("\r\n", "\n")
    assert page.strip() == "b0 q,r 2\nline\nend"


def test_escaping_is_a_setting(tmp_path: Path) -> None:
    with Service(tmp_path, "--api-escape-templates", "yes") as service:
        client = ses_client(service, access_key(service, "send", "manage"))
        try:
            send(client, {"Html": "<p>{{name}} {{{name}}}</p>"}, '{"name": "<Ann>"}')
        finally:
            client.close()
        assert html_of(service.arrived()).strip() == "<p>&lt;Ann&gt; <Ann></p>"


def test_a_template_that_asks_for_too_much_is_refused_and_nobody_waits(
    service: Service, key: tuple[str, str], ses: Any
) -> None:
    def ask_for_much() -> str:
        client = ses_client(service, key)
        try:
            with pytest.raises(client.exceptions.BadRequestException) as caught:
                send(client, {"Html": SLOW}, LIST)
            return str(caught.value)
        finally:
            client.close()

    at_once = TemplateProcesses.MOST
    with ThreadPoolExecutor(at_once) as threads:
        asked = [threads.submit(ask_for_much) for _ in range(at_once)]
        answered = 0
        while not any(each.done() for each in asked):
            ses.list_configuration_sets()
            answered += 1
            time.sleep(0.05)
        assert answered >= 3  # each within the time that one template has
        assert all("takes longer than" in each.result() for each in asked)
    send(ses, {"Html": "<p>{{name}}</p>"}, '{"name": "Ann"}')
    assert "<p>Ann</p>" in html_of(service.arrived())


@pytest.mark.parametrize(
    ("content", "data"),
    [
        ({"Html": "x"}, '{"a":' * 30_000),
        ({"Html": "{{a}}"}, '{"a":' + "[" * 20_000 + "]" * 20_000 + "}"),
        ({"Html": "{{#if a}}" * 5000}, "{}"),
        ({"Html": "{{#if " + "(lookup a " * 5000 + "}}"}, "{}"),
        ({"Html": "{{#if a}}" + "{{else if b}}" * 5000 + "{{/if}}"}, "{}"),
        ({"Html": '{{#*inline "p"}}{{> p}}{{/inline}}{{> p}}'}, "{}"),
    ],
)
def test_what_is_nested_too_deep_is_refused(
    service: Service, ses: Any, content: dict[str, str], data: str
) -> None:
    with pytest.raises(ses.exceptions.BadRequestException):
        send(ses, content, data)
    assert service.logged("API request failed") == []
