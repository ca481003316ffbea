"""Clicks from Clicktrail's webhook, told by django-anymail's signal ``tracking``, as those of SES.

In the project's ``urls.py``:

    path("clicktrail/", ClicktrailTrackingView.as_view())

In its settings, ``CLICKTRAIL_WEBHOOK_SECRET``: what Clicktrail has in ``webhook-secret`` of its
data folder (or in the setting ``webhook.secret``). Then

    clicktrail event-destination add news django --webhook https://www.example.com/clicktrail/

django-anymail's own view for Amazon SES does not do here: it wants Amazon SNS's envelope around an
event, and answers 500 to the event itself.

Needs ``pip install django-anymail[amazon-ses] standardwebhooks``.
"""

import json
from typing import Any

from anymail.exceptions import AnymailWebhookValidationFailure
from anymail.signals import tracking
from anymail.webhooks.amazon_ses import AmazonSESTrackingWebhookView
from anymail.webhooks.base import AnymailBaseWebhookView
from django.conf import settings
from django.http import HttpRequest
from standardwebhooks import Webhook, WebhookVerificationError


class ClicktrailTrackingView(AnymailBaseWebhookView):  # type: ignore[misc]  # has no types
    """Checks the signature, and has the event read as one of SES, which it is but for its way."""

    esp_name = "Clicktrail"
    signal = tracking
    warn_if_no_basic_auth = False

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.basic_auth: list[str] = []  # the signature is better
        self._webhook = Webhook(settings.CLICKTRAIL_WEBHOOK_SECRET)
        self._ses = AmazonSESTrackingWebhookView(webhook_secret="not:used")

    def validate_request(self, request: HttpRequest) -> None:
        """Raise for a request that Clicktrail has not signed: it is answered 400."""
        try:
            self._webhook.verify(request.body, dict(request.headers), json_parse=False)
        except WebhookVerificationError as error:
            raise AnymailWebhookValidationFailure(str(error)) from error

    def parse_events(self, request: HttpRequest) -> Any:
        """Return django-anymail's events."""
        event = json.loads(request.body)
        happened = event.get("click") or event["mail"]
        envelope = {"MessageId": event["eventId"], "Timestamp": happened["timestamp"]}
        return self._ses.esp_to_anymail_events(event, envelope)
