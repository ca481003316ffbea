"""What a Django project does, by django-anymail or django-ses; their settings are below.

python with_django.py anymail|django-ses send NAME STREAM_ARN DOMAIN HTML |
    send-only NAME DOMAIN HTML | event < NOTIFICATION | serve FOLDER

The configuration set is made with boto3, as their documents advise. ``event`` hands a notification
to the webhook view of the library, in the envelope in which Amazon SNS brings those of SES.
``serve`` tells its port, takes one webhook by the view of the examples in a folder, and tells what
came of it; the secret is in the environment.
"""

import json
import os
import sys
from importlib import import_module
from typing import Any
from wsgiref.simple_server import make_server

import boto3
import django
from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.test import RequestFactory

library, step, *arguments = sys.argv[1:]
backends = {
    "anymail": "anymail.backends.amazon_ses.EmailBackend",
    "django-ses": "django_ses.SESBackend",
}
settings.configure(
    ALLOWED_HOSTS=["testserver", "127.0.0.1"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    EMAIL_BACKEND=backends[library],
    # django-anymail: the endpoint comes from the environment, as for all of boto3.
    ANYMAIL={
        "AMAZON_SES_CONFIGURATION_SET_NAME": arguments[0] if arguments else None,
        "AMAZON_SES_MESSAGE_TAG_NAME": "campaign",
        "WEBHOOK_SECRET": "bridge:password",
    },
    # django-ses: its own setting names the endpoint, or else it would call Amazon.
    USE_SES_V2=True,
    AWS_SES_REGION_NAME=os.environ["AWS_REGION"],
    AWS_SES_REGION_ENDPOINT_URL=os.environ["AWS_ENDPOINT_URL_SESV2"],
    AWS_SES_CONFIGURATION_SET=arguments[0] if arguments else None,
    AWS_SES_VERIFY_EVENT_SIGNATURES=False,
    CLICKTRAIL_WEBHOOK_SECRET=os.environ.get("CLICKTRAIL_WEBHOOK_SECRET"),
    ROOT_URLCONF=__name__,
)
django.setup()
urlpatterns: list[Any] = []


def send(name: str, stream: str, domain: str, html: str) -> dict[str, Any]:
    client = boto3.client("sesv2")
    client.create_configuration_set(ConfigurationSetName=name)
    firehose = {"IamRoleArn": "arn:aws:iam::000000000000:role/ses", "DeliveryStreamArn": stream}
    client.create_configuration_set_event_destination(
        ConfigurationSetName=name,
        EventDestinationName="clicks",
        EventDestination={
            "Enabled": True,
            "MatchingEventTypes": ["CLICK"],
            "KinesisFirehoseDestination": firehose,
        },
    )
    client.create_email_identity(EmailIdentity=domain)
    return send_only(name, domain, html)


def send_only(_: str, domain: str, html: str) -> dict[str, Any]:
    """Send an email; nothing is made before it."""
    email = EmailMultiAlternatives(
        "Grüße", "Hello", f"News <news@{domain}>", ["Reader <reader@gmail.com>"]
    )
    email.attach_alternative(html, "text/html")
    if library == "anymail":
        email.metadata = {"order": "4711"}
        email.tags = ["summer"]
    assert email.send() == 1
    if library == "anymail":
        [status] = email.anymail_status.recipients.values()
        return {"messageId": status.message_id}
    return {"messageId": email.extra_headers["message_id"]}


def event(notification: dict[str, Any]) -> dict[str, Any]:
    """Return what the library tells the application of a notification."""
    envelope = {
        "Type": "Notification",
        "MessageId": notification["eventId"],
        "TopicArn": "arn:aws:sns:eu-central-1:000000000000:clicks",
        "Timestamp": notification["click"]["timestamp"],
        "Message": json.dumps(notification),
    }
    request = RequestFactory().post(
        "/events",
        json.dumps(envelope),
        content_type="text/plain; charset=UTF-8",
        headers={
            "x-amz-sns-message-type": "Notification",
            "x-amz-sns-message-id": envelope["MessageId"],
            "Authorization": "Basic YnJpZGdlOnBhc3N3b3Jk",
        },
    )
    return anymail_event(request) if library == "anymail" else django_ses_event(request)


def serve(folder: str) -> dict[str, Any]:
    """Take one webhook over HTTP, by the view that the examples have."""
    sys.path.insert(0, folder)
    from django.core.wsgi import get_wsgi_application
    from django.urls import path

    told = told_by_anymail()
    view = import_module("django_anymail_view").ClicktrailTrackingView
    urlpatterns.append(path("clicktrail/", view.as_view()))
    with make_server("127.0.0.1", 0, get_wsgi_application()) as server:
        print(server.server_port, flush=True)
        while not told:
            server.handle_request()
    return told[0]


def told_by_anymail() -> list[dict[str, Any]]:
    """Return a list that fills with what django-anymail tells the application."""
    from anymail.signals import tracking

    told: list[dict[str, Any]] = []

    def on_event(event: Any, **_: object) -> None:
        names = ("event_type", "message_id", "recipient", "click_url", "user_agent", "event_id")
        told.append({name: getattr(event, name) for name in (*names, "metadata", "tags")})

    tracking.connect(on_event, weak=False)
    return told


def anymail_event(request: Any) -> dict[str, Any]:
    from anymail.webhooks.amazon_ses import AmazonSESTrackingWebhookView

    told = told_by_anymail()
    assert AmazonSESTrackingWebhookView.as_view()(request).status_code == 200
    [only] = told
    return only


def django_ses_event(request: Any) -> dict[str, Any]:
    from django_ses.signals import click_received
    from django_ses.views import SESEventWebhookView

    told: list[dict[str, Any]] = []

    def on_click(mail_obj: Any, click_obj: Any, **_: object) -> None:
        told.append(
            {
                "event_type": "clicked",
                "message_id": mail_obj["messageId"],
                "recipient": mail_obj["destination"][0],
                "click_url": click_obj["link"],
                "user_agent": click_obj["userAgent"],
            }
        )

    click_received.connect(on_click, weak=False)
    assert SESEventWebhookView.as_view()(request).status_code == 200
    [only] = told
    return only


if __name__ == "__main__":
    match step:
        case "send":
            answer = send(*arguments)
        case "send-only":
            answer = send_only(*arguments)
        case "event":
            answer = event(json.load(sys.stdin))
        case _:
            answer = serve(*arguments)
    print(json.dumps(answer))
