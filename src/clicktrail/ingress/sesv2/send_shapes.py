"""What SendEmail and BatchGetMetricData are called with: shapes of the SES API v2 reference."""

from typing import Literal

from clicktrail.ingress.sesv2.operations import Body

OnOff = Literal["ENABLED", "DISABLED"]


class Text(Body):
    """``Content`` of SES: a text, and the charset that it is sent in."""

    data: str
    charset: str | None = None


class TextAndHtml(Body):
    """``Body`` of SES."""

    text: Text | None = None
    html: Text | None = None


class ExtraHeader(Body):
    """``MessageHeader`` of SES."""

    name: str
    value: str


class Attachment(Body):
    """``Attachment`` of SES. ``raw_content`` is base64 on the wire."""

    raw_content: bytes
    file_name: str
    content_disposition: Literal["ATTACHMENT", "INLINE"] | None = None
    content_description: str | None = None
    content_id: str | None = None
    content_transfer_encoding: Literal["BASE64", "QUOTED_PRINTABLE", "SEVEN_BIT"] | None = None
    content_type: str | None = None


class Simple(Body):
    """``Message`` of SES: an email in parts."""

    subject: Text
    body: TextAndHtml
    headers: list[ExtraHeader] | None = None
    attachments: list[Attachment] | None = None


class Raw(Body):
    """``RawMessage`` of SES: a whole email. ``data`` is base64 on the wire."""

    data: bytes


class TemplateContent(Body):
    """``EmailTemplateContent`` of SES: a template in the request itself."""

    subject: str | None = None
    text: str | None = None
    html: str | None = None


class Template(Body):
    """``Template`` of SES: its content, or the name or ARN that it is kept under."""

    template_name: str | None = None
    template_arn: str | None = None
    template_content: TemplateContent | None = None
    template_data: str | None = None
    headers: list[ExtraHeader] | None = None
    attachments: list[Attachment] | None = None


class EmailContent(Body):
    """``EmailContent`` of SES: one of the three."""

    simple: Simple | None = None
    raw: Raw | None = None
    template: Template | None = None


class Destination(Body):
    """``Destination`` of SES."""

    to_addresses: list[str] | None = None
    cc_addresses: list[str] | None = None
    bcc_addresses: list[str] | None = None


class Tag(Body):
    """``MessageTag`` of SES."""

    name: str
    value: str


class TrackingOverrides(Body):
    """Whether this email's clicks and opens are tracked."""

    click_tracking_enabled: OnOff | None = None
    open_tracking_enabled: OnOff | None = None


class ConfigurationOverrides(Body):
    """What is different for this email from its configuration set."""

    tracking: TrackingOverrides | None = None


class ListManagementOptions(Body):
    """The contact list that the email belongs to, and a topic of it."""

    contact_list_name: str
    topic_name: str | None = None


PASSED_OVER = (
    "FromEmailAddressIdentityArn",
    "FeedbackForwardingEmailAddressIdentityArn",
    "EndpointId",
    "TenantName",
)
"""Members of SendEmail that change nothing: who may send is the access key's matter here, there are
neither endpoints nor tenants to choose from."""


class SendEmailRequest(Body):
    """The body of SendEmail."""

    content: EmailContent
    from_email_address: str | None = None
    destination: Destination | None = None
    reply_to_addresses: list[str] | None = None
    feedback_forwarding_email_address: str | None = None
    email_tags: list[Tag] | None = None
    configuration_set_name: str | None = None
    configuration_overrides: ConfigurationOverrides | None = None
    list_management_options: ListManagementOptions | None = None
    # Passed over: `PASSED_OVER`.
    from_email_address_identity_arn: str | None = None
    feedback_forwarding_email_address_identity_arn: str | None = None
    endpoint_id: str | None = None
    tenant_name: str | None = None


class MetricQuery(Body):
    """``BatchGetMetricDataQuery`` of SES. Dates are seconds since 1970 UTC."""

    id: str
    namespace: Literal["VDM"]
    metric: str
    start_date: float
    end_date: float
    dimensions: dict[str, str] | None = None


class BatchGetMetricDataRequest(Body):
    """The body of BatchGetMetricData."""

    queries: list[MetricQuery]
