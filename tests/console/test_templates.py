"""Templates in the console: made, changed, tried with data, deleted."""

from collections.abc import AsyncIterator
from html import unescape

import httpx
import pytest

from clicktrail.console.app import Console
from clicktrail.ingress.compose.template import Work
from clicktrail.ingress.compose.template_process import TemplateProcesses
from clicktrail.store import Store
from clicktrail.store.mail.templates import EmailTemplate
from support.forms import send

HTML = "\n<p>Hello {{name}}</p>\n<textarea></textarea>"


@pytest.fixture
async def console(store: Store) -> AsyncIterator[Console]:
    """A console that renders."""
    processes = TemplateProcesses()

    async def render(template: EmailTemplate, data: str) -> dict[str, str]:
        parts = {"Subject": template.subject, "Html": template.html or ""}
        return await processes.render(Work(parts, data, False, 1_000_000))

    yield Console(store, render=render)
    await processes.stop()


async def test_a_template_is_made_changed_and_deleted(
    store: Store, admin: httpx.AsyncClient, viewer: httpx.AsyncClient
) -> None:
    long = "x" * 300_000
    page = await send(admin, "/templates", {"name": "a b", "subject": "Hi", "html": long})
    assert "not a valid name" in page.text
    assert long in page.text
    page = await send(admin, "/templates", {"name": "one", "subject": "Hi"})
    assert "give Text, Html, or both" in page.text
    page = await send(
        admin, "/templates", {"name": "one", "subject": "Hi", "html": HTML.replace("\n", "\r\n")}
    )
    assert "Created one." in page.text
    assert await store.templates.get("one") == EmailTemplate("one", "Hi", None, HTML)
    shown = (await viewer.get("/templates/one")).text
    assert f"\n{HTML}</textarea>" in unescape(shown), "the first line break is the parser's"
    assert ">Save<" not in shown
    await send(admin, "/templates/one", {"subject": "New", "text": "t", "html": ""})
    assert await store.templates.get("one") == EmailTemplate("one", "New", "t")
    assert 'href="/templates/one"' in (await viewer.get("/templates")).text
    page = await send(admin, "/templates/one/delete")
    assert "Deleted the template one." in page.text
    assert (await admin.get("/templates/one")).status_code == 404


async def test_a_template_is_tried_with_data_by_whoever_may_look(
    store: Store, viewer: httpx.AsyncClient
) -> None:
    await store.templates.create(EmailTemplate("one", "Hi {{name}}", None, HTML + "y" * 5000))
    page = await send(viewer, "/templates/one/render", {"data": "{}"})
    assert "'name' is not present" in unescape(page.text)
    page = await send(viewer, "/templates/one/render", {"data": '{"name": "<b>Anna</b>"}'})
    assert "Hi &lt;b&gt;Anna&lt;/b&gt;" in page.text
    assert '"name": "<b>Anna</b>"' in unescape(page.text), "what was typed"
    at = page.text.partition('src="/templates/one/preview')[2].partition('"')[0]
    shown = await viewer.get(f"/templates/one/preview{at}")
    assert "<p>Hello <b>Anna</b></p>" in shown.text
    policy = shown.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    page = await send(viewer, "/templates/one/render", {"data": '{"name": ['})
    assert "TemplateData" in page.text
