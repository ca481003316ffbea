"""SendEmail: the email is composed here, and goes the way of those that come by SMTP."""

import asyncio
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from clicktrail.base.ids import new_id, now_us
from clicktrail.base.logs import get_logger
from clicktrail.errors import (
    ClicktrailError,
    MessageRefused,
    SmarthostUnavailable,
)
from clicktrail.ingress.accept import Acceptor
from clicktrail.ingress.choice import SendingPaused, UnknownConfigurationSet
from clicktrail.ingress.compose.compose import Composed, check_content, compose
from clicktrail.ingress.compose.template import RenderingFailed
from clicktrail.ingress.compose.template_process import TooManyTemplates
from clicktrail.ingress.options.lists import checked_options
from clicktrail.ingress.options.tags import MOST_TAGS, TAG_LIMIT, is_tag_text
from clicktrail.ingress.recipients.refusals import RecipientRefused
from clicktrail.ingress.rewriting import LARGE
from clicktrail.ingress.senders import UnknownSender
from clicktrail.ingress.sesv2.operations import ApiError, Call, Operation, bad_request
from clicktrail.ingress.sesv2.send_shapes import ListManagementOptions, SendEmailRequest, Tag
from clicktrail.ingress.sesv2.sending.templates import Templates, too_many
from clicktrail.ingress.smtp.mail import Mail, why
from clicktrail.ingress.submission import Smarthost, Submission
from clicktrail.model import Envelope, Message, MessageState, Recipient, Tags, domain_of
from clicktrail.model.subscription import ListOptions
from clicktrail.store.configuration_store import ConfigurationStore

log = get_logger(__name__)

# RFC 6761 § 6.4. nodemailer's verify() sends from there, and takes MessageRejected as all is well.
_NOWHERE = "invalid"
_STATUS = re.compile(r"[245]\.\d{1,3}\.\d{1,3} ")


class Failures(Protocol):
    """Who tells of templates that could not be rendered."""

    async def tell(self, message: Message, template: str, error: str) -> None:
        """Tell the configuration set's destinations for ``RENDERING_FAILURE``, durably."""


@dataclass(frozen=True, slots=True)
class SendOptions:
    """How SendEmail behaves."""

    hostname: str
    max_size: int
    """Bytes of an email: the setting ``smtp.max_size``."""


class EmailSender:
    """Does SendEmail. `stop` waits for emails that are on their way."""

    STOP_SECONDS = 25.0

    def __init__(
        self,
        options: SendOptions,
        acceptor: Acceptor,
        smarthost: Smarthost | None,
        configuration: ConfigurationStore,
        failures: Failures,
        templates: Templates,
    ) -> None:
        self._options = options
        self._templates = templates
        self._acceptor = acceptor
        self._smarthost = smarthost
        self._configuration = configuration
        self._failures = failures
        self._tasks: set[asyncio.Task[str]] = set()
        self._composing = ThreadPoolExecutor(2, "compose")

    def rows(self) -> list[Operation]:
        """Return the operations that are done here."""
        return [
            Operation(
                "SendEmail", "POST", "/outbound-emails", "send", self.send_email, SendEmailRequest
            ),
        ]

    async def stop(self) -> None:
        """Answer the emails that have begun."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self.STOP_SECONDS)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._templates.stop()
        self._composing.shutdown(wait=False, cancel_futures=True)

    async def send_email(self, call: Call, body: SendEmailRequest) -> dict[str, str]:
        """Send one email; return ``{"MessageId": …}`` when the smarthost has taken it.

        Raises `ApiError`: what the smarthost refuses for good is ``MessageRejected``, what may
        work later is 429 or 503, which clients try again. It is sent to all recipients or none.
        """
        smarthost = self.check_smarthost()
        tags = check_tags(body.email_tags or [])
        options = _list_options(body.list_management_options)
        try:
            composed = await self._compose(body)
        except RenderingFailed as failed:
            await self._tell(call, body, tags, str(failed))
            raise bad_request(str(failed)) from None
        except TooManyTemplates as error:
            raise too_many(error) from None
        # Shielded: the smarthost's answer is kept even if the client is gone.
        task = asyncio.create_task(self._send(smarthost, call, body, composed, tags, options))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return {"MessageId": await asyncio.shield(task)}

    def check_smarthost(self) -> Smarthost:
        """Return where emails go. Raises `ApiError` where that is nowhere."""
        if self._smarthost is None:
            raise ApiError(
                503, "ServiceUnavailable", "smarthost.url is empty here: say where emails go"
            )
        return self._smarthost

    async def _compose(self, body: SendEmailRequest) -> Composed:
        options = self._options
        content = body.content
        size = len(content.raw.data) if content.raw is not None else 0
        if content.simple is not None:
            texts = (content.simple.body.text, content.simple.body.html)
            size += sum(len(text.data) for text in texts if text is not None)
            size += sum(len(each.raw_content) for each in content.simple.attachments or ())
        most = options.max_size
        rendered = None
        if content.template is not None:
            check_content(content)
            template = await self._templates.found(content.template)
            rendered = await self._templates.rendered(template)
            shown = (rendered.body.text, rendered.body.html)
            size += sum(len(text.data) for text in shown if text is not None)
            size += sum(len(each.raw_content) for each in rendered.attachments or ())
        if size > LARGE:  # others need not wait
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(
                self._composing, compose, body, options.hostname, most, rendered
            )
        return compose(body, options.hostname, most, rendered)

    async def _send(
        self,
        smarthost: Smarthost,
        call: Call,
        body: SendEmailRequest,
        composed: Composed,
        tags: Tags,
        options: ListOptions | None,
    ) -> str:
        message = composed.message
        if domain_of(composed.sender).rpartition(".")[2] == _NOWHERE:
            raise ApiError(400, "MessageRejected", f"{composed.sender!a} can be nobody's address")
        envelope = Envelope(composed.sender, len(message), body_8bit=not message.isascii())
        mail = Mail(envelope, smarthost, call.source_ip or "")
        answers = await mail.rcpt_all([*map(Recipient, composed.recipients)])
        for recipient, (code, text) in zip(composed.recipients, answers, strict=True):
            if code >= 400:
                await mail.abort()
                raise _refused(code, text, recipient)
        overrides = body.configuration_overrides
        tracking = overrides.tracking if overrides else None
        submission = Submission(
            message=message,
            sender=composed.sender,
            recipients=composed.recipients,
            source_ip=call.source_ip,
            client="api",
            protocol="HTTP",
            configuration_set=body.configuration_set_name,
            tags=tags,
            click_tracking=_is_on(tracking.click_tracking_enabled) if tracking else None,
            list_options=options,
            open_tracking=_is_on(tracking.open_tracking_enabled) if tracking else None,
        )
        try:
            return await mail.submit(self._acceptor, submission)
        except UnknownConfigurationSet as error:
            raise ApiError(
                404, "NotFoundException", f"Configuration set <{error.name}> does not exist."
            ) from None
        except SendingPaused as error:
            raise ApiError(400, "SendingPausedException", _words(error.text)) from None
        except UnknownSender as error:
            raise ApiError(400, "MailFromDomainNotVerifiedException", _words(error.text)) from None
        except RecipientRefused as error:
            raise ApiError(400, "MessageRejected", _words(error.text)) from None
        except MessageRefused as error:
            raise _refused(error.code, error.text) from None
        except SmarthostUnavailable as error:
            log.warning("smarthost is not available", error=error)
            raise ApiError(503, "ServiceUnavailable", _words(why(error)[1])) from None

    async def _tell(self, call: Call, body: SendEmailRequest, tags: Tags, error: str) -> None:
        """Tell of a template that could not be rendered, where the set's destinations want it."""
        configuration = await self._configuration.current()
        address = body.from_email_address or ""
        source = address.rpartition("<")[2].rstrip("> ")
        identity = configuration.identity_for(source)
        set_name = body.configuration_set_name or (identity.configuration_set if identity else None)
        if set_name is None:
            return
        given = body.destination
        at = now_us()
        to = list(given.to_addresses or ()) if given else []
        others = [*(given.cc_addresses or ()), *(given.bcc_addresses or ())] if given else []
        template = body.content.template
        message = Message(
            id=new_id(at),
            accepted_at=at,
            source=source,
            recipients=(*to, *others),
            identity=identity,
            configuration_set=set_name,
            source_ip=call.source_ip,
            headers=(("From", address), ("To", ", ".join(to))),
            tags=tags,
            state=MessageState.REFUSED,
        )
        name = (template.template_name if template else None) or ""
        try:
            await self._failures.tell(message, name, error)
        except ClicktrailError as failed:  # the client is told all the same
            log.warning("rendering failure could not be told", error=failed)


def check_tags(given: list[Tag]) -> Tags:
    """Return ``EmailTags`` by name. Raises `ApiError` for what SES does not take, and for many."""
    if len(given) > MOST_TAGS:
        raise bad_request(f"EmailTags: there are {len(given)}: give {MOST_TAGS} at most")
    tags: Tags = {}
    for tag in given:
        for member, text in (("Name", tag.name), ("Value", tag.value)):
            if not is_tag_text(text, name=member == "Name"):
                raise bad_request(
                    f"EmailTags.{member}: {text!a} cannot be used: give 1 to {TAG_LIMIT} ASCII"
                    " letters, digits, '_', '-', '.', '@'"
                )
        tags.setdefault(tag.name, []).append(tag.value)
    return tags


def _list_options(given: ListManagementOptions | None) -> ListOptions | None:
    """Return ``ListManagementOptions``. Raises `InvalidInput`."""
    return checked_options(given.contact_list_name, given.topic_name) if given else None


def _is_on(wanted: str | None) -> bool | None:
    return None if wanted is None else wanted == "ENABLED"


def _words(text: str) -> str:
    """Return a reply's text without its enhanced status code."""
    return _STATUS.sub("", text, count=1)


def _refused(code: int, text: str, recipient: str = "") -> ApiError:
    """Return the error for an SMTP reply, in its words."""
    words = f"{recipient}: {code} {text}" if recipient else f"{code} {text}"
    if code >= 500:
        return ApiError(400, "MessageRejected", words)
    # RFC 5321 § 4.2.1: transient; the server behind may be slowing us down (RFC 6647 § 2.1).
    return ApiError(429, "TooManyRequestsException", words)
