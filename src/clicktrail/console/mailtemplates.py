"""Templates that emails name: listed, made, changed, tried with data, deleted."""

from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import Request
from starlette.responses import Response

from clicktrail.console.clickmap import frame
from clicktrail.console.forms import answer, field, fields, path_of, refuse, said, show
from clicktrail.console.views import Views
from clicktrail.errors import ClicktrailError, InvalidInput
from clicktrail.store import Store
from clicktrail.store.mail.templates import EmailTemplate

ALL = "/templates"
SHOWN = 100

Render = Callable[[EmailTemplate, str], Awaitable[Mapping[str, str]]]
"""Returns the parts ``Subject``, ``Text`` and ``Html`` that a template gives with data, a JSON
object. Raises `ClicktrailError`."""


class TemplatePages:
    """Pages of templates. Without ``render`` none is tried."""

    def __init__(self, store: Store, views: Views, render: Render | None) -> None:
        self._kept = store.templates
        self._views = views
        self._render = render

    async def list(self, request: Request) -> Response:
        """Show all, by name."""
        after = request.query_params.get("after", "")
        found = await self._kept.page(after, SHOWN + 1)
        return self._views.page(
            request,
            "templates.html",
            found=found[:SHOWN],
            first=not after,
            following=found[SHOWN - 1][0] if len(found) > SHOWN else "",
        )

    async def create(self, request: Request) -> Response:
        """Make a new one."""
        name = field(request, "name")

        async def work() -> str:
            await self._kept.create(_template(request, name))
            return f"Created {name}."

        return await answer(request, work, f"{ALL}#new", f"{_address(name)}#content")

    async def show(self, request: Request) -> Response:
        """Show one, and what it gave when it was tried."""
        found = await self._kept.get(request.path_params["name"])
        return self._views.page(
            request, "template.html", found=found, can_try=self._render is not None
        )

    async def change(self, request: Request) -> Response:
        """Replace the parts of one."""
        name = request.path_params["name"]

        async def work() -> str:
            await self._kept.update(_template(request, name))
            return "Saved."

        return await answer(request, work, f"{_address(name)}#content")

    async def delete(self, request: Request) -> Response:
        """Delete one."""
        name = request.path_params["name"]

        async def work() -> str:
            await self._kept.delete(name)
            return f"Deleted the template {name}."

        return await answer(request, work, f"{_address(name)}#delete", f"{ALL}#templates")

    async def render(self, request: Request) -> Response:
        """Try one with data, as ``TestRenderEmailTemplate`` does."""
        name = request.path_params["name"]
        form = f"{_address(name)}#try"
        try:
            found = await self._kept.get(name)
            if self._render is None:
                raise InvalidInput("templates cannot be tried here")
            shown = await self._render(found, _text(request, "data"))
        except ClicktrailError as error:
            return refuse(request, error, form)
        return show(request, "It gives this email.", form, shown)

    async def preview(self, request: Request) -> Response:
        """Return the HTML that one gave, for the frame."""
        html = said(request).at("try").shown.get("Html", "")
        return frame([html], (), images=False)


def _template(request: Request, name: str) -> EmailTemplate:
    text, html = _text(request, "text"), _text(request, "html")
    return EmailTemplate(name, field(request, "subject"), text or None, html or None)


def _text(request: Request, name: str) -> str:
    """Return a text as it was typed; forms have CRLF for line breaks (HTML § 4.10.22.4)."""
    return "".join(fields(request, name)).replace("\r\n", "\n")


def _address(name: str) -> str:
    return path_of("templates", name)
