"""What an application does with boto3: the endpoint and the access key are in the environment.

python with_boto3.py send NAME STREAM_ARN DOMAIN HTML | metric NAME | remove NAME DOMAIN |
    tour NAME ADDRESS | bulk NAME DOMAIN | account
"""

import json
import sys
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import boto3
import botocore.exceptions

client = boto3.client("sesv2")


def send(name: str, stream: str, domain: str, html: str) -> dict[str, Any]:
    prepare(name, stream, domain)
    answer = client.send_email(
        FromEmailAddress=f"News <news@{domain}>",
        Destination={"ToAddresses": ["Reader <reader@gmail.com>"]},
        Content={
            "Simple": {
                "Subject": {"Data": "Grüße", "Charset": "UTF-8"},
                "Body": {"Text": {"Data": "Hello"}, "Html": {"Data": html, "Charset": "UTF-8"}},
            }
        },
        ReplyToAddresses=[f"answers@{domain}"],
        ConfigurationSetName=name,
        EmailTags=[{"Name": "campaign", "Value": "summer"}],
    )
    return {"messageId": answer["MessageId"], "version": boto3.__version__}


def prepare(name: str, stream: str, domain: str) -> None:
    """Make the configuration set, its event destination and the identity; read them back."""
    client.create_configuration_set(
        ConfigurationSetName=name, Tags=[{"Key": "team", "Value": "news"}]
    )
    destination = {
        "Enabled": True,
        "MatchingEventTypes": ["SEND", "CLICK"],
        "KinesisFirehoseDestination": {
            "IamRoleArn": "arn:aws:iam::000000000000:role/ses",
            "DeliveryStreamArn": stream,
        },
    }
    client.create_configuration_set_event_destination(
        ConfigurationSetName=name, EventDestinationName="clicks", EventDestination=destination
    )
    client.create_email_identity(EmailIdentity=domain, ConfigurationSetName=name)
    found = client.get_configuration_set_event_destinations(ConfigurationSetName=name)
    [there] = found["EventDestinations"]
    assert there["KinesisFirehoseDestination"] == destination["KinesisFirehoseDestination"], there
    assert set(there["MatchingEventTypes"]) == {"SEND", "CLICK"}, there
    assert client.get_email_identity(EmailIdentity=domain)["ConfigurationSetName"] == name
    assert name in listed(), "the new configuration set is in no page of the list"


def listed() -> list[str]:
    """Return the names of all configuration sets, page by page."""
    names, token = [], None
    while True:
        page = client.list_configuration_sets(PageSize=1, **({"NextToken": token} if token else {}))
        names += page["ConfigurationSets"]
        token = page.get("NextToken")
        if token is None:
            return names


def metric(name: str) -> dict[str, Any]:
    now = datetime.now(timezone.utc)  # noqa: UP017 - as programs that still run on Python 3.9
    answer = client.batch_get_metric_data(
        Queries=[
            {
                "Id": kind.lower(),
                "Namespace": "VDM",
                "Metric": kind,
                "Dimensions": {"CONFIGURATION_SET": name},
                "StartDate": now - timedelta(days=1),
                "EndDate": now + timedelta(days=1),
            }
            for kind in ("SEND", "CLICK")
        ]
    )
    assert not answer.get("Errors"), answer
    return {each["Id"]: sum(each["Values"]) for each in answer["Results"]}


def remove(name: str, domain: str) -> dict[str, Any]:
    client.delete_configuration_set_event_destination(
        ConfigurationSetName=name, EventDestinationName="clicks"
    )
    client.delete_email_identity(EmailIdentity=domain)
    client.delete_configuration_set(ConfigurationSetName=name)
    try:
        client.get_configuration_set(ConfigurationSetName=name)
    except client.exceptions.NotFoundException:
        return {"removed": True}
    except botocore.exceptions.ClientError as error:
        return {"removed": str(error)}
    return {"removed": False}


def tour(name: str, address: str) -> dict[str, Any]:
    """Call what a round does not, with names and texts that are hard to sign; tell what came."""
    seen: dict[str, Any] = {}
    arn = f"arn:aws:ses:eu-central-1:000000000000:identity/{address}"
    client.create_email_identity(EmailIdentity=address)
    seen["type"] = client.get_email_identity(EmailIdentity=address)["IdentityType"]
    client.tag_resource(
        ResourceArn=arn,
        Tags=[{"Key": "a b", "Value": "Grüße & mehr/=?"}, {"Key": "x+y", "Value": "1"}],
    )
    client.untag_resource(ResourceArn=arn, TagKeys=["x+y"])
    seen["tags"] = client.list_tags_for_resource(ResourceArn=arn)["Tags"]
    client.create_configuration_set(ConfigurationSetName=name)
    client.put_configuration_set_tracking_options(
        ConfigurationSetName=name, CustomRedirectDomain="click.example.com"
    )
    client.put_configuration_set_vdm_options(
        ConfigurationSetName=name,
        VdmOptions={"DashboardOptions": {"EngagementMetrics": "ENABLED"}},
    )
    client.put_email_identity_configuration_set_attributes(
        EmailIdentity=address, ConfigurationSetName=name
    )
    client.put_configuration_set_sending_options(ConfigurationSetName=name, SendingEnabled=False)
    found = client.get_configuration_set(ConfigurationSetName=name)
    seen["redirect"] = found["TrackingOptions"]["CustomRedirectDomain"]
    seen["engagement"] = found["VdmOptions"]["DashboardOptions"]["EngagementMetrics"]
    try:
        client.send_email(
            FromEmailAddress=address,
            Destination={"ToAddresses": ["reader@gmail.com"]},
            Content={"Simple": {"Subject": {"Data": "x"}, "Body": {"Text": {"Data": "x"}}}},
        )
    except client.exceptions.SendingPausedException as error:
        seen["paused"] = error.response["Error"]["Code"]
    try:
        client.get_dedicated_ip_pool(PoolName=name)
    except botocore.exceptions.ClientError as error:
        seen["missing"] = error.response["Error"]["Code"]
    client.delete_email_identity(EmailIdentity=address)
    client.delete_configuration_set(ConfigurationSetName=name)
    return seen


def bulk(template: str, domain: str) -> list[str]:
    """Suppress an address, write to it and another by a template; tell what became of each."""
    gone = f"gone@{domain}"
    client.create_email_template(
        TemplateName=template,
        TemplateContent={"Subject": "Hi {{name}}", "Html": "<p>{{name}}</p>"},
    )
    client.put_suppressed_destination(EmailAddress=gone, Reason="BOUNCE")
    answer = client.send_bulk_email(
        FromEmailAddress=f"news@{domain}",
        DefaultContent={"Template": {"TemplateName": template, "TemplateData": '{"name": "you"}'}},
        BulkEmailEntries=[
            {"Destination": {"ToAddresses": [each]}} for each in ("reader@gmail.com", gone)
        ],
    )
    return [each["Status"] for each in answer["BulkEmailEntryResults"]]


def account() -> dict[str, Any]:
    """Tell whether the account may send, or the error's name."""
    try:
        return {"sending": client.get_account()["SendingEnabled"]}
    except botocore.exceptions.ClientError as error:
        return {"error": error.response["Error"]["Code"]}


if __name__ == "__main__":
    steps: dict[str, Callable[..., Any]]
    steps = {"send": send, "metric": metric, "remove": remove, "tour": tour}
    steps |= {"bulk": bulk, "account": account}
    print(json.dumps(steps[sys.argv[1]](*sys.argv[2:])))
