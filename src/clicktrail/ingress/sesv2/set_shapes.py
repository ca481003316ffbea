"""What the operations on configuration sets are called with: shapes of the SES API v2 reference."""

from typing import Any, Literal

from clicktrail.ingress.sesv2.operations import Body
from clicktrail.ingress.sesv2.tags import Tag
from clicktrail.model import HttpsPolicy


class TrackingOptions(Body):
    """Where tracking links lead over."""

    custom_redirect_domain: str = ""
    https_policy: str = HttpsPolicy.OPTIONAL.value


class DashboardOptions(Body):
    """``EngagementMetrics`` is engagement statistics."""

    engagement_metrics: str | None = None


class GuardianOptions(Body, omit_defaults=True):
    """Kept, and given back."""

    optimized_shared_delivery: str | None = None


class VdmOptions(Body):
    """Options of the Virtual Deliverability Manager."""

    dashboard_options: DashboardOptions | None = None
    guardian_options: GuardianOptions | None = None


class SendingOptions(Body):
    """Whether emails are sent at all."""

    sending_enabled: bool = True


class DeliveryOptions(Body, omit_defaults=True):
    """Kept, and given back."""

    tls_policy: str | None = None
    sending_pool_name: str | None = None
    max_delivery_seconds: int | None = None
    shared_pool_delivery_mode: str | None = None


class ReputationOptions(Body, omit_defaults=True):
    """Kept, and given back."""

    reputation_metrics_enabled: bool | None = None
    last_fresh_start: float | None = None


class ConfidenceThreshold(Body, omit_defaults=True):
    """``SuppressionConfidenceThreshold`` of SES."""

    confidence_verdict_threshold: str | None = None


class ConditionThreshold(Body, omit_defaults=True):
    """``SuppressionConditionThreshold`` of SES."""

    condition_threshold_enabled: str | None = None
    overall_confidence_threshold: ConfidenceThreshold | None = None


class ValidationOptions(Body, omit_defaults=True):
    """``SuppressionValidationOptions`` of SES."""

    condition_threshold: ConditionThreshold | None = None


class SuppressionOptions(Body, omit_defaults=True):
    """Which reasons on the suppression list keep emails back; the rest is kept, and given back."""

    suppressed_reasons: list[Literal["BOUNCE", "COMPLAINT"]] | None = None
    suppression_scope: str | None = None
    validation_options: ValidationOptions | None = None


class ArchivingOptions(Body, omit_defaults=True):
    """Kept, and given back."""

    archive_arn: str | None = None


class SigningScheme(Body):
    """How emails are signed: with nothing more, which is the default, or with S/MIME."""

    default_scheme: dict[str, Any] | None = None
    smime_scheme: dict[str, Any] | None = None


class MessageSecurityOptions(Body):
    """``MessageSecurityOptions`` of SES."""

    signing_scheme: SigningScheme | None = None


class CreateSet(Body):
    """``CreateConfigurationSet``."""

    configuration_set_name: str
    tracking_options: TrackingOptions | None = None
    vdm_options: VdmOptions | None = None
    sending_options: SendingOptions | None = None
    delivery_options: DeliveryOptions | None = None
    reputation_options: ReputationOptions | None = None
    suppression_options: SuppressionOptions | None = None
    archiving_options: ArchivingOptions | None = None
    message_security_options: MessageSecurityOptions | None = None
    tags: tuple[Tag, ...] = ()


class UpdateSet(Body):
    """``UpdateConfigurationSet``."""

    configuration_set_name: str
    message_security_options: MessageSecurityOptions | None = None


class PutVdmOptions(Body):
    """``PutConfigurationSetVdmOptions``."""

    vdm_options: VdmOptions | None = None


class Firehose(Body):
    """The destination that names the stream; an ARN of any kind."""

    delivery_stream_arn: str
    iam_role_arn: str = ""


class DestinationDefinition(Body):
    """``EventDestinationDefinition``."""

    enabled: bool = False
    matching_event_types: list[str] | None = None
    kinesis_firehose_destination: Firehose | None = None
    sns_destination: dict[str, Any] | None = None
    cloud_watch_destination: dict[str, Any] | None = None
    event_bridge_destination: dict[str, Any] | None = None
    pinpoint_destination: dict[str, Any] | None = None


class CreateDestination(Body):
    """``CreateConfigurationSetEventDestination``."""

    event_destination_name: str
    event_destination: DestinationDefinition


class UpdateDestination(Body):
    """``UpdateConfigurationSetEventDestination``."""

    event_destination: DestinationDefinition
