"""Tracking links in a Django project, without a service. Needs ``pip install django``.

In its settings: ``CLICKTRAIL_KEYS`` (the path of a ``keys.json``), ``CLICKTRAIL_HOST`` (the host
name of this project, as links shall have it), and ``CLICKTRAIL_WEBHOOK_SECRET`` for `webhook`. In
its ``urls.py``: ``urlpatterns += clicktrail_urls``.

Whoever wants to know who clicked keeps ``message_id`` with the email that `tracked` returns it for.
"""

from functools import cache
from pathlib import Path

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.dispatch import Signal
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST, require_safe

from clicktrail.api import InvalidSignature, InvalidToken, Tracking, verify_webhook

clicked = Signal()
"""Somebody clicked: ``opened`` is `clicktrail.api.OpenedLink`."""
told = Signal()
"""A service of Clicktrail has told of an event: ``event`` is `clicktrail.api.Event`."""


@cache
def tracking() -> Tracking:
    """Return what makes and opens links; once for the whole process."""
    return Tracking(Path(settings.CLICKTRAIL_KEYS), settings.CLICKTRAIL_HOST)


def tracked(email: EmailMultiAlternatives) -> str:
    """Replace the links in the HTML of an email to one reader; return its message id."""
    message_id, first = "", 0
    for at, (content, mimetype) in enumerate(email.alternatives):
        if mimetype == "text/html":
            done = tracking().rewrite_html(content, message_id, first=first)
            email.alternatives[at] = type(email.alternatives[at])(done.html, mimetype)
            message_id, first = done.message_id, first + len(done.links)
    return message_id


@require_safe
def click(request: HttpRequest, token: str) -> HttpResponse:
    try:
        opened = tracking().open(token)
    except InvalidToken:
        return HttpResponse("There is no such link.", status=404, content_type="text/plain")
    if request.method == "GET":
        clicked.send(click, opened=opened, request=request)
    return HttpResponse(status=302, headers={"Location": opened.location})


@csrf_exempt
@require_POST
def webhook(request: HttpRequest) -> HttpResponse:
    secret = settings.CLICKTRAIL_WEBHOOK_SECRET
    try:
        event = verify_webhook(secret, request.headers, request.body)
    except InvalidSignature:
        return HttpResponse(status=401)
    told.send(webhook, event=event)
    return HttpResponse(status=204)


clicktrail_urls = [path("c/<str:token>", click), path("clicktrail/", webhook)]
