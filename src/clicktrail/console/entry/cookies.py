"""Cookies, as they are read (RFC 6265 § 4.2.1) and kept."""

from starlette.requests import Request
from starlette.responses import Response

SESSION = "clicktrail_session"
"""The cookie of who is signed in."""


def cookie(request: Request, name: str) -> str:
    """Return the value of a cookie; empty where there is none.

    Ours are plain tokens. The standard library's reader, which Starlette uses, also undoes
    escapes; in Python before 3.11.10 and 3.12.6 its time grows with the square of the header.
    """
    for line in request.headers.getlist("cookie"):
        for pair in line.split(";"):
            given, _, value = pair.partition("=")
            if given.strip() == name:
                return value.strip()
    return ""


def keep(request: Request, response: Response, name: str, value: str, seconds: int) -> None:
    """Give the browser a cookie for some time. It is not for scripts, nor for other sites."""
    secure = is_https(request)
    response.set_cookie(name, value, max_age=seconds, httponly=True, samesite="lax", secure=secure)


def is_https(request: Request) -> bool:
    """Whether the browser asks by https, of the proxy at least."""
    return "https" in (request.url.scheme, request.headers.get("x-forwarded-proto", ""))
