"""The SES v2 API, called by boto3 over HTTP: configuration sets, destinations, identities, tags."""

import http.client
import json
from typing import Any

import pytest
from botocore import xform_name
from botocore.exceptions import ClientError

from support.service import PATIENCE, Service
from support.ses import access_key, ses_client

STREAM = "arn:clicktrail:stream:::clicks"


@pytest.fixture
def name(service: Service, ses: Any) -> str:
    """A configuration set of its own for each test."""
    made = f"api-{service.configuration_set(stream=False)}"
    ses.create_configuration_set(ConfigurationSetName=made)
    return made


def error(caught: pytest.ExceptionInfo[ClientError]) -> tuple[int, str]:
    answer = caught.value.response
    assert answer["ResponseMetadata"]["RequestId"]
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]


# Configuration sets


def test_a_configuration_set_comes_back_with_all_that_was_given(service: Service, ses: Any) -> None:
    name = f"api-{service.configuration_set(stream=False)}"
    ses.create_configuration_set(
        ConfigurationSetName=name,
        TrackingOptions={"CustomRedirectDomain": "Click.Example.com", "HttpsPolicy": "REQUIRE"},
        VdmOptions={
            "DashboardOptions": {"EngagementMetrics": "ENABLED"},
            "GuardianOptions": {"OptimizedSharedDelivery": "ENABLED"},
        },
        SendingOptions={"SendingEnabled": False},
        DeliveryOptions={"TlsPolicy": "REQUIRE", "MaxDeliverySeconds": 600},
        SuppressionOptions={"SuppressedReasons": ["BOUNCE"]},
        Tags=[{"Key": "team", "Value": "shop"}],
    )
    found = ses.get_configuration_set(ConfigurationSetName=name)
    assert found["ConfigurationSetName"] == name
    assert found["TrackingOptions"] == {
        "CustomRedirectDomain": "click.example.com",
        "HttpsPolicy": "REQUIRE",
    }
    assert found["VdmOptions"] == {
        "DashboardOptions": {"EngagementMetrics": "ENABLED"},
        "GuardianOptions": {"OptimizedSharedDelivery": "ENABLED"},
    }
    assert found["SendingOptions"] == {"SendingEnabled": False}
    assert found["DeliveryOptions"] == {"TlsPolicy": "REQUIRE", "MaxDeliverySeconds": 600}
    assert found["SuppressionOptions"] == {"SuppressedReasons": ["BOUNCE"]}
    assert found["Tags"] == [{"Key": "team", "Value": "shop"}]


def test_options_are_put_one_by_one(ses: Any, name: str) -> None:
    ses.put_configuration_set_tracking_options(
        ConfigurationSetName=name, CustomRedirectDomain="go.example.com", HttpsPolicy="REQUIRE"
    )
    ses.put_configuration_set_vdm_options(
        ConfigurationSetName=name,
        VdmOptions={"DashboardOptions": {"EngagementMetrics": "ENABLED"}},
    )
    ses.put_configuration_set_sending_options(ConfigurationSetName=name, SendingEnabled=False)
    ses.put_configuration_set_reputation_options(
        ConfigurationSetName=name, ReputationMetricsEnabled=True
    )
    found = ses.get_configuration_set(ConfigurationSetName=name)
    assert found["TrackingOptions"]["CustomRedirectDomain"] == "go.example.com"
    assert found["VdmOptions"]["DashboardOptions"] == {"EngagementMetrics": "ENABLED"}
    assert found["SendingOptions"] == {"SendingEnabled": False}
    assert found["ReputationOptions"] == {"ReputationMetricsEnabled": True}
    ses.put_configuration_set_tracking_options(ConfigurationSetName=name)
    assert "TrackingOptions" not in ses.get_configuration_set(ConfigurationSetName=name)


def test_a_deleted_configuration_set_is_not_found(ses: Any, name: str) -> None:
    ses.delete_configuration_set(ConfigurationSetName=name)
    for call in (ses.get_configuration_set, ses.delete_configuration_set):
        with pytest.raises(ses.exceptions.NotFoundException) as caught:
            call(ConfigurationSetName=name)
        assert error(caught) == (404, "NotFoundException")


def test_a_name_that_exists_is_refused(ses: Any, name: str) -> None:
    with pytest.raises(ses.exceptions.AlreadyExistsException) as caught:
        ses.create_configuration_set(ConfigurationSetName=name)
    assert error(caught) == (400, "AlreadyExistsException")


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"ConfigurationSetName": "a b"}, "configuration set name"),
        ({"ConfigurationSetName": ""}, "configuration set name"),
        ({"TrackingOptions": {"CustomRedirectDomain": "no host"}}, "no host"),
        (
            {"TrackingOptions": {"CustomRedirectDomain": "a.example", "HttpsPolicy": "MAYBE"}},
            "HttpsPolicy",
        ),
        (
            {"VdmOptions": {"DashboardOptions": {"EngagementMetrics": "on"}}},
            "EngagementMetrics",
        ),
        ({"Tags": [{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}]}, "Tags"),
        ({"Tags": [{"Key": "k" * 129, "Value": ""}]}, "tag"),
    ],
)
def test_what_cannot_be_is_named(ses: Any, given: dict[str, Any], named: str) -> None:
    with pytest.raises(ses.exceptions.BadRequestException, match=named) as caught:
        ses.create_configuration_set(**{"ConfigurationSetName": "never-made"} | given)
    assert error(caught) == (400, "BadRequestException")


def test_lists_come_in_pages_that_hold_each_name_once(service: Service, ses: Any) -> None:
    made = {service.configuration_set(stream=False) for _ in range(5)}
    found: list[str] = []
    token: dict[str, str] = {}
    while True:
        answer = ses.list_configuration_sets(PageSize=2, **token)
        assert len(answer["ConfigurationSets"]) <= 2
        found += answer["ConfigurationSets"]
        if "NextToken" not in answer:
            break
        token = {"NextToken": answer["NextToken"]}
    assert len(found) == len(set(found))
    assert made <= set(found)
    for wrong in ({"PageSize": 0}, {"PageSize": 1001}, {"NextToken": "%"}):
        with pytest.raises(ses.exceptions.BadRequestException):
            ses.list_configuration_sets(**wrong)


# Event destinations


def destination(types: list[str], **more: Any) -> dict[str, Any]:
    stream = {"IamRoleArn": "arn:aws:iam::1:role/x", "DeliveryStreamArn": STREAM}
    return {
        "Enabled": True,
        "MatchingEventTypes": types,
        "KinesisFirehoseDestination": stream,
    } | more


def test_a_destination_comes_back_and_turns_click_tracking_on(
    service: Service, ses: Any, name: str
) -> None:
    given = destination(["CLICK", "BOUNCE"])
    ses.create_configuration_set_event_destination(
        ConfigurationSetName=name, EventDestinationName="clicks", EventDestination=given
    )
    (found,) = ses.get_configuration_set_event_destinations(ConfigurationSetName=name)[
        "EventDestinations"
    ]
    assert found == given | {"Name": "clicks", "MatchingEventTypes": ["BOUNCE", "CLICK"]}
    shown = json.loads(service.cli("configuration-set", "show", name, "--json"))
    assert shown["clickTracking"] is True


def test_a_destination_is_updated_and_deleted(ses: Any, name: str) -> None:
    place = {"ConfigurationSetName": name, "EventDestinationName": "clicks"}
    ses.create_configuration_set_event_destination(**place, EventDestination=destination(["CLICK"]))
    ses.update_configuration_set_event_destination(**place, EventDestination={"Enabled": False})
    (found,) = ses.get_configuration_set_event_destinations(ConfigurationSetName=name)[
        "EventDestinations"
    ]
    assert found["Enabled"] is False
    assert found["MatchingEventTypes"] == ["CLICK"]
    assert found["KinesisFirehoseDestination"]["DeliveryStreamArn"] == STREAM
    ses.delete_configuration_set_event_destination(**place)
    with pytest.raises(ses.exceptions.NotFoundException):
        ses.delete_configuration_set_event_destination(**place)
    with pytest.raises(ses.exceptions.NotFoundException):
        ses.update_configuration_set_event_destination(**place, EventDestination={"Enabled": True})


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (destination(["CLICKS"]), "MatchingEventTypes"),
        (destination([]), "event type"),
        ({"Enabled": True, "MatchingEventTypes": ["CLICK"]}, "DeliveryStreamArn"),
        (
            {"MatchingEventTypes": ["CLICK"], "SnsDestination": {"TopicArn": "arn:x"}},
            "SnsDestination",
        ),
        (
            destination(
                ["CLICK"],
                KinesisFirehoseDestination={"IamRoleArn": "x", "DeliveryStreamArn": "nonsense"},
            ),
            "nonsense",
        ),
        (
            destination(
                ["CLICK"],
                KinesisFirehoseDestination={
                    "IamRoleArn": "x",
                    "DeliveryStreamArn": "arn:clicktrail:webhook:::http://localhost:8080/",
                },
            ),
            "webhook.allow",
        ),
    ],
)
def test_a_destination_that_cannot_be_is_refused_by_name(
    ses: Any, name: str, given: dict[str, Any], named: str
) -> None:
    with pytest.raises(ses.exceptions.BadRequestException, match=named):
        ses.create_configuration_set_event_destination(
            ConfigurationSetName=name, EventDestinationName="d", EventDestination=given
        )


# Identities, tags, account


def test_an_identity_of_an_address_comes_and_goes(ses: Any, name: str) -> None:
    address = f"news+{name}@example.org"
    made = ses.create_email_identity(
        EmailIdentity=address, ConfigurationSetName=name, Tags=[{"Key": "a", "Value": "b"}]
    )
    assert made["IdentityType"] == "EMAIL_ADDRESS"
    assert made["VerifiedForSendingStatus"] is True
    found = ses.get_email_identity(EmailIdentity=address)
    assert found["ConfigurationSetName"] == name
    assert found["Tags"] == [{"Key": "a", "Value": "b"}]
    listed = ses.list_email_identities()["EmailIdentities"]
    assert address in [each["IdentityName"] for each in listed]
    ses.put_email_identity_configuration_set_attributes(EmailIdentity=address)
    assert "ConfigurationSetName" not in ses.get_email_identity(EmailIdentity=address)
    ses.delete_email_identity(EmailIdentity=address)
    with pytest.raises(ses.exceptions.NotFoundException):
        ses.get_email_identity(EmailIdentity=address)


@pytest.mark.parametrize("kind", ["configuration-set", "identity", "contact-list", "template"])
def test_tags_are_added_replaced_and_removed(ses: Any, name: str, kind: str) -> None:
    named = f"a+{name}@Example.org" if kind == "identity" else name
    arn = f"arn:aws:ses:eu-central-1:123456789012:{kind}/{named}"
    content = {"Subject": "Hi", "Text": "Hi"}
    match kind:
        case "identity":
            ses.create_email_identity(EmailIdentity=named)
        case "contact-list":
            ses.create_contact_list(ContactListName=name, Tags=[{"Key": "a", "Value": "0"}])
        case "template":
            ses.create_email_template(TemplateName=name, TemplateContent=content)
    ses.tag_resource(ResourceArn=arn, Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
    ses.tag_resource(ResourceArn=arn, Tags=[{"Key": "a", "Value": "3"}])
    ses.untag_resource(ResourceArn=arn, TagKeys=["b", "c"])
    assert ses.list_tags_for_resource(ResourceArn=arn)["Tags"] == [{"Key": "a", "Value": "3"}]
    with pytest.raises(ses.exceptions.BadRequestException):
        ses.list_tags_for_resource(ResourceArn="arn:aws:s3:::bucket")
    with pytest.raises(ses.exceptions.NotFoundException):
        ses.list_tags_for_resource(ResourceArn=arn + "x")
    more = [{"Key": f"k{n}", "Value": ""} for n in range(50)]
    with pytest.raises(ses.exceptions.BadRequestException, match="at most 50"):
        ses.tag_resource(ResourceArn=arn, Tags=more)
    match kind:
        case "identity":
            shown = ses.get_email_identity(EmailIdentity=named)
            ses.delete_email_identity(EmailIdentity=named)
        case "contact-list":
            shown = ses.get_contact_list(ContactListName=name)
        case "template":
            shown = ses.get_email_template(TemplateName=name)
        case _:
            shown = ses.get_configuration_set(ConfigurationSetName=name)
    assert shown["Tags"] == [{"Key": "a", "Value": "3"}]


def test_the_account_may_send(ses: Any) -> None:
    account = ses.get_account()
    assert account["SendingEnabled"] is True
    assert account["SendQuota"]["SentLast24Hours"] >= 0


def test_operations_that_are_not_here_say_so(ses: Any) -> None:
    with pytest.raises(ClientError, match="GetDedicatedIpPool is not implemented") as caught:
        ses.get_dedicated_ip_pool(PoolName="x")
    assert error(caught) == (501, "NotImplementedException")


# Who may call


def raw(
    service: Service, method: str, path: str, headers: dict[str, str], body: bytes = b""
) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", service.api, timeout=PATIENCE)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), json.loads(answer.read())
    finally:
        connection.close()


@pytest.mark.parametrize("path", ["/account", "/nonsense", "/outbound-emails", "/identities/a%40b"])
@pytest.mark.parametrize(
    ("authorization", "code"),
    [
        (None, "MissingAuthenticationToken"),
        ("Bearer x", "IncompleteSignature"),
        ("AWS4-HMAC-SHA256 Credential=a/20260101/r/ses/aws4_request", "IncompleteSignature"),
    ],
)
def test_without_a_signature_nothing_is_told(
    service: Service, path: str, authorization: str | None, code: str
) -> None:
    headers = {"Authorization": authorization} if authorization else {}
    status, answered, body = raw(service, "GET", f"/v2/email{path}", headers)
    named = {name.lower(): value for name, value in answered.items()}
    assert (status, named["x-amzn-errortype"]) == (403, code)
    assert named["x-amzn-requestid"]
    assert set(body) == {"message"}


def test_a_wrong_secret_and_an_unknown_key_are_refused(
    service: Service, key: tuple[str, str]
) -> None:
    for wrong, code in (
        ((key[0], "x" * 40), "SignatureDoesNotMatch"),
        (("AKCTUNKNOWNUNKNOWNUN", key[1]), "InvalidClientTokenId"),
    ):
        with pytest.raises(ClientError) as caught:
            ses_client(service, wrong).get_account()
        assert error(caught) == (403, code)


def test_a_key_that_was_switched_off_is_refused_at_once(service: Service) -> None:
    made = access_key(service, "read")
    client = ses_client(service, made)
    assert client.get_account()["SendingEnabled"]
    service.cli("access-key", "disable", made[0])
    with pytest.raises(ClientError) as caught:
        client.get_account()
    assert error(caught) == (403, "InvalidClientTokenId")


def raw_request(ses: Any, name: str, **members: Any) -> Any:
    """Call an operation with members that an older model may not know."""
    shape = ses.meta.service_model.operation_model(name).input_shape
    if missing := members.keys() - shape.members.keys():
        pytest.skip(f"this botocore does not know {missing}")
    return getattr(ses, xform_name(name))(**members)


SMIME = {"SigningScheme": {"SmimeScheme": {"SignatureFormat": "DETACHED"}}}
PLAIN: dict[str, Any] = {"SigningScheme": {"DefaultScheme": {}}}


def test_a_configuration_set_cannot_ask_for_signatures_that_are_not_made(ses: Any) -> None:
    with pytest.raises(ClientError, match="SmimeScheme") as caught:
        raw_request(
            ses,
            "CreateConfigurationSet",
            ConfigurationSetName="secured",
            MessageSecurityOptions=SMIME,
        )
    assert error(caught) == (400, "BadRequestException")
    raw_request(
        ses, "CreateConfigurationSet", ConfigurationSetName="secured", MessageSecurityOptions=PLAIN
    )


def test_a_configuration_set_is_updated(ses: Any) -> None:
    ses.create_configuration_set(ConfigurationSetName="updated")
    for more in ({}, {"MessageSecurityOptions": PLAIN}):
        raw_request(ses, "UpdateConfigurationSet", ConfigurationSetName="updated", **more)
    with pytest.raises(ClientError, match="SmimeScheme") as caught:
        raw_request(
            ses,
            "UpdateConfigurationSet",
            ConfigurationSetName="updated",
            MessageSecurityOptions=SMIME,
        )
    assert error(caught) == (400, "BadRequestException")
    with pytest.raises(ClientError) as caught:
        raw_request(ses, "UpdateConfigurationSet", ConfigurationSetName="nosuch")
    assert error(caught) == (404, "NotFoundException")


def test_options_are_kept_whole_and_others_are_refused_by_name(ses: Any) -> None:
    ses.create_configuration_set(
        ConfigurationSetName="whole",
        DeliveryOptions={"TlsPolicy": "REQUIRE", "MaxDeliverySeconds": 600},
        SuppressionOptions={"SuppressedReasons": ["BOUNCE"]},
    )
    found = ses.get_configuration_set(ConfigurationSetName="whole")
    assert found["DeliveryOptions"] == {"TlsPolicy": "REQUIRE", "MaxDeliverySeconds": 600}
    assert found["SuppressionOptions"] == {"SuppressedReasons": ["BOUNCE"]}
    ses.put_configuration_set_delivery_options(ConfigurationSetName="whole", SendingPoolName="a")
    found = ses.get_configuration_set(ConfigurationSetName="whole")
    assert found["DeliveryOptions"] == {"SendingPoolName": "a"}
    with pytest.raises(ClientError, match="`Filter`") as caught:
        raw_request(ses, "ListConfigurationSets", Filter={})
    assert error(caught) == (400, "BadRequestException")


def test_a_key_is_good_for_its_scopes_alone(service: Service) -> None:
    reader = ses_client(service, access_key(service, "read"))
    assert reader.get_account()
    with pytest.raises(ClientError, match="scope manage") as caught:
        reader.create_configuration_set(ConfigurationSetName="never")
    assert error(caught) == (403, "AccessDeniedException")
    sender = ses_client(service, access_key(service, "send"))
    assert sender.get_account()["SendingEnabled"]  # django-ses asks before it sends
    with pytest.raises(ClientError, match="scope read"):
        sender.list_configuration_sets()
