"""Templates that are kept, and SendBulkEmail, called by boto3; clicks on what was sent."""

import email.policy
import json
from email.message import EmailMessage
from email.parser import BytesParser
from itertools import count
from typing import Any

import pytest
from botocore.exceptions import ClientError

from support.service import Service, hrefs, html_of
from support.ses import access_key, ses_client

SENDER = "News <news@example.com>"
CONTENT = {
    "Subject": "Hi {{name}}",
    "Text": "Hi {{name}}, you like {{animal}}.",
    "Html": '<p>{{name}}: <a href="https://example.com/{{animal}}">more</a></p>',
}
_numbers = count()


@pytest.fixture
def template(ses: Any) -> str:
    """A template of its own for each test."""
    name = f"template-{next(_numbers)}"
    ses.create_email_template(TemplateName=name, TemplateContent=CONTENT)
    return name


def parsed(raw: bytes) -> EmailMessage:
    found = BytesParser(policy=email.policy.default).parsebytes(raw)
    assert isinstance(found, EmailMessage)
    return found


def entry(*to: str, **data: str) -> dict[str, Any]:
    """Return an entry with data of its own."""
    made: dict[str, Any] = {"Destination": {"ToAddresses": list(to)}}
    if data:
        replacement = {"ReplacementTemplateData": json.dumps(data)}
        made["ReplacementEmailContent"] = {"ReplacementTemplate": replacement}
    return made


def bulk(ses: Any, template: dict[str, Any], entries: list[Any], **more: Any) -> list[Any]:
    answer = ses.send_bulk_email(
        FromEmailAddress=SENDER,
        DefaultContent={"Template": template},
        BulkEmailEntries=entries,
        **more,
    )
    found: list[Any] = answer["BulkEmailEntryResults"]
    return found


# Templates


def test_a_template_is_made_read_changed_listed_and_deleted(ses: Any, template: str) -> None:
    tags = [{"Key": "team", "Value": "shop"}]
    other = f"{template}-b"
    ses.create_email_template(
        TemplateName=other, TemplateContent={"Subject": "x", "Html": "y"}, Tags=tags
    )
    found = ses.get_email_template(TemplateName=other)
    assert found["TemplateContent"] == {"Subject": "x", "Html": "y"}
    assert found["Tags"] == tags
    ses.update_email_template(TemplateName=other, TemplateContent=CONTENT)
    assert ses.get_email_template(TemplateName=other)["TemplateContent"] == CONTENT
    names: list[str] = []
    asked: dict[str, Any] = {"PageSize": 1}
    while True:
        answer = ses.list_email_templates(**asked)
        names += [each["TemplateName"] for each in answer["TemplatesMetadata"]]
        if "NextToken" not in answer:
            break
        asked["NextToken"] = answer["NextToken"]
    assert names == sorted(set(names))
    assert {template, other} <= set(names)
    ses.delete_email_template(TemplateName=other)
    for call in (ses.get_email_template, ses.delete_email_template):
        with pytest.raises(ses.exceptions.NotFoundException):
            call(TemplateName=other)
    with pytest.raises(ses.exceptions.AlreadyExistsException):
        ses.create_email_template(TemplateName=template, TemplateContent=CONTENT)
    with pytest.raises(ses.exceptions.BadRequestException, match="Text, Html"):
        ses.create_email_template(TemplateName=other, TemplateContent={"Subject": "x"})


def test_a_template_is_rendered_to_be_looked_at(ses: Any, template: str) -> None:
    data = json.dumps({"name": "Zoë", "animal": "cats"})
    answer = ses.test_render_email_template(TemplateName=template, TemplateData=data)
    shown = parsed(answer["RenderedTemplate"].encode())
    assert shown["Subject"] == "Hi Zoë"
    assert "https://example.com/cats" in html_of(answer["RenderedTemplate"].encode())
    with pytest.raises(ses.exceptions.BadRequestException, match="'animal' is not present"):
        ses.test_render_email_template(TemplateName=template, TemplateData='{"name": "x"}')
    with pytest.raises(ses.exceptions.NotFoundException):
        ses.test_render_email_template(TemplateName="nobodys", TemplateData="{}")


@pytest.mark.parametrize("by", ["name", "arn"])
def test_an_email_names_its_template_and_is_tracked(
    service: Service, ses: Any, template: str, by: str
) -> None:
    name = service.configuration_set()
    arn = f"arn:aws:ses:eu-central-1:000000000000:template/{template}"
    named = {"TemplateName": template} if by == "name" else {"TemplateArn": arn}
    data = json.dumps({"name": "Ann", "animal": "dogs"})
    ses.send_email(
        FromEmailAddress=SENDER,
        Destination={"ToAddresses": ["reader@gmail.com"]},
        Content={"Template": {**named, "TemplateData": data}},
        ConfigurationSetName=name,
    )
    raw = service.arrived()
    assert parsed(raw)["Subject"] == "Hi Ann"
    (link,) = hrefs(html_of(raw))
    assert service.request(link).location == "https://example.com/dogs"


def test_a_template_that_is_not_there_is_not_found(ses: Any) -> None:
    given = {"TemplateName": "nobodys", "TemplateData": "{}"}
    with pytest.raises(ses.exceptions.NotFoundException, match="nobodys"):
        ses.send_email(
            FromEmailAddress=SENDER,
            Destination={"ToAddresses": ["a@example.org"]},
            Content={"Template": given},
        )
    with pytest.raises(ses.exceptions.NotFoundException, match="nobodys"):
        bulk(ses, given, [entry("a@example.org")])


# Many emails


def test_each_entry_is_an_email_of_its_own(service: Service, ses: Any, template: str) -> None:
    name = service.configuration_set(types=("SEND", "CLICK"))
    headers = [{"Name": "X-All", "Value": "1"}, {"Name": "X-One", "Value": "all"}]
    tags = [{"Name": "campaign", "Value": "summer"}, {"Name": "kind", "Value": "all"}]
    entries = [entry(f"n{n}@example.org", name=f"N{n}") for n in range(6)]
    entries[3] |= {
        "ReplacementTags": [{"Name": "kind", "Value": "three"}],
        "ReplacementHeaders": [{"Name": "x-one", "Value": "three"}],
    }
    results = bulk(
        ses,
        {
            "TemplateName": template,
            "TemplateData": json.dumps({"name": "friend", "animal": "cats"}),
            "Headers": headers,
        },
        [*entries, entry("plain@example.org")],
        DefaultEmailTags=tags,
        ConfigurationSetName=name,
    )
    assert [each["Status"] for each in results] == ["SUCCESS"] * 7
    ids = [each["MessageId"] for each in results]
    assert len(set(ids)) == 7
    arrived = {str(parsed(raw)["To"]): raw for raw in (service.arrived() for _ in ids)}
    assert parsed(arrived["plain@example.org"])["Subject"] == "Hi friend"
    for number in range(6):
        found = parsed(arrived[f"n{number}@example.org"])
        assert found["Subject"] == f"Hi N{number}"
        assert found["X-All"] == "1"
        assert found.get_all("X-One") == ["three" if number == 3 else "all"]
    (link,) = hrefs(html_of(arrived["n3@example.org"]))
    assert service.request(link).location == "https://example.com/cats"
    events = service.wait_for_events(name, 8)
    (click,) = (each for each in events if each["eventType"] == "Click")
    assert click["mail"]["messageId"] == ids[3]
    assert click["mail"]["tags"]["kind"] == ["three"]
    assert click["mail"]["tags"]["campaign"] == ["summer"]
    others = [each["mail"] for each in events if each["mail"]["messageId"] != ids[3]]
    assert all(mail["tags"]["kind"] == ["all"] for mail in others)


def test_what_is_wrong_with_one_stops_no_other(service: Service, ses: Any) -> None:
    ses.put_suppressed_destination(EmailAddress="suppressed@example.net", Reason="BOUNCE")
    bad_data = entry("b@example.org")
    replacement = {"ReplacementTemplateData": "[1]"}
    bad_data["ReplacementEmailContent"] = {"ReplacementTemplate": replacement}
    bad_tag = entry("c@example.org", name="C") | {"ReplacementTags": [{"Name": "ä", "Value": "1"}]}
    results = bulk(
        ses,
        {"TemplateContent": {"Subject": "s {{name}}", "Text": "t"}},
        [
            entry("a@example.org", name="A"),
            entry("nobody", name="x"),
            entry(name="x"),
            entry("e@example.org"),  # has no name
            entry("suppressed@example.net", name="x"),
            bad_data,
            bad_tag,
            entry("z@example.org", name="Z"),
        ],
    )
    assert [each["Status"] for each in results] == [
        "SUCCESS",
        *["INVALID_PARAMETER"] * 3,
        "MESSAGE_REJECTED",
        *["INVALID_PARAMETER"] * 2,
        "SUCCESS",
    ]
    told = [each.get("Error", "") for each in results]
    assert told[0] == told[-1] == ""
    for words, said in zip(
        (
            "nobody",
            "recipient",
            "'name' is not present",
            "suppression list",
            "ReplacementT",
            "Emai",
        ),
        told[1:-1],
        strict=True,
    ):
        assert words in said
    assert {str(parsed(service.arrived())["To"]) for _ in range(2)} == {
        "a@example.org",
        "z@example.org",
    }


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"BulkEmailEntries": []}, "1 to 50"),
        ({"BulkEmailEntries": [entry("a@example.org")] * 51}, "1 to 50"),
        ({"BulkEmailEntries": [entry(*["a@example.org"] * 26)] * 20}, "520 recipients"),
        ({"DefaultEmailTags": [{"Name": "ä", "Value": ""}]}, "EmailTags"),
        ({"DefaultEmailTags": [{"Name": "a", "Value": "b"}] * 101}, "101: give 100"),
        (
            {
                "DefaultContent": {
                    "Template": {
                        "TemplateContent": {"Subject": "x"},
                        "Headers": [{"Name": "X-A", "Value": "b"}] * 101,
                    }
                }
            },
            "101: give 100",
        ),
        ({"DefaultContent": {"Template": {}}}, "TemplateName"),
        ({"DefaultContent": {"Template": {"TemplateArn": "arn:x"}}}, "TemplateArn"),
        (
            {
                "DefaultContent": {
                    "Template": {"TemplateContent": {"Subject": "x"}, "TemplateData": "no"}
                }
            },
            "TemplateData",
        ),
    ],
)
def test_what_is_wrong_with_all_is_told_once(ses: Any, given: dict[str, Any], named: str) -> None:
    whole = {
        "FromEmailAddress": SENDER,
        "DefaultContent": {"Template": {"TemplateContent": {"Subject": "x", "Text": "y"}}},
        "BulkEmailEntries": [entry("a@example.org")],
    }
    with pytest.raises(ses.exceptions.BadRequestException, match=named):
        ses.send_bulk_email(**whole | given)


def test_a_set_that_is_not_there_and_a_key_that_may_not_send_are_told_once(
    service: Service, ses: Any
) -> None:
    content = {"TemplateContent": {"Subject": "x", "Text": "y"}}
    with pytest.raises(ses.exceptions.NotFoundException, match="does not exist"):
        bulk(ses, content, [entry("a@example.org")], ConfigurationSetName="nobodys")
    reader = ses_client(service, access_key(service, "manage"))
    with pytest.raises(ClientError, match="AccessDenied"):
        bulk(reader, content, [entry("a@example.org")])


def test_a_paused_set_is_told_of_each(service: Service, ses: Any) -> None:
    name = service.configuration_set(stream=False)
    ses.put_configuration_set_sending_options(ConfigurationSetName=name, SendingEnabled=False)
    content = {"TemplateContent": {"Subject": "x", "Text": "y"}}
    (result,) = bulk(ses, content, [entry("a@example.org")], ConfigurationSetName=name)
    assert result["Status"] == "CONFIGURATION_SET_SENDING_PAUSED"
