"""SES v2: templates that are kept under names, and how emails get at theirs."""

import asyncio
from collections.abc import Iterable
from urllib.parse import unquote

from msgspec.structs import replace

from clicktrail.base.ids import epoch_seconds
from clicktrail.errors import InvalidInput
from clicktrail.ingress.compose.compose import preview, render
from clicktrail.ingress.compose.template_process import TemplateProcesses, TooManyTemplates
from clicktrail.ingress.sesv2.operations import ApiError, Body, Call, Operation
from clicktrail.ingress.sesv2.paging import asked_page, next_token
from clicktrail.ingress.sesv2.send_shapes import Simple, Template, TemplateContent
from clicktrail.ingress.sesv2.tags import Tag, given_tags, shown_tags
from clicktrail.store.mail.templates import EmailTemplate, TemplateStore

_TEMPLATE = "/templates/{TemplateName}"


class CreateTemplate(Body):
    """``CreateEmailTemplate``."""

    template_name: str
    template_content: TemplateContent
    tags: tuple[Tag, ...] = ()


class UpdateTemplate(Body):
    """``UpdateEmailTemplate``."""

    template_content: TemplateContent


class RenderTemplate(Body):
    """``TestRenderEmailTemplate``."""

    template_data: str


class Templates:
    """Finds and renders the templates of emails. `stop` ends what renders.

    ``most`` is how many characters a part may have, ``escape`` whether values in HTML are escaped.
    """

    def __init__(self, kept: TemplateStore, most: int, *, escape: bool = False) -> None:
        self.kept = kept
        self._most = most
        self._escape = escape
        self._processes = TemplateProcesses()

    async def found(self, template: Template) -> Template:
        """Return a template with its content: that of its name, where none stands in it.

        Raises `InvalidInput`, and `NotFound` for a name that is none.
        """
        if template.template_content is not None:
            return template
        name = template.template_name or _named_by(template.template_arn)
        if not name:
            raise InvalidInput("Template: give TemplateName, or the template in TemplateContent")
        return replace(
            template, template_name=name, template_content=_content(await self.kept.get(name))
        )

    async def rendered(self, template: Template) -> Simple:
        """Return the email that a template with its content gives with its data.

        Raises `InvalidInput`, `TooManyTemplates`.
        """
        return await render(template, self._processes, escape=self._escape, most=self._most)

    async def stop(self) -> None:
        """End the processes."""
        await self._processes.stop()


class TemplateOperations:
    """What is done with templates."""

    def __init__(self, templates: Templates, hostname: str) -> None:
        self._templates = templates
        self._hostname = hostname

    def rows(self) -> Iterable[Operation]:
        """Return the operations."""
        manage, read = "manage", "read"
        yield Operation(
            "CreateEmailTemplate", "POST", "/templates", manage, self.create, CreateTemplate
        )
        yield Operation("GetEmailTemplate", "GET", _TEMPLATE, read, self.get)
        yield Operation(
            "UpdateEmailTemplate", "PUT", _TEMPLATE, manage, self.update, UpdateTemplate
        )
        yield Operation("DeleteEmailTemplate", "DELETE", _TEMPLATE, manage, self.delete)
        yield Operation("ListEmailTemplates", "GET", "/templates", read, self.list)
        yield Operation(
            "TestRenderEmailTemplate",
            "POST",
            f"{_TEMPLATE}/render",
            read,
            self.render,
            RenderTemplate,
        )

    async def create(self, _: Call, body: CreateTemplate) -> object:
        """``CreateEmailTemplate``."""
        made = _template(body.template_name, body.template_content)
        await self._templates.kept.create(_tagged(made, body.tags))
        return {}

    async def get(self, call: Call, _: Body) -> object:
        """``GetEmailTemplate``."""
        found = await self._templates.kept.get(call.path["TemplateName"])
        parts = {"Subject": found.subject, "Text": found.text, "Html": found.html}
        return {
            "TemplateName": found.name,
            "TemplateContent": {name: part for name, part in parts.items() if part is not None},
            "Tags": shown_tags(found.tags),
        }

    async def update(self, call: Call, body: UpdateTemplate) -> object:
        """``UpdateEmailTemplate``: parts that are not given go."""
        changed = _template(call.path["TemplateName"], body.template_content)
        await self._templates.kept.update(changed)
        return {}

    async def delete(self, call: Call, _: Body) -> object:
        """``DeleteEmailTemplate``."""
        await self._templates.kept.delete(call.path["TemplateName"])
        return {}

    async def list(self, call: Call, _: Body) -> object:
        """``ListEmailTemplates``."""
        size, after = asked_page(call)
        found = await self._templates.kept.page(after, size + 1)
        shown = [
            {"TemplateName": name, "CreatedTimestamp": epoch_seconds(created_at)}
            for name, created_at in found[:size]
        ]
        following = next_token(found[size - 1][0]) if len(found) > size else {}
        return {"TemplatesMetadata": shown, **following}

    async def render(self, call: Call, body: RenderTemplate) -> object:
        """``TestRenderEmailTemplate``: the email, but for who sends it to whom."""
        given = Template(template_name=call.path["TemplateName"], template_data=body.template_data)
        try:
            simple = await self._templates.rendered(await self._templates.found(given))
        except TooManyTemplates as error:
            raise too_many(error) from None
        shown = await asyncio.to_thread(preview, simple, self._hostname)
        return {"RenderedTemplate": shown.decode("ascii")}


def too_many(error: TooManyTemplates) -> ApiError:
    """Return what a client is told where too many templates wait to be rendered."""
    return ApiError(429, "TooManyRequestsException", str(error))


def _template(name: str, given: TemplateContent) -> EmailTemplate:
    return EmailTemplate(name, given.subject or "", given.text, given.html)


def _tagged(made: EmailTemplate, tags: tuple[Tag, ...]) -> EmailTemplate:
    return EmailTemplate(made.name, made.subject, made.text, made.html, given_tags(tags))


def _content(found: EmailTemplate) -> TemplateContent:
    return TemplateContent(subject=found.subject, text=found.text, html=found.html)


def _named_by(arn: str | None) -> str:
    """Return the name in ``arn:aws:ses:REGION:ACCOUNT:template/NAME``. Raises `InvalidInput`."""
    if not arn:
        return ""
    kind, _, name = arn.rpartition(":")[2].partition("/")
    if kind != "template" or not name:
        raise InvalidInput(
            f"TemplateArn is {arn[:100]!a}: expected arn:aws:ses:REGION:ACCOUNT:template/NAME"
        )
    return unquote(name)
