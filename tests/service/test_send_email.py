"""SendEmail and BatchGetMetricData, called by boto3 over HTTP; a click on what was sent."""

import email.policy
import json
import smtplib
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.parser import BytesParser
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from support.service import PATIENCE, Service, hrefs, html_of
from support.ses import access_key, ses_client

SENDER = "News <news@example.com>"
PAGE = '<p>Hello <a href="https://example.com/page">page</a></p>'


def simple(html: str = PAGE, **more: Any) -> dict[str, Any]:
    return {
        "Simple": {
            "Subject": {"Data": "Grüße"},
            "Body": {"Text": {"Data": "See https://example.com/"}, "Html": {"Data": html}},
            **more,
        }
    }


def send(ses: Any, content: dict[str, Any], **more: Any) -> str:
    given = {
        "FromEmailAddress": SENDER,
        "Destination": {"ToAddresses": ["Reader <reader@gmail.com>"]},
        "Content": content,
        **more,
    }
    message_id: str = ses.send_email(**given)["MessageId"]
    return message_id


def refused(caught: pytest.ExceptionInfo[ClientError]) -> tuple[int, str]:
    answer = caught.value.response
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]


def parsed(raw: bytes) -> EmailMessage:
    found = BytesParser(policy=email.policy.default).parsebytes(raw)
    assert isinstance(found, EmailMessage)
    return found


def test_an_email_is_sent_clicked_notified_and_counted(service: Service, ses: Any) -> None:
    name = service.configuration_set(types=("SEND", "CLICK"))
    message_id = send(
        ses,
        simple(),
        ConfigurationSetName=name,
        EmailTags=[{"Name": "campaign", "Value": "summer"}],
        ReplyToAddresses=["help@example.com"],
    )
    raw = service.arrived()
    arrived = parsed(raw)
    assert arrived["Subject"] == "Grüße"
    assert arrived["From"] == SENDER
    assert arrived["Reply-To"] == "help@example.com"
    assert arrived["Message-ID"]
    assert arrived["Date"].datetime
    assert "X-SES-CONFIGURATION-SET" not in arrived
    (link,) = hrefs(html_of(raw))
    assert service.request(link).location == "https://example.com/page"

    events = service.wait_for_events(name, 2)
    assert {event["eventType"] for event in events} == {"Send", "Click"}
    for event in events:
        assert event["mail"]["messageId"] == message_id
        assert event["mail"]["destination"] == ["reader@gmail.com"]
        assert event["mail"]["tags"]["campaign"] == ["summer"]
        assert event["mail"]["tags"]["ses:source-ip"] == ["127.0.0.1"]

    service.wait_for_clicks(name, 1)
    now = datetime.now(UTC)
    answer = ses.batch_get_metric_data(
        Queries=[
            {
                "Id": metric,
                "Namespace": "VDM",
                "Metric": metric,
                "Dimensions": {"CONFIGURATION_SET": name, "ISP": isp},
                "StartDate": now - timedelta(days=2),
                "EndDate": now + timedelta(seconds=1),
            }
            for metric, isp in (
                ("SEND", "Google"),
                ("CLICK", "Google"),
                ("DELIVERY_CLICK", "Yandex"),
            )
        ]
    )
    values = {result["Id"]: result["Values"] for result in answer["Results"]}
    assert {metric: sum(found) for metric, found in values.items()} == {
        "SEND": 1,
        "CLICK": 1,
        "DELIVERY_CLICK": 0,
    }
    assert {len(found) for found in values.values()} <= {3, 4}
    assert answer["Errors"] == []


def test_click_tracking_is_switched_for_one_email(service: Service, ses: Any) -> None:
    on, off = service.configuration_set(), service.configuration_set(stream=False)
    overrides = {"Tracking": {"ClickTrackingEnabled": "DISABLED"}}
    send(ses, simple(), ConfigurationSetName=on, ConfigurationOverrides=overrides)
    assert hrefs(html_of(service.arrived())) == ["https://example.com/page"]
    overrides = {"Tracking": {"ClickTrackingEnabled": "ENABLED"}}
    send(ses, simple(), ConfigurationSetName=off, ConfigurationOverrides=overrides)
    (link,) = hrefs(html_of(service.arrived()))
    assert "/c/" in link


def test_attachments_arrive(service: Service, ses: Any) -> None:
    attachments = [
        {
            "RawContent": b"\x89PNG\r\n",
            "FileName": "logo.png",
            "ContentDisposition": "INLINE",
            "ContentId": "logo",
            "ContentType": "image/png",
        },
        {"RawContent": "Größe\r\n".encode(), "FileName": "größe.csv"},
    ]
    send(ses, simple('<img src="cid:logo">', Attachments=attachments))
    arrived = parsed(service.arrived())
    assert arrived.get_content_type() == "multipart/mixed"
    (attached,) = arrived.iter_attachments()
    assert attached.get_filename() == "größe.csv"
    assert attached.get_content_type() == "text/csv"
    assert attached.get_payload(decode=True) == "Größe\r\n".encode()
    logo = next(part for part in arrived.walk() if part["Content-ID"])
    assert logo["Content-ID"] == "<logo>"
    assert logo.get_payload(decode=True) == b"\x89PNG\r\n"


def test_a_raw_email_is_sent_without_its_bcc_to_all_its_recipients(
    service: Service, ses: Any
) -> None:
    raw = (
        b"From: News <news@example.com>\nTo: a@example.org\nBcc: b@example.org\n"
        b"Subject: raw\nMessage-ID: <mine@example.com>\n\nline\n.\n"
    )
    message_id = ses.send_email(Content={"Raw": {"Data": raw}})["MessageId"]
    arrived = parsed(service.arrived())
    assert message_id
    assert arrived["Bcc"] is None
    assert arrived["Message-ID"] == "<mine@example.com>"
    assert arrived["Date"]
    assert arrived.get_content().splitlines() == ["line", "."]


def test_a_template_is_rendered(service: Service, ses: Any) -> None:
    template = {
        "TemplateContent": {
            "Subject": "Hello {{name}}",
            "Text": "{{name}} & {{#each items}}{{this}},{{/each}}",
            "Html": "<p>{{name}}</p>{{#if vip}}VIP{{/if}}",
        },
        "TemplateData": json.dumps({"name": "<Ann>", "items": [1, 2]}),
    }
    send(ses, {"Template": template})
    raw = service.arrived()
    assert parsed(raw)["Subject"] == "Hello <Ann>"
    assert html_of(raw).strip() == "<p><Ann></p>"


def test_a_template_that_cannot_be_rendered_is_refused_and_told(service: Service, ses: Any) -> None:
    name = service.configuration_set(types=("SEND", "RENDERING_FAILURE"))
    template = {
        "TemplateContent": {"Subject": "Hello {{name}}", "Text": "text"},
        "TemplateData": "{}",
    }
    with pytest.raises(ses.exceptions.BadRequestException, match="'name' is not present"):
        send(ses, {"Template": template}, ConfigurationSetName=name)
    (event,) = service.wait_for_events(name, 1)
    assert event["eventType"] == "Rendering Failure"
    assert event["failure"] == {
        "errorMessage": "Subject: Attribute 'name' is not present in the rendering data.",
        "templateName": "",
    }
    assert event["mail"]["source"] == "news@example.com"
    assert event["mail"]["tags"]["ses:configuration-set"] == [name]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"FromEmailAddress": "nobody"}, "FromEmailAddress"),
        ({"FromEmailAddress": "a@b.c\r\nBcc: x@y.z"}, "FromEmailAddress"),
        ({"Destination": {"ToAddresses": ["a@b.c, d@e.f"]}}, "Destination.ToAddresses"),
        ({"Destination": {}}, "Destination"),
        ({"Destination": {"CcAddresses": [f"a{n}@b.c" for n in range(51)]}}, "exceeds 50"),
        ({"Content": {}}, "Content"),
        ({"EmailTags": [{"Name": "a b", "Value": "c"}]}, "EmailTags.Name"),
        ({"EmailTags": [{"Name": "a", "Value": "b"}] * 101}, "101: give 100"),
        ({"ReplyToAddresses": ["x"]}, "ReplyToAddresses"),
        ({"Content": simple(Headers=[{"Name": "X-A", "Value": "b\r\nc: d"}])}, "Headers.X-A"),
        ({"Content": simple(Headers=[{"Name": "Subject", "Value": "b"}])}, "Headers"),
    ],
)
def test_what_cannot_be_sent_is_refused_by_name(
    ses: Any, change: dict[str, Any], what: str
) -> None:
    given = {
        "FromEmailAddress": SENDER,
        "Destination": {"ToAddresses": ["reader@gmail.com"]},
        "Content": simple(),
    }
    with pytest.raises(ClientError, match=what) as caught:
        ses.send_email(**(given | change))
    assert refused(caught) == (400, "BadRequestException")


def test_an_unknown_configuration_set_is_not_found(ses: Any) -> None:
    with pytest.raises(ses.exceptions.NotFoundException) as caught:
        send(ses, simple(), ConfigurationSetName="no-such-set")
    assert refused(caught) == (404, "NotFoundException")


def test_a_set_with_sending_off_sends_nothing(service: Service, ses: Any) -> None:
    name = service.configuration_set()
    ses.put_configuration_set_sending_options(ConfigurationSetName=name, SendingEnabled=False)
    with pytest.raises(ses.exceptions.SendingPausedException) as caught:
        send(ses, simple(), ConfigurationSetName=name)
    assert refused(caught) == (400, "SendingPausedException")


def raw_of(size: int) -> bytes:
    head = b"From: news@example.com\r\nTo: a@example.org\r\nDate: x\r\nMessage-ID: <a@b>\r\n\r\n"
    line = b"x" * 76 + b"\r\n"
    return (head + line * (size // len(line) + 1))[: size - 2] + b"\r\n"


MEBIBYTE = 1024 * 1024


def test_ten_megabytes_pass_both_doors(service: Service, ses: Any) -> None:
    raw = raw_of(10 * MEBIBYTE)
    assert send(ses, {"Raw": {"Data": raw}})
    assert service.arrived().endswith(raw)
    assert service.send(raw).endswith(raw)
    picture = b"\xff" * (7 * MEBIBYTE)  # as base64 9.6 MiB
    send(ses, simple(Attachments=[{"RawContent": picture, "FileName": "p.png"}]))
    arrived = service.arrived()
    assert len(arrived) > 9.5 * MEBIBYTE
    (attached,) = parsed(arrived).iter_attachments()
    assert attached.get_payload(decode=True) == picture


def test_eleven_megabytes_are_refused_at_both_doors(service: Service, ses: Any) -> None:
    raw = raw_of(11 * MEBIBYTE)
    with pytest.raises(ses.exceptions.BadRequestException, match="more than 10485760 bytes"):
        send(ses, {"Raw": {"Data": raw}})
    picture = b"\xff" * (8 * MEBIBYTE)
    with pytest.raises(ses.exceptions.BadRequestException, match="more than 10485760 bytes"):
        send(ses, simple(Attachments=[{"RawContent": picture, "FileName": "p.png"}]))
    with smtplib.SMTP("127.0.0.1", service.smtp, timeout=PATIENCE) as client:
        with pytest.raises(smtplib.SMTPSenderRefused) as caught:
            client.sendmail("news@example.com", ["a@example.org"], raw)
        assert caught.value.smtp_code == 552
        client.ehlo()
        client.mail("news@example.com")  # with no word of its size
        client.rcpt("a@example.org")
        assert client.data(raw)[0] == 552


def test_the_largest_size_is_one_setting_for_both_doors(tmp_path: Path) -> None:
    with Service(tmp_path, "--smtp-max-size", "2000") as service:
        ses = ses_client(service, access_key(service))
        send(ses, {"Raw": {"Data": raw_of(2000)}})
        with pytest.raises(ses.exceptions.BadRequestException, match="more than 2000 bytes"):
            send(ses, {"Raw": {"Data": raw_of(2001)}})
        with pytest.raises(smtplib.SMTPSenderRefused, match="2000 bytes"):
            service.send(raw_of(2001))
        ses.close()


def test_only_keys_for_sending_send(service: Service) -> None:
    client = ses_client(service, access_key(service, "manage"))
    with pytest.raises(ClientError) as caught:
        send(client, simple())
    client.close()
    assert refused(caught) == (403, "AccessDeniedException")


def test_with_an_identity_only_identities_send(tmp_path: Path) -> None:
    with Service(tmp_path) as service:
        ses = ses_client(service, access_key(service, "send", "manage"))
        send(ses, simple())
        service.arrived()
        ses.create_email_identity(EmailIdentity="example.org")
        with pytest.raises(ses.exceptions.MailFromDomainNotVerifiedException) as caught:
            send(ses, simple())
        assert refused(caught) == (400, "MailFromDomainNotVerifiedException")
        send(ses, simple(), FromEmailAddress="Me <me@mail.example.org>")
        assert parsed(service.arrived())["From"] == "Me <me@mail.example.org>"
        ses.close()


def test_metrics_that_are_not_counted_are_errors_of_their_query(ses: Any) -> None:
    now = datetime.now(UTC)
    query = {"Namespace": "VDM", "StartDate": now - timedelta(days=1), "EndDate": now}
    answer = ses.batch_get_metric_data(
        Queries=[{"Id": "a", "Metric": "DELIVERY", **query}, {"Id": "b", "Metric": "SEND", **query}]
    )
    assert [(e["Id"], e["Code"]) for e in answer["Errors"]] == [("a", "ACCESS_DENIED")]
    assert [r["Id"] for r in answer["Results"]] == ["b"]
    for change in (
        {"EndDate": now - timedelta(days=2)},
        {"Dimensions": {"ISP": "Nobody"}},
        {"StartDate": now - timedelta(days=9000)},
    ):
        with pytest.raises(ses.exceptions.BadRequestException):
            ses.batch_get_metric_data(Queries=[{"Id": "a", "Metric": "SEND", **query, **change}])
