"""Real clients against the real service, over HTTP: only the endpoint and the key are ours.

Each makes a configuration set, an event destination and an identity, and sends an HTML email; the
link of the email that arrives is clicked; the event is read, and the metric.
"""

import email.policy
import json
import os
import subprocess
from dataclasses import replace
from email.parser import BytesParser
from itertools import count
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from botocore.exceptions import ClientError

from support.clients import ROOT, Client, boto3_of_this_project, client, environment_for
from support.service import BROWSER, PATIENCE, Service, email_with, hrefs, html_of
from support.ses import access_key, ses_client

TARGET = "https://shop.example/books?title=gr%C3%BC%C3%9Fe&page=2#start"
HTML = f"<p>Grüße: <a ses:tags='product:book;' href='{TARGET.replace('&', '&amp;')}'>books</a></p>"
OTHERS = ["boto3-1.34", "awscli", "anymail", "django-ses", "sdk", "nodemailer"]
_numbers = count(1)


def click_round(service: Service, by: Client) -> dict[str, Any]:
    """Send, click, read event and metric; return the Click event."""
    name = f"{by.name.replace('.', '-')}-{next(_numbers)}"
    domain = f"{name}.example"
    message_id = by.send(name, f"arn:clicktrail:stream:::{name}", domain, HTML)

    arrived = service.arrived()
    parsed = BytesParser(policy=email.policy.default).parsebytes(arrived)
    assert parsed["Subject"] == "Grüße"
    assert parsed["From"].addresses[0].addr_spec == f"news@{domain}"
    assert parsed["To"].addresses[0].addr_spec == "reader@gmail.com"
    assert "X-SES-CONFIGURATION-SET" not in parsed
    html = html_of(arrived)
    assert "Grüße: <a" in html
    assert "ses:tags" not in html
    [link] = hrefs(html)
    assert "/c/" in link
    answer = service.request(link)
    assert (answer.status, answer.location) == (302, TARGET)

    service.wait_for_clicks(name, 1)
    clicks = [e for e in service.wait_for_events(name, 1) if e["eventType"] == "Click"]
    if not clicks:  # the Send event came first
        clicks = [e for e in service.wait_for_events(name, 2) if e["eventType"] == "Click"]
    [event] = clicks
    assert event["mail"]["messageId"] == message_id
    assert event["mail"]["source"] == f"news@{domain}"
    assert event["mail"]["destination"] == ["reader@gmail.com"]
    assert event["mail"]["tags"]["ses:configuration-set"] == [name]
    assert event["click"]["link"] == TARGET
    assert event["click"]["linkTags"] == {"product": ["book"]}
    if by.name != "django-ses":  # which has no setting for tags
        assert event["mail"]["tags"]["campaign"] == ["summer"]
    if by.name not in ("anymail", "django-ses"):  # which do not read metrics
        assert by.clicks(name) == 1
    return event


def test_boto3_sends_and_reads_clicks_and_metrics(service: Service) -> None:
    boto3 = boto3_of_this_project(service)
    event = click_round(service, boto3)
    [name] = event["mail"]["tags"]["ses:configuration-set"]
    assert boto3.do("metric", name) == {"send": 1, "click": 1}
    assert boto3.do("remove", name, f"{name}.example") == {"removed": True}


@pytest.mark.long
@pytest.mark.parametrize("name", OTHERS)
def test_other_clients_do_the_same(service: Service, name: str) -> None:
    by = client(name, service)
    event = click_round(service, by)
    if name == "boto3-1.34":
        [set_name] = event["mail"]["tags"]["ses:configuration-set"]
        assert by.do("metric", set_name) == {"send": 1, "click": 1}
        assert by.do("remove", set_name, f"{set_name}.example") == {"removed": True}


@pytest.mark.long
def test_boto3_does_so_with_a_process_for_each_role(tmp_path: Path) -> None:
    with Service(tmp_path, embedded=False) as service:
        click_round(service, boto3_of_this_project(service))


def assert_tour(by: Client) -> None:
    number = next(_numbers)
    assert by.tour(f"tour-{by.name.replace('.', '-')}-{number}", f"ann+{number}@a-b.example") == {
        "type": "EMAIL_ADDRESS",
        "tags": [{"Key": "a b", "Value": "Grüße & mehr/=?"}],
        "redirect": "click.example.com",
        "engagement": "ENABLED",
        "paused": "SendingPausedException",
        "missing": "NotImplementedException",
    }
    secret = by.environment["AWS_SECRET_ACCESS_KEY"]
    wrong = {**by.environment, "AWS_SECRET_ACCESS_KEY": secret[::-1]}
    assert replace(by, environment=wrong).account() == {"error": "SignatureDoesNotMatch"}


def test_boto3_understands_every_answer(service: Service) -> None:
    assert_tour(boto3_of_this_project(service))


@pytest.mark.parametrize("named", [True, False])
def test_an_address_that_can_be_nobodys_is_rejected_with_or_without_identities(
    tmp_path: Path, named: bool
) -> None:
    """It is how nodemailer's ``verify()`` finds out whether the key is good."""
    with Service(tmp_path) as service:
        if named:
            service.cli("identity", "create", "example.com")
        ses = ses_client(service, access_key(service, "send"))
        raw = (
            b"From: <invalid@invalid>\r\nTo: <invalid@invalid>\r\n Subject: Invalid\r\n\r\nInvalid"
        )
        with pytest.raises(ses.exceptions.MessageRejected):
            ses.send_email(
                FromEmailAddress="invalid@invalid",
                Destination={"ToAddresses": ["invalid@invalid"]},
                Content={"Raw": {"Data": raw}},
            )
        assert not list(service.mailbox.glob("new/*"))
        ses.close()


def test_a_client_of_the_first_version_is_told_to_use_the_second(service: Service) -> None:
    given = environment_for(service)
    ses = boto3.client(
        "ses",
        endpoint_url=given["AWS_ENDPOINT_URL_SESV2"],
        region_name=given["AWS_REGION"],
        aws_access_key_id=given["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=given["AWS_SECRET_ACCESS_KEY"],
    )
    with pytest.raises(ClientError, match=r"NotImplementedException.*use v2"):
        ses.get_send_quota()
    ses.close()


@pytest.mark.long
@pytest.mark.parametrize("name", ["awscli", "sdk", "nodemailer"])
def test_other_clients_name_a_contact_list(service: Service, name: str) -> None:
    domain = f"leave-{next(_numbers)}.example"
    service.cli("identity", "create", domain)
    assert client(name, service).leave(f"{name}-list", domain) is False
    arrived = email.message_from_bytes(service.arrived())
    assert arrived["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    [link] = hrefs(html_of(arrived.as_bytes()))
    assert arrived["List-Unsubscribe"] == f"<{link}>"


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "refused"),
    [
        ("boto3-1.34", "MESSAGE_REJECTED"),
        ("awscli", "MESSAGE_REJECTED"),
        ("sdk", "MESSAGE_REJECTED"),
        ("nodemailer", "MessageRejected"),
    ],
)
def test_other_clients_write_to_many_and_hear_of_who_gets_no_email(
    service: Service, name: str, refused: str
) -> None:
    number = next(_numbers)
    domain = f"bulk-{number}.example"
    service.cli("identity", "create", domain)
    assert client(name, service).bulk(f"bulk-{number}", domain) == ["SUCCESS", refused]
    arrived = email.message_from_bytes(service.arrived())
    assert arrived["Subject"] == "Hi you"
    assert html_of(arrived.as_bytes()).strip() == "<p>you</p>"


@pytest.mark.long
@pytest.mark.parametrize("name", ["boto3-1.34", "awscli", "sdk"])
def test_other_clients_understand_every_answer(service: Service, name: str) -> None:
    assert_tour(client(name, service))


@pytest.mark.long
@pytest.mark.parametrize("library", ["anymail", "django-ses"])
def test_django_sends_with_a_key_that_may_do_nothing_else(service: Service, library: str) -> None:
    """django-ses 4.8 reads the quotas (GetAccount) before it sends."""
    name = service.configuration_set()
    domain = f"{name}.example"
    service.cli("identity", "create", domain)
    page = '<a href="http://a.example/">x</a>'
    by = replace(client(library, service), environment=environment_for(service, ("send",)))
    sent = by.do("send-only", name, domain, page)
    assert sent["messageId"]
    assert "/c/" in html_of(service.arrived())


@pytest.mark.long
@pytest.mark.parametrize("name", ["anymail", "django-ses"])
def test_django_reads_the_notification_by_the_webhook_it_has_for_ses(
    service: Service, name: str
) -> None:
    by = client(name, service)
    event = click_round(service, by)
    told = by.do("event", stdin=json.dumps(event))
    expected = {
        "event_type": "clicked",
        "message_id": event["mail"]["messageId"],
        "recipient": "reader@gmail.com",
        "click_url": TARGET,
        "user_agent": BROWSER,
    }
    if name == "anymail":  # which sends these along in headers of its own
        expected |= {"event_id": event["eventId"], "metadata": {"order": "4711"}}
        expected |= {"tags": ["summer"]}
    assert told == expected


@pytest.mark.long
def test_a_webhook_reaches_django_anymail_by_the_view_of_the_examples(tmp_path: Path) -> None:
    with Service(tmp_path, "--webhook-allow", "127.0.0.0/8") as service:
        secret = service.data.joinpath("webhook-secret").read_text(encoding="ascii").strip()
        by = client("anymail", service)
        command = [str(word) for word in (*by.command, "serve", ROOT / "examples")]
        environment = os.environ | by.environment | {"CLICKTRAIL_WEBHOOK_SECRET": secret}
        with subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as django:
            try:
                assert django.stdout is not None
                port = int(django.stdout.readline())
                view = f"http://127.0.0.1:{port}/clicktrail/"
                assert httpx.post(view, content=b"{}", timeout=PATIENCE).status_code == 400
                name = service.configuration_set()
                service.cli("event-destination", "add", name, "hook", "--webhook", view)
                [link] = hrefs(html_of(service.send(email_with(HTML, name))))
                service.request(link)
                [event] = service.wait_for_events(name, 1)
                told = json.loads(django.communicate(timeout=PATIENCE)[0])
            finally:
                django.kill()
    assert told["event_type"] == "clicked"
    assert told["message_id"] == event["mail"]["messageId"]
    assert told["recipient"] == "reader@gmail.com"
    assert told["click_url"] == TARGET
