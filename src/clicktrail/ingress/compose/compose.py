"""From the body of SendEmail to an email and its envelope. No I/O.

The headers with addresses and texts are written here, from pieces of the standard library's `email`
package: what its releases do with long names differs. `entities` makes the parts.
"""

import mimetypes
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from email.utils import format_datetime, localtime, make_msgid

from clicktrail.errors import InvalidInput
from clicktrail.headers.addresses import UnreadableAddress, mailboxes
from clicktrail.headers.fields import HeaderTooLong, first_field, read_header
from clicktrail.headers.parameters import parse_type
from clicktrail.headers.words import text_value
from clicktrail.ingress.compose.entities import (
    Entity,
    attachment_entity,
    multipart,
    text_entity,
    whole,
)
from clicktrail.ingress.compose.template import Work
from clicktrail.ingress.compose.template_process import Renderer
from clicktrail.ingress.mailbox import CONTROL, LONGEST, Mailbox, list_header, read_mailbox
from clicktrail.ingress.sesv2.send_shapes import (
    Attachment,
    Destination,
    EmailContent,
    ExtraHeader,
    SendEmailRequest,
    Simple,
    Template,
    Text,
    TextAndHtml,
)
from clicktrail.model import domain_of
from clicktrail.rewrite.mime.charset import known

MOST_RECIPIENTS = 50
"""Recipients of one email, as in SES."""

TEXT_LIMIT = 10_000
"""Characters of a subject, or of another header that is given as a text."""

# RFC 5322 § 2.2; SES: at most 126 characters.
_HEADER_NAME = re.compile(r"[!-9;-~]{1,126}")
_OURS = frozenset(
    "from to cc bcc reply-to subject sender return-path mime-version received"
    " dkim-signature".split()
)
"""Headers that ``Headers`` may not hold: the request has members for them, or nobody gives them."""

# Characters of what an attachment is called, as in SES ("Attachment").
_ATTACHMENT_LIMITS = (
    ("FileName", "file_name", 255),
    ("ContentId", "content_id", 78),
    ("ContentDescription", "content_description", 1000),
    ("ContentType", "content_type", 78),
)
_TO = frozenset(("to", "cc", "bcc"))
_MIME_TYPE = re.compile(r"([a-z0-9!#$&^_.+-]+)/([a-z0-9!#$&^_.+-]+)", re.IGNORECASE)
_CHARSET = re.compile(r"[A-Za-z0-9._-]{1,40}")
_LINE_END = re.compile(rb"\r\n|\r|\n")
_LONG_LINE = re.compile(rb"[^\r\n]{999}")


@dataclass(frozen=True, slots=True)
class Composed:
    """An email, and who sends it to whom."""

    message: bytes
    sender: str
    """Envelope sender."""
    recipients: tuple[str, ...]
    """Envelope recipients, each once."""


def compose(
    request: SendEmailRequest, hostname: str, most: int, rendered: Simple | None = None
) -> Composed:
    """Return the email that a request asks for. Raises `InvalidInput` naming the member.

    ``hostname`` is used in the ``Message-ID``; ``most`` is how many bytes an email may have;
    ``rendered`` is what `render` has made of its template.
    """
    content = request.content
    check_content(content)
    if content.raw is not None:
        composed = _raw(request, content.raw.data, hostname)
    else:
        simple = rendered if content.template is not None else content.simple
        assert simple is not None
        composed = _simple(request, simple, hostname)
    if len(composed.message) > most:
        raise InvalidInput(
            f"Message length is more than {most} bytes long: '{len(composed.message)}'."
        )
    return composed


def check_content(content: EmailContent) -> None:
    """Raise `InvalidInput` unless there is one thing to be sent."""
    given = [x for x in (content.simple, content.raw, content.template) if x is not None]
    if len(given) != 1:
        raise InvalidInput("Content: give exactly one of Simple, Raw and Template")


async def render(template: Template, renderer: Renderer, *, escape: bool, most: int) -> Simple:
    """Return the email that a template gives with its data. Raises `InvalidInput`.

    ``escape`` tells whether values in HTML are escaped, ``most`` how long a part may be.
    """
    content = template.template_content
    if content is None:
        raise InvalidInput("Content.Template.TemplateContent: give the template here")
    if content.subject is None:
        raise InvalidInput("Content.Template.TemplateContent.Subject: give one")
    given = {"Subject": content.subject, "Text": content.text, "Html": content.html}
    sources = {name: source for name, source in given.items() if source or name == "Subject"}
    work = Work(
        {k: v or "" for k, v in sources.items()}, template.template_data or "", escape, most
    )
    made = {name: Text(data=text) for name, text in (await renderer.render(work)).items()}
    return Simple(
        subject=made["Subject"],
        body=TextAndHtml(text=made.get("Text"), html=made.get("Html")),
        headers=template.headers,
        attachments=template.attachments,
    )


def preview(simple: Simple, hostname: str) -> bytes:
    """Return an email that is for nobody yet. Raises `InvalidInput` naming the member."""
    lines = [_text_header("Subject", simple.subject.data, "Subject")]
    return "".join((*lines, *_missing((), "", hostname))).encode("ascii") + _body(simple)


def _simple(request: SendEmailRequest, simple: Simple, hostname: str) -> Composed:
    if not request.from_email_address:
        raise InvalidInput("FromEmailAddress: give the address that sends")
    sender = read_mailbox(request.from_email_address, "FromEmailAddress")
    to, cc, bcc = _destination(request.destination)
    recipients = _recipients([*to, *cc, *bcc])
    replies = _mailboxes(request.reply_to_addresses, "ReplyToAddresses")
    extra = check_headers(simple.headers)
    named = {each.name.lower() for each in extra}
    lines = [_header("From", sender.header())]
    for name, some in (("To", to), ("Cc", cc), ("Reply-To", replies)):
        if some:
            lines.append(_header(name, list_header(some)))
    lines.append(_text_header("Subject", simple.subject.data, "Content.Simple.Subject.Data"))
    lines += [_text_header(h.name, h.value, f"Headers.{h.name}") for h in extra]
    lines += _missing(named, sender.address, hostname)
    message = "".join(lines).encode("ascii") + _body(simple)
    return Composed(message, _envelope_sender(request, sender.address), recipients)


def _raw(request: SendEmailRequest, data: bytes, hostname: str) -> Composed:
    """Return a given email, with what it lacks (SES: "Raw email")."""
    raw = _LINE_END.sub(b"\r\n", data)  # RFC 5321 § 2.3.8
    raw = raw[first_field(raw) :]  # the first line of a mailbox file is no header
    try:
        header = read_header(raw)
    except HeaderTooLong as error:
        raise InvalidInput(f"Content.Raw.Data: {error}") from None
    if not header.fields or raw[:1] in (b" ", b"\t"):  # what is added would be folded into it
        raise InvalidInput("Content.Raw.Data: an email begins with headers: it has none")
    names = {name.lower() for name, _ in header.fields}
    lines = []
    if request.from_email_address:
        sender = read_mailbox(request.from_email_address, "FromEmailAddress")
        if "from" not in names:
            lines.append(_header("From", sender.header()))
    else:
        sender = _raw_sender(header.values("from"))
    to, cc, bcc = _destination(request.destination)
    named = [*to, *cc, *bcc]
    if not named:
        values = [(name, value) for name, value in header.fields if name.lower() in _TO]
        named = [
            read_mailbox(address, f"Content.Raw.Data: {name}")
            for name, value in values
            for address in _addresses(name, value)
        ]
    recipients = _recipients(named)
    lines += _missing(names, sender.address, hostname)
    message = "".join(lines).encode("ascii") + header.without(raw, frozenset({"bcc"}))
    return Composed(message, _envelope_sender(request, sender.address), recipients)


def _raw_sender(values: Sequence[str]) -> Mailbox:
    addresses = [address for value in values for address in _addresses("From", value)]
    if not addresses:
        raise InvalidInput("FromEmailAddress: give it, or a From header in Content.Raw.Data")
    return read_mailbox(addresses[0], "Content.Raw.Data: From")


def _addresses(name: str, value: str) -> list[str]:
    if len(value) > MOST_RECIPIENTS * LONGEST:
        raise InvalidInput(f"Content.Raw.Data: {name}: Recipient count exceeds {MOST_RECIPIENTS}.")
    try:
        return [mailbox.address for mailbox in mailboxes(value)]
    except UnreadableAddress as error:
        raise InvalidInput(f"Content.Raw.Data: {name}: {error}") from None


def _envelope_sender(request: SendEmailRequest, sender: str) -> str:
    """Return where bounces go."""
    bounces = request.feedback_forwarding_email_address
    return read_mailbox(bounces, "FeedbackForwardingEmailAddress").address if bounces else sender


def _destination(
    given: Destination | None,
) -> tuple[list[Mailbox], list[Mailbox], list[Mailbox]]:
    named = given or Destination()
    return (
        _mailboxes(named.to_addresses, "Destination.ToAddresses"),
        _mailboxes(named.cc_addresses, "Destination.CcAddresses"),
        _mailboxes(named.bcc_addresses, "Destination.BccAddresses"),
    )


def _mailboxes(texts: Iterable[str] | None, member: str) -> list[Mailbox]:
    return [read_mailbox(text, member) for text in texts or ()]


def _recipients(mailboxes: Sequence[Mailbox]) -> tuple[str, ...]:
    if not mailboxes:
        raise InvalidInput("Destination: give at least one recipient")
    if len(mailboxes) > MOST_RECIPIENTS:
        raise InvalidInput(f"Destination: Recipient count exceeds {MOST_RECIPIENTS}.")
    # Local parts may tell letter cases apart, domains do not (RFC 5321 § 2.4).
    once = {(m.address.rpartition("@")[0], domain_of(m.address)): m.address for m in mailboxes}
    return tuple(once.values())


MOST_HEADERS = 100
"""``Headers`` of one email; SES takes 15."""


def check_headers(headers: Sequence[ExtraHeader] | None) -> list[ExtraHeader]:
    """Return ``Headers``. Raises `InvalidInput` for what cannot be given."""
    if len(headers or ()) > MOST_HEADERS:
        raise InvalidInput(f"Headers: there are {len(headers or ())}: give {MOST_HEADERS} at most")
    for each in headers or ():
        lower = each.name.lower()
        if not _HEADER_NAME.fullmatch(each.name):
            raise InvalidInput(f"Headers: {each.name!a} is not the name of a header")
        if lower in _OURS or lower.startswith("content-"):
            raise InvalidInput(f"Headers: {each.name} cannot be given here")
    return list(headers or ())


def _missing(names: Iterable[str], address: str, hostname: str) -> list[str]:
    """Return the headers that every email has, where it has none (RFC 5322 § 3.6)."""
    lines = []
    if "date" not in names:
        lines.append(_header("Date", format_datetime(localtime())))
    if "message-id" not in names:
        domain = domain_of(address)
        lines.append(_header("Message-ID", make_msgid(domain=domain or hostname)))
    return lines


def _header(name: str, value: str) -> str:
    return f"{name}: {value}\r\n"


def _text_header(name: str, text: str, member: str) -> str:
    """Return a header with a text, whatever its characters but controls."""
    if len(text) > TEXT_LIMIT:
        raise InvalidInput(f"{member}: it has more than {TEXT_LIMIT} characters")
    if CONTROL.search(text):
        raise InvalidInput(
            f"{member}: {text!a} holds line breaks or other control characters: take them out"
        )
    return _header(name, text_value(text, len(name) + 2))


def _body(simple: Simple) -> bytes:
    """Return the MIME headers and the parts (RFC 2046 § 5.1)."""
    text, html = simple.body.text, simple.body.html
    if text is None and html is None:
        raise InvalidInput("Body: give Text, Html, or both")
    texts = [_text(text, "plain")] if text is not None else []
    attachments = list(simple.attachments or ())
    if html is not None:
        shown = [a for a in attachments if _is_shown(a)]  # pictures, which belong to it (RFC 2387)
        attachments = [a for a in attachments if a not in shown]
        page = [_text(html, "html"), *map(_attachment, shown)]
        texts.append(multipart("related", page, '; type="text/html"'))  # RFC 2387 § 3.1
    body = multipart("alternative", texts)
    return bytes(whole(multipart("mixed", [body, *map(_attachment, attachments)])))


def _text(given: Text, subtype: str) -> Entity:
    try:
        return text_entity(given.data, subtype, _charset(given))
    except UnicodeError:
        raise InvalidInput(
            f"Body: Charset {given.charset!r} cannot hold the text: use UTF-8"
        ) from None


def _charset(given: Text) -> str:
    """Return the charset that a text is sent in: UTF-8 for those that mail programs do not read."""
    if not given.charset:
        return "utf-8"
    try:
        readable = "\r\nAz".encode(given.charset) == b"\r\nAz" and known(given.charset) is not None
    except (LookupError, ValueError):
        readable = None
    if readable is None or not _CHARSET.fullmatch(given.charset):
        raise InvalidInput(f"Charset: {given.charset!a} is not known: use UTF-8")
    return given.charset.lower() if readable else "utf-8"


def _is_shown(given: Attachment) -> bool:
    return given.content_disposition == "INLINE" and bool(given.content_id)


def _attachment(given: Attachment) -> Entity:
    member = f"Attachments.{given.file_name[:255]!a}"
    for name, attribute, most in _ATTACHMENT_LIMITS:
        text = getattr(given, attribute) or ""
        if len(text) > most:
            raise InvalidInput(f"{member}: {name} has more than {most} characters")
        _check_line(text, member)
    main, sub, parameters = _type(given, member)
    for text in (*parameters, *parameters.values()):  # as RFC 2231 has it, they may be anything
        _check_line(text, member)
    data = given.raw_content
    clean = data.isascii() and b"\0" not in data and not _LONG_LINE.search(data)
    cte = {"QUOTED_PRINTABLE": "quoted-printable", "SEVEN_BIT": "7bit"}.get(
        given.content_transfer_encoding or "", "base64"
    )
    if cte == "7bit" and not clean:
        raise InvalidInput(f"{member}: its content is not SEVEN_BIT: use BASE64")
    if main == "message":  # RFC 2046 § 5.2.1: other encodings are not permitted
        if clean:
            cte = "7bit"
        else:
            main, sub = "application", "octet-stream"
    content_id = (given.content_id or "").strip("<>")
    if not content_id.isascii() or "<" in content_id or ">" in content_id:  # RFC 2045 § 7
        raise InvalidInput(f"{member}: ContentId is no message id: letters, digits, dots and @")
    return attachment_entity(
        data,
        (main, sub),
        parameters,
        encoding=cte,
        name=given.file_name,
        content_id=content_id,
        description=given.content_description or "",
        inline=given.content_disposition == "INLINE",
    )


def _check_line(text: str, member: str) -> None:
    """Raise `InvalidInput` for a text that could not stand in one line of a header."""
    if CONTROL.search(text):
        raise InvalidInput(f"{member}: it holds line breaks or other control characters")


def _type(given: Attachment, member: str) -> tuple[str, str, dict[str, str]]:
    """Return type, subtype and parameters of an attachment."""
    text = given.content_type or mimetypes.guess_type(given.file_name)[0] or ""
    if CONTROL.search(text) or not text.isascii():
        raise InvalidInput(f"{member}: ContentType holds characters that it may not")
    kind, named = parse_type(text or "application/octet-stream")
    found = _MIME_TYPE.fullmatch(kind if "/" in text else text or kind)
    if found is None or found[1].lower() == "multipart":
        raise InvalidInput(f"{member}: ContentType {text!r} is not one of an attachment")
    parameters = {key: value for key, value in named.items() if key != "name"}
    return found[1].lower(), found[2].lower(), parameters
