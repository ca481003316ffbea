"""SendBulkEmail: one template, many emails, each of which goes the way of SendEmail by itself."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from clicktrail.base.json_input import InvalidJson, read_json
from clicktrail.base.logs import get_logger
from clicktrail.errors import ClicktrailError, NotFound
from clicktrail.ingress.compose.compose import check_headers
from clicktrail.ingress.compose.template import DATA_LIMIT, RenderingFailed
from clicktrail.ingress.sesv2.operations import (
    ApiError,
    Body,
    Call,
    Operation,
    bad_request,
    error_of,
)
from clicktrail.ingress.sesv2.send_email import EmailSender, check_tags
from clicktrail.ingress.sesv2.send_shapes import (
    ConfigurationOverrides,
    Destination,
    EmailContent,
    ExtraHeader,
    SendEmailRequest,
    Tag,
    Template,
)
from clicktrail.ingress.sesv2.sending.templates import Templates
from clicktrail.store.configuration_store import ConfigurationStore

log = get_logger(__name__)

MOST_ENTRIES = 50
"""Emails of one request, as in SES and Postbox."""
MOST_RECIPIENTS = 500
"""Recipients of all of them together, as in Postbox."""
_AT_ONCE = 4
"""Emails of one request that are on their way at the same time."""

_STATUS = {
    "MessageRejected": "MESSAGE_REJECTED",
    "MailFromDomainNotVerifiedException": "MAIL_FROM_DOMAIN_NOT_VERIFIED",
    "NotFoundException": "CONFIGURATION_SET_NOT_FOUND",
    "SendingPausedException": "CONFIGURATION_SET_SENDING_PAUSED",
    "BadRequestException": "INVALID_PARAMETER",
    "TooManyRequestsException": "TRANSIENT_FAILURE",
    "ServiceUnavailable": "TRANSIENT_FAILURE",
}
"""SES's names of what became of an email, by the exception that SendEmail raises."""


Named = TypeVar("Named", bound=Tag | ExtraHeader)


class BulkContent(Body):
    """``BulkEmailContent`` of SES."""

    template: Template | None = None


class ReplacementTemplate(Body):
    """``ReplacementTemplate`` of SES."""

    replacement_template_data: str | None = None


class ReplacementContent(Body):
    """``ReplacementEmailContent`` of SES."""

    replacement_template: ReplacementTemplate | None = None


class BulkEntry(Body):
    """``BulkEmailEntry`` of SES: one email."""

    destination: Destination
    replacement_tags: list[Tag] | None = None
    replacement_email_content: ReplacementContent | None = None
    replacement_headers: list[ExtraHeader] | None = None


class BulkRequest(Body):
    """The body of SendBulkEmail."""

    default_content: BulkContent
    bulk_email_entries: list[BulkEntry]
    from_email_address: str | None = None
    reply_to_addresses: list[str] | None = None
    feedback_forwarding_email_address: str | None = None
    default_email_tags: list[Tag] | None = None
    configuration_set_name: str | None = None
    configuration_overrides: ConfigurationOverrides | None = None
    # Passed over: `send_shapes.PASSED_OVER`.
    from_email_address_identity_arn: str | None = None
    feedback_forwarding_email_address_identity_arn: str | None = None
    endpoint_id: str | None = None
    tenant_name: str | None = None


class BulkSender:
    """Does SendBulkEmail."""

    def __init__(
        self, sender: EmailSender, templates: Templates, configuration: ConfigurationStore
    ) -> None:
        self._sender = sender
        self._templates = templates
        self._configuration = configuration

    def rows(self) -> Iterable[Operation]:
        """Return the operation."""
        yield Operation(
            "SendBulkEmail", "POST", "/outbound-bulk-emails", "send", self.send, BulkRequest
        )

    async def send(self, call: Call, body: BulkRequest) -> object:
        """Send each entry as an email of its own; return what became of each, in their order.

        Raises `ApiError` for what is wrong with all of them: then none was sent.
        """
        self._sender.check_smarthost()
        entries = body.bulk_email_entries
        if not 1 <= len(entries) <= MOST_ENTRIES:
            raise bad_request(
                f"BulkEmailEntries has {len(entries)} entries: give 1 to {MOST_ENTRIES}"
            )
        recipients = sum(map(_recipients, entries))
        if recipients > MOST_RECIPIENTS:
            raise bad_request(
                f"BulkEmailEntries has {recipients} recipients: give {MOST_RECIPIENTS} at most"
            )
        check_tags(body.default_email_tags or [])
        await self._check_set(body.configuration_set_name)
        if body.default_content.template is None:
            raise bad_request("DefaultContent.Template: give one")
        template = await self._templates.found(body.default_content.template)
        check_headers(template.headers)  # once: each email has them
        data = _data(template.template_data, "DefaultContent.Template.TemplateData")
        places = asyncio.Semaphore(_AT_ONCE)

        async def one(entry: BulkEntry) -> dict[str, str]:
            async with places:
                return await self._result(call, partial(_email, body, template, data, entry))

        return {"BulkEmailEntryResults": await asyncio.gather(*map(one, entries))}

    async def _check_set(self, name: str | None) -> None:
        if name and name not in (await self._configuration.current()).sets:
            raise NotFound(f"Configuration set <{name[:64]}> does not exist.")

    async def _result(self, call: Call, email: "partial[SendEmailRequest]") -> dict[str, str]:
        try:
            sent = await self._sender.send_email(call, email())
        except ClicktrailError as error:
            told = error_of(error)
        except Exception:
            log.exception("an email of many could not be sent")
            told = ApiError(500, "InternalFailure", "something went wrong here: the log tells more")
        else:
            return {"Status": "SUCCESS", "MessageId": sent["MessageId"]}
        return {"Status": _STATUS.get(told.code, "FAILED"), "Error": told.message}


def _recipients(entry: BulkEntry) -> int:
    to = entry.destination
    return sum(map(len, filter(None, (to.to_addresses, to.cc_addresses, to.bcc_addresses))))


def _email(
    body: BulkRequest, template: Template, data: Mapping[str, msgspec.Raw], entry: BulkEntry
) -> SendEmailRequest:
    """Return an entry as a request for one email. Raises `RenderingFailed`."""
    content = entry.replacement_email_content
    replaced = content.replacement_template if content else None
    own = _data(
        replaced.replacement_template_data if replaced else None,
        "ReplacementTemplate.ReplacementTemplateData",
    )
    whole = replace(
        template,
        template_data=msgspec.json.encode({**data, **own}).decode(),
        headers=_replaced(template.headers, entry.replacement_headers),
    )
    return SendEmailRequest(
        content=EmailContent(template=whole),
        from_email_address=body.from_email_address,
        destination=entry.destination,
        reply_to_addresses=body.reply_to_addresses,
        feedback_forwarding_email_address=body.feedback_forwarding_email_address,
        email_tags=_replaced(body.default_email_tags, entry.replacement_tags),
        configuration_set_name=body.configuration_set_name,
        configuration_overrides=body.configuration_overrides,
    )


def _data(text: str | None, member: str) -> dict[str, msgspec.Raw]:
    """Return data of a template by name, the values as they stand. Raises `RenderingFailed`."""
    if text and len(text) > DATA_LIMIT:
        raise RenderingFailed(f"{member} is longer than {DATA_LIMIT} characters")
    try:
        return read_json(text or "{}", dict[str, msgspec.Raw])
    except InvalidJson as error:
        raise RenderingFailed(f"{member} must be a JSON object: {error}") from None


def _replaced(given: Sequence[Named] | None, own: Sequence[Named] | None) -> list[Named]:
    """Return what holds for all, but where an email has its own of that name."""
    names = {each.name.lower() for each in own or ()}
    return [*(each for each in given or () if each.name.lower() not in names), *(own or ())]
