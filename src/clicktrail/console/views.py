"""Pages: the templates, what all of them know, and the headers that all of them have."""

from collections.abc import Iterable, Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from clicktrail import __version__
from clicktrail.console.forms import path_of, said
from clicktrail.console.zones import given_zone, page_time, zone_of
from clicktrail.model import Role
from clicktrail.store.clicks.judging.reasons import why

SECURITY = {
    # Content Security Policy Level 3. All is our own: no inline scripts or styles, no other sites.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self';"
    " img-src 'self' data:; connect-src 'self'; frame-src 'self'; form-action 'self';"
    " base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
NOT_STORED = {"Cache-Control": "no-store"}


class Views:
    """Renders templates."""

    def __init__(self) -> None:
        self._environment = Environment(
            loader=PackageLoader("clicktrail.console"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters.update(
            number=number, share=share, time=page_time, listed=listed, span=span, why=why
        )
        self._environment.globals.update(version=__version__, path_of=path_of)

    def page(
        self, request: Request, template: str, status: int = 200, **values: Any
    ) -> HTMLResponse:
        """Return a page."""
        account = getattr(request.state, "account", None)
        text = self._environment.get_template(template).render(
            account=account,
            administrator=account is not None and account.role is Role.ADMINISTRATOR,
            csrf=getattr(request.state, "csrf", ""),
            path=request.url.path,
            said=said(request),
            mark=request.query_params.get("said", ""),
            zone=zone_of(request),
            given_zone=given_zone(request),
            **values,
        )
        return HTMLResponse(text, status, SECURITY | NOT_STORED)

    def part(self, template: str, **values: Any) -> str:
        """Return a part of a page, the same for everybody."""
        return self._environment.get_template(template).render(**values)

    def problem(self, request: Request, status: int, message: str) -> Response:
        """Return a page that says what is wrong."""
        return self.page(request, "problem.html", status, message=message, code=status)


def number(value: int) -> str:
    """Return a number as people read it: ``1 234 567``, with thin spaces."""
    return f"{value:,}".replace(",", "\u202f")


def share(part: int, whole: int) -> str:
    """Return a part in per cent; a dash of nothing."""
    return f"{100 * part / whole:.1f}\u202f%" if whole else "–"


def options(
    known: Iterable[str], chosen: str | None, counted: Iterable[str] = ()
) -> list[tuple[str, str]]:
    """Return what can be chosen, and how it is shown: what is ``known``, what is chosen, and what
    is ``counted`` though it is not known any more."""
    names = list(known)
    gone = sorted({*counted} - {"", *names})
    strange = [chosen] if chosen and chosen not in names and chosen not in gone else []
    return [*((n, n) for n in (*names, *strange)), *((n, f"{n} (deleted)") for n in gone)]


def span(seconds: float) -> str:
    """Return a time span in words, in the largest unit that it is whole in: ``2 days``."""
    units = {86400: "day", 3600: "hour", 60: "minute"}
    unit = next((u for u in units if seconds >= u and seconds % u == 0), 1)
    count = seconds / unit
    return f"{count:g} {units.get(unit, 'second')}{'' if count == 1 else 's'}"


def listed(names: Sequence[str]) -> str:
    """Return names as a sentence has them: ``a, b and c``."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
