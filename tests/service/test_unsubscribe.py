"""One-click unsubscribe, through the whole service: headers, link, form, event, metric, refusal."""

import asyncio
import email
import email.policy
import json
import re
import smtplib
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from clicktrail.settings.kinds import Address
from support.milter_client import Envelope, MilterClient, Reply
from support.service import PATIENCE, Answer, Service, email_with, hrefs, html_of, wait_for
from support.signing import is_good
from support.visitor import Visitor

HTML = '<p>Text</p><a href="{{amazonSESUnsubscribeUrl}}">off</a><a href="https://a.example/">x</a>'
ONE_CLICK = b"List-Unsubscribe=One-Click"
URLENCODED = {"Content-Type": "application/x-www-form-urlencoded"}
PARTS = (
    b'--x\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--x--\r\n'
)
MULTIPART = {"Content-Type": "multipart/form-data; boundary=x"}


def listed(
    contact_list: str | None,
    configuration_set: str | None = None,
    *,
    topic: str = "",
    to: str = "reader@gmail.com",
    html: str = HTML,
) -> EmailMessage:
    message = email_with(html, configuration_set)
    message.replace_header("To", to)
    if contact_list:
        options = f"contactListName={contact_list}" + (f"; topicName={topic}" if topic else "")
        message["X-SES-LIST-MANAGEMENT-OPTIONS"] = options
    return message


def link_of(raw: bytes) -> str:
    """Return the link in an email's List-Unsubscribe."""
    found = re.fullmatch(
        r"<(https://[^/]+/u/[A-Za-z0-9_-]+)>",
        str(email.message_from_bytes(raw)["List-Unsubscribe"]),
    )
    assert found
    return found[1]


def press(service: Service, link: str) -> Answer:
    return service.request(link, "POST", URLENCODED, ONE_CLICK)


def refused(service: Service, message: EmailMessage, to: str = "reader@gmail.com") -> str:
    """Return the SMTP answer that refuses an email."""
    with (
        smtplib.SMTP("127.0.0.1", service.smtp, timeout=PATIENCE) as client,
        pytest.raises((smtplib.SMTPDataError, smtplib.SMTPRecipientsRefused)) as caught,
    ):
        client.send_message(message, "news@example.com", [to])
    error = caught.value
    assert isinstance(error, smtplib.SMTPDataError)
    assert isinstance(error.smtp_error, bytes)
    return f"{error.smtp_code} {error.smtp_error.decode('ascii')}"


def test_one_click_unsubscribes_is_told_and_counted(service: Service, ses: Any) -> None:
    name = service.configuration_set(types=("SUBSCRIPTION",))
    raw = service.send(listed(f"list-{name}", name))
    message = email.message_from_bytes(raw)
    assert message["X-SES-LIST-MANAGEMENT-OPTIONS"] is None
    assert message.get_all("List-Unsubscribe-Post") == ["List-Unsubscribe=One-Click"]
    link = link_of(raw)
    assert hrefs(html_of(raw)) == [link, "https://a.example/"]  # untracked, as clicks are
    for headers, body in ((URLENCODED, ONE_CLICK), (MULTIPART, PARTS)):
        answer = service.request(link, "POST", headers, body)
        assert answer.status == 200
        assert not {"set-cookie", "location"} & answer.headers.keys()
        assert answer.headers["cache-control"] == "no-store"
    first, second = service.wait_for_events(name, 2)
    assert set(first) == {"eventType", "mail", "subscription", "eventId"}
    assert first["eventType"] == "Unsubscribe"
    assert first["mail"]["destination"] == ["reader@gmail.com"]
    assert set(first["subscription"]) == {"contactList", "timestamp", "source"}
    assert first["subscription"]["contactList"] == f"list-{name}"
    assert first["subscription"]["source"] == "UnsubscribeHeader"
    assert first["eventId"] != second["eventId"]
    assert counted(ses, name) == 2
    days = json.loads(
        service.cli("statistics", "--unsubscribes", "--json", "--configuration-set", name)
    )
    assert sum(day["unsubscribes"] for day in days) == 2


def counted(ses: Any, name: str) -> int:
    now = datetime.now(UTC)
    answer = ses.batch_get_metric_data(
        Queries=[
            {
                "Id": "x",
                "Namespace": "VDM",
                "Metric": "UNSUBSCRIBE",
                "Dimensions": {"CONFIGURATION_SET": name, "ISP": "Google"},
                "StartDate": now - timedelta(days=1),
                "EndDate": now + timedelta(days=1),
            }
        ]
    )
    assert answer["Errors"] == []
    return sum(answer["Results"][0]["Values"])


def test_who_looks_is_not_unsubscribed(service: Service) -> None:
    name = service.configuration_set(types=("SUBSCRIPTION",))
    link = link_of(service.send(listed(name, name)))
    page = service.request(link)
    assert (page.status, page.body.count(b"<button")) == (200, 1)
    assert b'<form method="post">' in page.body
    assert ONE_CLICK.replace(b"=", b'" value="') in page.body
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    head = service.request(link, "HEAD")
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-length"] == page.headers["content-length"]
    assert service.request(link, "PUT").status == 405
    for headers, body in (
        (URLENCODED, b""),
        (URLENCODED, b"List-Unsubscribe=One-Click&x=1"),
        (URLENCODED, b"list-unsubscribe=one-click"),
        ({"Content-Type": "text/plain"}, ONE_CLICK),
        (MULTIPART, PARTS.replace(b"One-Click", b"No")),
    ):
        assert service.request(link, "POST", headers, body).status == 400
    assert service.request(link, "POST", URLENCODED, b"x" * 5000).status == 413
    forged = link[:-9] + "A" * 9
    for wrong in (forged, link.replace("/u/", "/c/"), link.replace("/u/", "/o/")):
        assert service.request(wrong).status == 404
    assert press(service, forged).status == 404
    assert press(service, link).status == 200
    assert len(service.wait_for_events(name, 1)) == 1


@pytest.mark.parametrize("cte", ["quoted-printable", "base64", "8bit"])
def test_dkim_covers_both_headers(
    service: Service, signing: tuple[str, dict[str, Any]], cte: str
) -> None:
    name, record = signing
    message = listed(service.configuration_set(stream=False))
    message.replace_header("From", f"News <news@{name}>")
    [html] = [part for part in message.walk() if part.get_content_subtype() == "html"]
    html.set_content(HTML + "ä", subtype="html", cte=cte)
    arrived = service.send(message, sender=f"news@{name}")
    arrived = arrived if b"\r\n" in arrived else arrived.replace(b"\n", b"\r\n")
    assert link_of(arrived) in hrefs(html_of(arrived))
    assert is_good(arrived, record)
    for header in (b"List-Unsubscribe:", b"List-Unsubscribe-Post:"):
        assert not is_good(arrived.replace(header, header + b" x"), record)


def test_a_sender_keeps_its_own_header(service: Service) -> None:
    message = listed("mine")
    message["List-Unsubscribe"] = "<mailto:off@example.com>"
    raw = service.send(message)
    arrived = email.message_from_bytes(raw)
    assert arrived.get_all("List-Unsubscribe") == ["<mailto:off@example.com>"]
    assert arrived["List-Unsubscribe-Post"] is None
    assert "/u/" in hrefs(html_of(raw))[0]


def test_without_a_list_nothing_is_added(service: Service) -> None:
    raw = service.send(listed(None))
    assert email.message_from_bytes(raw)["List-Unsubscribe"] is None
    assert hrefs(html_of(raw))[0] == "{{amazonSESUnsubscribeUrl}}"


def test_a_link_is_one_persons(service: Service) -> None:
    message = listed("many")
    raw = service.send(message, ["a@example.org", "b@example.org"])
    assert email.message_from_bytes(raw)["List-Unsubscribe"] is None


@pytest.mark.parametrize(
    "header", ["topicName=x", "contactListName=a b", "contactListName=a; x=1", "a; b; c"]
)
def test_a_header_that_names_no_list_is_refused(service: Service, header: str) -> None:
    message = listed(None)
    message["X-SES-LIST-MANAGEMENT-OPTIONS"] = header
    assert refused(service, message).startswith("554 5.6.0 X-SES-LIST-MANAGEMENT-OPTIONS: ")


def test_the_link_outlives_alterations(service: Service) -> None:
    name = service.configuration_set(types=("SUBSCRIPTION",))
    link = link_of(service.send(listed(name, name)))
    assert press(service, link + "%0D%0A").status == 200
    [event] = service.wait_for_events(name, 1)
    held = json.loads(service.cli("link", "open", link, "--json"))
    assert held["messageId"] == event["mail"]["messageId"]


def refusal(service: Service, ses: Any, contact_list: str, topic: str = "") -> str | None:
    """Return how the API refuses an email; ``None`` where it takes it."""
    options = {"ContactListName": contact_list} | ({"TopicName": topic} if topic else {})
    try:
        ses.send_email(
            FromEmailAddress="news@example.com",
            Destination={"ToAddresses": ["Reader@GMAIL.com"]},
            Content={"Simple": {"Subject": {"Data": "x"}, "Body": {"Html": {"Data": HTML}}}},
            ListManagementOptions=options,
        )
    except ClientError as error:
        return f"{error.response['Error']['Code']}: {error.response['Error']['Message']}"
    link_of(service.arrived())
    return None


def test_who_has_unsubscribed_gets_no_more_of_it(service: Service, ses: Any) -> None:
    name = service.configuration_set(types=("SUBSCRIPTION",))
    assert refusal(service, ses, name) is None
    link = link_of(service.send(listed(name, name, topic="sport")))
    assert press(service, link).status == 200
    [event] = service.wait_for_events(name, 1)
    assert event["subscription"]["topic"] == "sport"
    words = f"is not subscribed to topic 'sport' of the contact list '{name}'"
    assert refused(service, listed(name, topic="sport")) == f"550 5.7.1 'reader@gmail.com' {words}"
    api = refusal(service, ses, name, "sport")
    assert api is not None
    assert api.startswith("MessageRejected: ")
    assert words in api
    assert refusal(service, ses, name, "politics") is None
    whole = link_of(service.send(listed(name, name)))
    assert press(service, whole).status == 200
    service.wait_for_events(name, 2)
    for topic in ("sport", "politics", ""):
        assert refusal(service, ses, name, topic)
    assert refusal(service, ses, f"{name}-2") is None
    service.send(listed(name, to="other@gmail.com"), ["other@gmail.com"])
    assert "reader@gmail.com" in refused(service, listed(name))


def test_templates_may_hold_the_placeholder(service: Service, ses: Any) -> None:
    ses.send_email(
        FromEmailAddress="news@example.com",
        Destination={"ToAddresses": ["reader@gmail.com"]},
        Content={
            "Template": {
                "TemplateContent": {"Subject": "{{x}}", "Text": "{{x}}", "Html": HTML},
                "TemplateData": '{"x": "y"}',
            }
        },
        ListManagementOptions={"ContactListName": "templates"},
    )
    raw = service.arrived()
    assert hrefs(html_of(raw))[0] == link_of(raw)


def test_contact_lists_by_the_api(service: Service, ses: Any) -> None:
    name = f"contacts-{service.configuration_set(stream=False)}"
    sport = {
        "TopicName": "sport",
        "DisplayName": "Sport",
        "Description": "All of it",
        "DefaultSubscriptionStatus": "OPT_OUT",
    }
    news = {"TopicName": "news", "DisplayName": "News", "DefaultSubscriptionStatus": "OPT_IN"}
    tags = [{"Key": "team", "Value": "a"}]
    ses.create_contact_list(
        ContactListName=name, Topics=[sport, news], Description="Ours", Tags=tags
    )
    with pytest.raises(ses.exceptions.AlreadyExistsException):
        ses.create_contact_list(ContactListName=name)
    found = ses.get_contact_list(ContactListName=name)
    assert found["Topics"] == [sport, news | {"Description": ""}]
    assert (found["Description"], found["Tags"]) == ("Ours", tags)
    assert found["CreatedTimestamp"] <= found["LastUpdatedTimestamp"]
    listed_names = [
        each["ContactListName"] for each in pages(ses.list_contact_lists, "ContactLists")
    ]
    assert name in listed_names
    assert listed_names == sorted(listed_names)
    ses.update_contact_list(ContactListName=name, Topics=[sport, news], Description="Theirs")
    assert ses.get_contact_list(ContactListName=name)["Description"] == "Theirs"

    preference = {"TopicName": "sport", "SubscriptionStatus": "OPT_IN"}
    ses.create_contact(
        ContactListName=name,
        EmailAddress="Reader@gmail.com",
        TopicPreferences=[preference],
        AttributesData='{"x": 1}',
    )
    with pytest.raises(ses.exceptions.AlreadyExistsException):
        ses.create_contact(ContactListName=name, EmailAddress="reader@GMAIL.com")
    for wrong in (
        {"EmailAddress": "none"},
        {"EmailAddress": "a@example.org", "TopicPreferences": [preference | {"TopicName": "none"}]},
    ):
        with pytest.raises(ses.exceptions.BadRequestException):
            ses.create_contact(ContactListName=name, **wrong)
    contact = ses.get_contact(ContactListName=name, EmailAddress="reader@gmail.com")
    assert contact["EmailAddress"] == "Reader@gmail.com"
    assert contact["TopicPreferences"] == [preference]
    assert [t["SubscriptionStatus"] for t in contact["TopicDefaultPreferences"]] == [
        "OPT_OUT",
        "OPT_IN",
    ]
    assert (contact["UnsubscribeAll"], contact["AttributesData"]) == (False, '{"x": 1}')

    for number in range(5):
        ses.create_contact(
            ContactListName=name,
            EmailAddress=f"{number}@example.org",
            UnsubscribeAll=number == 0,
            TopicPreferences=[preference | {"SubscriptionStatus": "OPT_OUT"}] * (number == 1),
        )

    def asked(status: str, topic: str | None = None, *, default: bool = False) -> list[str]:
        wanted: dict[str, Any] = {"FilteredStatus": status}
        if topic:
            wanted["TopicFilter"] = {
                "TopicName": topic,
                "UseDefaultIfPreferenceUnavailable": default,
            }
        found = pages(ses.list_contacts, "Contacts", ContactListName=name, Filter=wanted)
        return [each["EmailAddress"].partition("@")[0] for each in found]

    assert asked("OPT_OUT") == ["0"]
    assert asked("OPT_IN") == ["1", "2", "3", "4", "Reader"]
    assert asked("OPT_IN", "sport") == ["Reader"]
    assert asked("OPT_OUT", "sport") == ["0", "1"]
    assert asked("OPT_OUT", "sport", default=True) == ["0", "1", "2", "3", "4"]
    assert asked("OPT_IN", "news", default=True) == ["1", "2", "3", "4", "Reader"]
    assert asked("OPT_IN", "news") == []
    assert len(pages(ses.list_contacts, "Contacts", ContactListName=name)) == 6

    assert refusal(service, ses, name, "sport") is None
    service.send(listed(name, topic="news", to="4@example.org"), ["4@example.org"])
    message = listed(name, topic="sport", to="4@example.org")  # out by default
    assert "is not subscribed" in refused(service, message, "4@example.org")
    ses.update_contact(ContactListName=name, EmailAddress="reader@gmail.com", UnsubscribeAll=True)
    changed = ses.get_contact(ContactListName=name, EmailAddress="reader@gmail.com")
    assert (changed["UnsubscribeAll"], changed["TopicPreferences"]) == (True, [preference])
    assert refusal(service, ses, name, "sport")
    ses.update_contact(
        ContactListName=name,
        EmailAddress="reader@gmail.com",
        UnsubscribeAll=False,
        TopicPreferences=[],
    )
    assert refusal(service, ses, name, "news") is None
    ses.delete_contact(ContactListName=name, EmailAddress="reader@gmail.com")
    for gone in (ses.get_contact, ses.delete_contact, ses.update_contact):
        with pytest.raises(ses.exceptions.NotFoundException):
            gone(ContactListName=name, EmailAddress="reader@gmail.com")
    ses.delete_contact_list(ContactListName=name)
    for call in (ses.get_contact_list, ses.delete_contact_list, ses.list_contacts):
        with pytest.raises(ses.exceptions.NotFoundException):
            call(ContactListName=name)


def test_who_leaves_a_list_with_topics_chooses_some(service: Service, ses: Any) -> None:
    name, reader = f"topics-{service.configuration_set(stream=False)}", "reader@gmail.com"
    link = link_of(service.send(listed(name, topic="sport")))
    assert b"checkbox" not in service.request(link).body
    topics = [
        {"TopicName": t, "DisplayName": t.title(), "DefaultSubscriptionStatus": "OPT_IN"}
        for t in ("sport", "news", "art")
    ]
    ses.create_contact_list(ContactListName=name, Topics=topics)
    wait_for(lambda: service.request(link).body.count(b"checkbox") == 4 or None, "the topics")
    form = b"choice=1&topic=news&topic=art"
    assert service.request(link, "POST", URLENCODED, form).status == 200
    for topic in ("news", "art"):
        wait_for(partial(refusal, service, ses, name, topic), topic)
    assert refusal(service, ses, name, "sport") is None
    found = ses.get_contact(ContactListName=name, EmailAddress=reader)
    said = {each["TopicName"]: each["SubscriptionStatus"] for each in found["TopicPreferences"]}
    assert (said, found["UnsubscribeAll"]) == ({"news": "OPT_OUT", "art": "OPT_OUT"}, False)
    ses.update_contact_list(ContactListName=name, Topics=topics[:1])
    wait_for(lambda: b"checkbox" not in service.request(link).body or None, "one button")
    assert press(service, link).status == 200
    wait_for(lambda: refusal(service, ses, name, "sport"), "the wish")


def pages(call: Any, member: str, **arguments: Any) -> list[dict[str, Any]]:
    """Return all items of a list, two at a time."""
    found: list[dict[str, Any]] = []
    while True:
        answer = call(PageSize=2, **arguments)
        found += answer[member]
        if "NextToken" not in answer:
            return found
        arguments["NextToken"] = answer["NextToken"]


def test_unsubscribes_on_the_command_line(service: Service, ses: Any) -> None:
    name = f"cli-{service.configuration_set(stream=False)}"
    service.cli("unsubscribes", "add", name, "reader@gmail.com")
    service.cli("unsubscribes", "add", name, "other@example.org", "--topic", "sport")
    found = json.loads(service.cli("unsubscribes", "list", "--contact-list", name, "--json"))
    assert [(each["address"], each["topic"]) for each in found] == [
        ("other@example.org", "sport"),
        ("reader@gmail.com", ""),
    ]
    rows = service.cli("unsubscribes", "export", "--contact-list", name).splitlines()
    assert [row.split(",")[:3] for row in rows] == [
        [name, "sport", "other@example.org"],
        [name, "", "reader@gmail.com"],
    ]
    assert name in service.cli("unsubscribes", "list")
    assert refusal(service, ses, name)
    service.cli("unsubscribes", "remove", name, "Reader@gmail.com")
    assert refusal(service, ses, name) is None
    service.cli("unsubscribes", "remove", name, "other@example.org", "--topic", "sport")
    assert service.cli("unsubscribes", "export", "--contact-list", name) == ""


def test_an_erased_person_stays_unsubscribed_and_is_not_named(service: Service, ses: Any) -> None:
    name = service.configuration_set(types=("SUBSCRIPTION",))
    who = "erased@example.net"
    link = link_of(service.send(listed(name, name, to=who), [who]))
    assert press(service, link).status == 200
    service.wait_for_events(name, 1)
    ses.create_contact_list(ContactListName=f"{name}-2")
    ses.create_contact(ContactListName=f"{name}-2", EmailAddress=who, AttributesData="x")
    done = json.loads(service.cli("recipients", "forget", who, "--yes", "--json"))
    assert (done["contacts"], done["messages"]) == (2, 1)
    assert who not in service.cli("unsubscribes", "export")
    assert pages(ses.list_contacts, "Contacts", ContactListName=f"{name}-2") == []
    assert press(service, link).status == 200  # again, by an email of before
    for event in service.wait_for_events(name, 2):
        assert set(event["mail"]) == {"messageId"}
        assert event["subscription"]["contactList"] == name
    assert who not in service.cli("unsubscribes", "export")
    assert "is not subscribed" in refused(service, listed(name, to=who), who)


def test_the_console_shows_unsubscribes_in_the_time_line(service: Service, viewer: Visitor) -> None:
    name = service.configuration_set(types=("SUBSCRIPTION",))
    link = link_of(service.send(listed(f"list-{name}", name)))
    assert press(service, link).status == 200
    [event] = service.wait_for_events(name, 1)
    page = viewer.get(f"/messages/{event['mail']['messageId']}").text
    assert f"Unsubscribed from the contact list list-{name}" in page
    assert f"stream {name}: in the stream" in page
    overview = viewer.get(f"/?configuration_set={name}").text
    assert "Unsubscribed in these days of UTC: 1." in overview


def test_a_mail_server_is_told_of_the_headers_and_of_who_has_left(service: Service) -> None:
    name = service.configuration_set(stream=False)

    async def by_milter() -> Reply:
        at = Address("127.0.0.1", service.milter)
        client = await MilterClient.connect(at, client="127.0.0.1")
        await client.hear()
        raw = listed(name, to="milter@example.org").as_bytes(policy=email.policy.SMTP)
        reply = await client.submit(raw, Envelope(recipients=["milter@example.org"]))
        await client.close()
        return reply

    told = b"".join(asyncio.run(by_milter()).edits)
    assert b"List-Unsubscribe\0" in told
    assert b"List-Unsubscribe-Post\0" in told
    service.cli("unsubscribes", "add", name, "milter@example.org")
    assert asyncio.run(by_milter()).last.startswith(b"y550 5.7.1 ")


def test_html_that_is_kept_unsubscribes_nobody(service: Service, viewer: Visitor) -> None:
    name = service.configuration_set(types=("CLICK", "SUBSCRIPTION"))
    service.cli("configuration-set", "update", name, "--keep-html")
    link = link_of(service.send(listed(name, name)))
    assert press(service, link).status == 200
    [event] = service.wait_for_events(name, 1)
    shown = viewer.get(f"/messages/{event['mail']['messageId']}/map").text
    assert ">off</a>" in shown
    assert "/u/" not in shown


def test_who_leaves_gets_no_email_at_all_where_it_is_asked_for(tmp_path: Path) -> None:
    with Service(tmp_path, "--publish-suppress-unsubscribed", "yes") as service:
        name = service.configuration_set(types=("SUBSCRIPTION",))
        assert press(service, link_of(service.send(listed("ours", name)))).status == 200
        service.wait_for_events(name, 1)
        with smtplib.SMTP("127.0.0.1", service.smtp, timeout=PATIENCE) as client:
            client.sendmail("a@example.com", ["b@example.org"], b"x")  # it knows of the list now
            with pytest.raises(smtplib.SMTPRecipientsRefused, match="suppression list"):
                client.sendmail("a@example.com", ["reader@gmail.com"], b"x")
