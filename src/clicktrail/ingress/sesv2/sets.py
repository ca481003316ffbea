"""SES v2: configuration sets and their event destinations."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import msgspec

from clicktrail.base.arn import parse_arn
from clicktrail.errors import NotFound
from clicktrail.ingress.sesv2.operations import Body, Call, Operation, bad_request
from clicktrail.ingress.sesv2.paging import Page, page
from clicktrail.ingress.sesv2.set_shapes import (
    ArchivingOptions,
    CreateDestination,
    CreateSet,
    DeliveryOptions,
    DestinationDefinition,
    MessageSecurityOptions,
    PutVdmOptions,
    ReputationOptions,
    SendingOptions,
    SuppressionOptions,
    TrackingOptions,
    UpdateDestination,
    UpdateSet,
    VdmOptions,
)
from clicktrail.ingress.sesv2.tags import given_tags, shown_tags
from clicktrail.model import ConfigurationSet, EventDestination, EventType, HttpsPolicy
from clicktrail.store.configuration_store import ConfigurationStore

_SET = "/configuration-sets/{ConfigurationSetName}"
_DESTINATIONS = f"{_SET}/event-destinations"
_DESTINATION = f"{_DESTINATIONS}/{{EventDestinationName}}"

_KEPT: dict[str, tuple[str, str, type[Body]]] = {
    "PutConfigurationSetDeliveryOptions": ("delivery-options", "DeliveryOptions", DeliveryOptions),
    "PutConfigurationSetReputationOptions": (
        "reputation-options",
        "ReputationOptions",
        ReputationOptions,
    ),
    "PutConfigurationSetSuppressionOptions": (
        "suppression-options",
        "SuppressionOptions",
        SuppressionOptions,
    ),
    "PutConfigurationSetArchivingOptions": (
        "archiving-options",
        "ArchivingOptions",
        ArchivingOptions,
    ),
}
"""Operations whose options are kept and given back, and no more; and where they are."""

OPTIONS_LIMIT = 16 * 1024
"""Characters of all such options of a configuration set."""


class SetOperations:
    """What is done with configuration sets."""

    def __init__(self, configuration: ConfigurationStore) -> None:
        self._configuration = configuration

    def rows(self) -> Iterable[Operation]:
        """Return the operations."""
        manage, read = "manage", "read"
        yield Operation(
            "CreateConfigurationSet", "POST", "/configuration-sets", manage, self.create, CreateSet
        )
        yield Operation(
            "ListConfigurationSets", "POST", "/list-configuration-sets", read, self.list, Page
        )
        # As clients up to botocore 1.43 have it.
        yield Operation("ListConfigurationSets", "GET", "/configuration-sets", read, self.list)
        yield Operation("GetConfigurationSet", "GET", _SET, read, self.get)
        yield Operation("DeleteConfigurationSet", "DELETE", _SET, manage, self.delete)
        shape: type[Body]
        for name, part, shape, handler in (
            ("PutConfigurationSetTrackingOptions", "tracking-options", TrackingOptions, self.track),
            ("PutConfigurationSetVdmOptions", "vdm-options", PutVdmOptions, self.vdm),
            ("PutConfigurationSetSendingOptions", "sending", SendingOptions, self.sending),
        ):
            yield Operation(name, "PUT", f"{_SET}/{part}", manage, handler, shape)
        for name, (part, member, shape) in _KEPT.items():
            yield Operation(name, "PUT", f"{_SET}/{part}", manage, self._keeper(member), shape)
        yield Operation(
            "UpdateConfigurationSet",
            "POST",
            "/update-configuration-sets",
            manage,
            self.update,
            UpdateSet,
        )
        yield Operation(
            "CreateConfigurationSetEventDestination",
            "POST",
            _DESTINATIONS,
            manage,
            self.add_destination,
            CreateDestination,
        )
        yield Operation(
            "GetConfigurationSetEventDestinations", "GET", _DESTINATIONS, read, self.destinations
        )
        yield Operation(
            "UpdateConfigurationSetEventDestination",
            "PUT",
            _DESTINATION,
            manage,
            self.update_destination,
            UpdateDestination,
        )
        yield Operation(
            "DeleteConfigurationSetEventDestination",
            "DELETE",
            _DESTINATION,
            manage,
            self.remove_destination,
        )

    async def create(self, _: Call, body: CreateSet) -> object:
        """``CreateConfigurationSet``."""
        _check_security(body.message_security_options)
        tracking = body.tracking_options or TrackingOptions()
        options = {
            "DeliveryOptions": body.delivery_options,
            "ReputationOptions": body.reputation_options,
            "SuppressionOptions": body.suppression_options,
            "ArchivingOptions": body.archiving_options,
            "GuardianOptions": body.vdm_options and body.vdm_options.guardian_options,
        }
        made = ConfigurationSet(
            body.configuration_set_name,
            engagement=_engagement(body.vdm_options) or False,
            redirect_domain=_domain(tracking),
            https_policy=_policy(tracking),
            sending=body.sending_options.sending_enabled if body.sending_options else True,
            tags=given_tags(body.tags),
            options=_dump({name: value for name, value in options.items() if value}),
        )
        await self._configuration.create_set(made)
        return {}

    async def list(self, call: Call, body: Body) -> object:
        """``ListConfigurationSets``."""
        names = [found.name for found in await self._configuration.list_sets()]
        shown, following = page(names, call, body)
        return {"ConfigurationSets": shown} | following

    async def get(self, call: Call, _: Body) -> object:
        """``GetConfigurationSet``."""
        found = await self._configuration.get_set(_name(call))
        options = msgspec.json.decode(found.options)
        guardian = options.pop("GuardianOptions", {})
        answer = {
            "ConfigurationSetName": found.name,
            "SendingOptions": {"SendingEnabled": found.sending},
            "VdmOptions": {
                "DashboardOptions": {
                    "EngagementMetrics": "ENABLED" if found.engagement else "DISABLED"
                },
                "GuardianOptions": guardian,
            },
            "Tags": shown_tags(found.tags),
            **options,
        }
        if found.redirect_domain or found.https_policy is not HttpsPolicy.OPTIONAL:
            answer["TrackingOptions"] = {"HttpsPolicy": found.https_policy.value}
            if found.redirect_domain:
                answer["TrackingOptions"]["CustomRedirectDomain"] = found.redirect_domain
        return answer

    async def update(self, _: Call, body: UpdateSet) -> object:
        """``UpdateConfigurationSet``: all that it can change is how emails are signed."""
        await self._configuration.get_set(body.configuration_set_name)
        _check_security(body.message_security_options)
        return {}

    async def delete(self, call: Call, _: Body) -> object:
        """``DeleteConfigurationSet``."""
        await self._configuration.delete_set(_name(call))
        return {}

    async def track(self, call: Call, body: TrackingOptions) -> object:
        """``PutConfigurationSetTrackingOptions``; without a domain, the installation's own."""
        await self._configuration.update_set(
            _name(call), redirect_domain=_domain(body), https_policy=_policy(body)
        )
        return {}

    async def vdm(self, call: Call, body: PutVdmOptions) -> object:
        """``PutConfigurationSetVdmOptions``: engagement statistics."""
        name = _name(call)
        found = await self._configuration.get_set(name)
        options = msgspec.json.decode(found.options)
        if body.vdm_options is not None and body.vdm_options.guardian_options is not None:
            options["GuardianOptions"] = body.vdm_options.guardian_options
        await self._configuration.update_set(
            name, engagement=_engagement(body.vdm_options), options=_dump(options)
        )
        return {}

    async def sending(self, call: Call, body: SendingOptions) -> object:
        """``PutConfigurationSetSendingOptions``."""
        await self._configuration.update_set(_name(call), sending=body.sending_enabled)
        return {}

    def _keeper(self, member: str) -> Any:
        async def keep(call: Call, body: Body) -> object:
            """Keep options that are given back, and no more."""
            name = _name(call)
            found = await self._configuration.get_set(name)
            options = msgspec.json.decode(found.options)
            options[member] = body
            await self._configuration.update_set(name, options=_dump(options))
            return {}

        return keep

    async def add_destination(self, call: Call, body: CreateDestination) -> object:
        """``CreateConfigurationSetEventDestination``."""
        made = _destination(body.event_destination_name, body.event_destination, None)
        await self._configuration.add_destination(_name(call), made)
        return {}

    async def destinations(self, call: Call, _: Body) -> object:
        """``GetConfigurationSetEventDestinations``."""
        found = await self._configuration.get_set(_name(call))
        return {"EventDestinations": [_shown(each) for each in found.destinations]}

    async def update_destination(self, call: Call, body: UpdateDestination) -> object:
        """``UpdateConfigurationSetEventDestination``; types and stream that are not given stay."""
        owner = await self._configuration.get_set(_name(call))
        name = call.path["EventDestinationName"]
        known = next((each for each in owner.destinations if each.name == name), None)
        if known is None:
            raise NotFound(f"configuration set {owner.name!r} has no event destination {name!r}")
        changed = _destination(name, body.event_destination, known)
        await self._configuration.update_destination(owner.name, changed)
        return {}

    async def remove_destination(self, call: Call, _: Body) -> object:
        """``DeleteConfigurationSetEventDestination``."""
        await self._configuration.remove_destination(_name(call), call.path["EventDestinationName"])
        return {}


def _check_security(given: MessageSecurityOptions | None) -> None:
    if given and given.signing_scheme and given.signing_scheme.smime_scheme is not None:
        raise bad_request(
            "MessageSecurityOptions.SigningScheme.SmimeScheme: emails are not signed with S/MIME"
            " here: use DefaultScheme"
        )


def _name(call: Call) -> str:
    return call.path["ConfigurationSetName"]


def _dump(options: dict[str, Any]) -> str:
    text = msgspec.json.encode(options).decode()
    if len(text) > OPTIONS_LIMIT:
        raise bad_request(f"the options are longer than {OPTIONS_LIMIT} characters")
    return text


def _engagement(options: VdmOptions | None) -> bool | None:
    if options is None or options.dashboard_options is None:
        return None
    match options.dashboard_options.engagement_metrics:
        case None:
            return None
        case "ENABLED" | "DISABLED" as given:
            return given == "ENABLED"
        case given:
            raise bad_request(
                f"VdmOptions.DashboardOptions.EngagementMetrics is {given!r}: use ENABLED or"
                " DISABLED"
            )


def _domain(tracking: TrackingOptions) -> str | None:
    return tracking.custom_redirect_domain or None


def _policy(tracking: TrackingOptions) -> HttpsPolicy:
    given = tracking.https_policy
    # Of SES's three, this one is about open tracking, which there is not: clicks as OPTIONAL.
    if given == "REQUIRE_OPEN_ONLY":
        return HttpsPolicy.OPTIONAL
    try:
        return HttpsPolicy(given)
    except ValueError:
        raise bad_request(
            f"HttpsPolicy is {given!r}: use OPTIONAL, REQUIRE or REQUIRE_OPEN_ONLY"
        ) from None


def _destination(
    name: str, given: DestinationDefinition, known: EventDestination | None
) -> EventDestination:
    """Return the event destination that a definition describes. Raises `ApiError`."""
    others = {
        "SnsDestination": given.sns_destination,
        "CloudWatchDestination": given.cloud_watch_destination,
        "EventBridgeDestination": given.event_bridge_destination,
        "PinpointDestination": given.pinpoint_destination,
    }
    for member, other in others.items():
        if other is not None:
            raise bad_request(
                f"EventDestination.{member}: Clicktrail has none of these. Name the stream or"
                " webhook by its ARN in KinesisFirehoseDestination.DeliveryStreamArn"
            )
    stream = given.kinesis_firehose_destination
    if stream is None and known is None:
        raise bad_request(
            "EventDestination.KinesisFirehoseDestination.DeliveryStreamArn is missing: it names"
            " the stream or webhook"
        )
    made = known or EventDestination(name, "", frozenset())
    if stream is not None:
        arn = parse_arn(stream.delivery_stream_arn).text
        made = replace(made, arn=arn, role_arn=stream.iam_role_arn)
    if given.matching_event_types is not None:
        made = replace(made, types=frozenset(map(_event_type, given.matching_event_types)))
    return replace(made, enabled=given.enabled)


def _event_type(text: str) -> EventType:
    try:
        return EventType(text)
    except ValueError:
        raise bad_request(
            f"EventDestination.MatchingEventTypes: there is no type {text!r}; use"
            f" {', '.join(EventType)}"
        ) from None


def _shown(found: EventDestination) -> dict[str, Any]:
    stream = {"DeliveryStreamArn": found.arn, "IamRoleArn": found.role_arn}
    return {
        "Name": found.name,
        "Enabled": found.enabled,
        "MatchingEventTypes": sorted(found.types),
        "KinesisFirehoseDestination": stream,
    }
