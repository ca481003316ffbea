"""Where both doors meet: what becomes of an email between its last byte and the answer to it.

It is looked at, rewritten where it is tracked, kept in the store, handed to the smarthost, and
only then is the sender told that it was taken.
"""

import asyncio
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Protocol, TypeVar

import structlog

from clicktrail.base.faults import Faults
from clicktrail.base.ids import new_id, now_us
from clicktrail.base.metrics import Metrics
from clicktrail.errors import ClicktrailError, InvalidInput, MessageRefused
from clicktrail.headers.fields import (
    HeaderSection,
    HeaderTooLong,
    first_field,
    read_header,
    without_fields,
)
from clicktrail.headers.words import decoded_words
from clicktrail.ingress.rewriting import LARGE, Rewriter
from clicktrail.ingress.senders import check_senders, identity_of
from clicktrail.ingress.tags import read_tags
from clicktrail.keys.ringfile import KeyFile
from clicktrail.keys.token import TrackingHosts
from clicktrail.keys.vault import Vault
from clicktrail.model import (
    NAME_LIMIT,
    ConfigurationSet,
    Dkim,
    Identity,
    Message,
    MessageState,
    Tags,
)
from clicktrail.rewrite.warn import about_fields
from clicktrail.store import Store
from clicktrail.store.configuration import Configuration

if TYPE_CHECKING:
    from clicktrail.ingress.dkim import Signer

log = structlog.get_logger(__name__)
T = TypeVar("T")

SET_HEADER = "x-ses-configuration-set"
TAGS_HEADER = "x-ses-message-tags"
CONTROL_HEADERS = frozenset({SET_HEADER, TAGS_HEADER})
"""Headers that are for us and do not go on (lower case)."""

MOST_HOPS = 50
"""More ``Received`` headers than that are a loop (RFC 5321 § 6.3)."""

_THREADS = 4

# A dot alone on a line that begins after a lone CR or LF. Servers that take those for line ends
# would see the end of the email, and read what follows as commands of ours.
_SMUGGLED = re.compile(rb"(?:(?<!\r)\n|\r)\.(?:[\r\n]|\Z)")
_LONE_DOTS = (b"\n.\r", b"\n.\n", b"\r.\r", b"\r.\n")
"""Few emails hold one of these, and looking for them is quick."""


class Transaction(Protocol):
    """An email that has been announced to the smarthost."""

    async def rcpt(self, address: str) -> tuple[int, str]:
        """Name a recipient."""

    async def data(self, message: bytes) -> tuple[int, str]:
        """Send the email; return the answer that takes it over."""

    async def abort(self) -> None:
        """Give the email up."""


class Smarthost(Protocol):
    """Where emails go out."""

    async def begin(
        self, sender: str, *, body_8bit: bool, smtputf8: bool, size: int
    ) -> Transaction:
        """Announce an email."""


class UnknownConfigurationSet(MessageRefused):
    """The email names a configuration set that does not exist (behaviour § 1)."""

    def __init__(self, name: str) -> None:
        super().__init__(554, f"5.6.0 there is no configuration set {name[:NAME_LIMIT]!a}")
        self.name = name


class SendingPaused(MessageRefused):
    """The email's configuration set does not send now (``PutConfigurationSetSendingOptions``)."""

    def __init__(self, name: str) -> None:
        super().__init__(
            550, f"5.7.1 sending is turned off for the configuration set {name!a}: turn it on again"
        )
        self.name = name


@dataclass(frozen=True, slots=True)
class Submission:
    """An email as it came in."""

    message: bytes
    sender: str
    """Envelope sender; ``""`` for the null reverse-path."""
    recipients: tuple[str, ...]
    """Envelope recipients that the smarthost has accepted."""
    source_ip: str | None = None
    client: str = "localhost"
    """What the sender's machine called itself (EHLO)."""
    protocol: str = "ESMTP"
    """How it came in, as in RFC 3848."""
    configuration_set: str | None = None
    """Named outside of the email (``ConfigurationSetName``); it wins over the header."""
    tags: Tags = field(default_factory=dict)
    """Given outside of the email (``EmailTags``)."""
    click_tracking: bool | None = None
    """Says for this email alone whether clicks are tracked; ``None``: its configuration set."""


class Acceptor:
    """Takes emails: `accept` is the whole way from the last byte to the answer.

    ``honeypots`` are the configuration sets whose emails get a hidden link, ``*`` for all.
    ``identities`` says whether senders must belong to an identity: ``yes``, ``no``, or ``auto``,
    which is yes as soon as there is an identity. ``vault`` opens the DKIM keys of identities.
    ``faults`` gets to know why emails go on untracked because of us.
    """

    def __init__(
        self,
        store: Store,
        keys: KeyFile,
        tracking_hosts: TrackingHosts,
        hostname: str,
        metrics: Metrics | None = None,
        honeypots: frozenset[str] = frozenset(),
        identities: str = "no",
        vault: Vault | None = None,
        faults: Faults | None = None,
    ) -> None:
        self._store = store
        self._hostname = hostname
        self._metrics = metrics or Metrics()
        self._rewriter = Rewriter(
            keys, tracking_hosts, self._metrics, self._in_thread, honeypots, faults
        )
        self._identities = identities
        self._vault = vault
        self._signer: Signer | None = None
        self._threads = ThreadPoolExecutor(_THREADS, "accept")

    async def accept(self, submission: Submission, transaction: Transaction) -> str:
        """Send an email on; return its id when the smarthost has taken it. Ends the transaction.

        Raises `MessageRefused` (`SmarthostRefused` in the smarthost's own words),
        `SmarthostUnavailable` and `StoreUnavailable`. Then it was not sent, unless the smarthost
        went away without an answer.
        """
        try:
            message, outgoing = await self._prepare(submission)
            await self._store.messages.add(message)
        except BaseException:
            self._metrics.emails.labels("not-accepted").inc()
            await transaction.abort()
            raise
        try:
            code, text = await transaction.data(outgoing)
        except BaseException:
            self._metrics.emails.labels("refused").inc()
            await self._finish(message, MessageState.REFUSED, ())
            raise
        await self._finish(message, MessageState.SENT, submission.recipients)
        self._metrics.emails.labels("tracked" if message.links else "untracked").inc()
        self._metrics.links.inc(len(message.links))
        log.info("email sent on", id=message.id, answer=f"{code} {text}")
        return message.id

    async def _prepare(self, submission: Submission) -> tuple[Message, bytes]:
        """Return the email as it is kept, and as it goes on."""
        raw = submission.message
        header = _header(raw)
        _check(raw, header)
        configuration = await self._store.configuration.current()
        identity = identity_of(configuration, header, submission.sender)
        named = submission.configuration_set or decoded_words(header.value(SET_HEADER)).strip()
        if self._identities == "yes" or (self._identities == "auto" and configuration.identities):
            check_senders(configuration, header, submission.sender)
        chosen = _configuration_set(configuration, named, identity)
        if chosen is not None and not chosen.sending:
            raise SendingPaused(chosen.name)
        tags, warnings = read_tags(submission.tags, map(decoded_words, header.values(TAGS_HEADER)))
        warnings += about_fields(header.fields)
        if any(name.lower() in CONTROL_HEADERS for name, _ in header.fields):
            raw = without_fields(raw, CONTROL_HEADERS)
        accepted_at = now_us()
        message_id = new_id(accepted_at)
        rewritten = await self._rewriter.rewrite(
            raw, message_id, chosen, len(submission.recipients), submission.click_tracking
        )
        outgoing, more = _without_broken_signatures(submission.message, rewritten.message, header)
        warnings += [*rewritten.warnings, *more]
        if identity is not None and identity.dkim is not None and identity.dkim.enabled:
            outgoing, more = await self._signed(outgoing, identity, identity.dkim)
            warnings += more
        message = Message(
            id=message_id,
            accepted_at=accepted_at,
            source=submission.sender,
            recipients=submission.recipients,
            identity=identity,
            configuration_set=chosen.name if chosen else None,
            source_ip=submission.source_ip,
            headers=tuple(h for h in header.fields if h[0].lower() not in CONTROL_HEADERS),
            tags=tags,
            reason=rewritten.reason,
            links=rewritten.links,
            warnings=tuple(warnings),
            html=rewritten.html,
        )
        return message, _on_top(self._received(submission, message), outgoing)

    async def _signed(self, raw: bytes, identity: Identity, key: Dkim) -> tuple[bytes, list[str]]:
        """Return the email with a DKIM signature, or why it has none.

        Raises `MessageRefused`: an email that should be signed does not go on unsigned because of
        a fault here, which would make receivers distrust its domain.
        """
        from clicktrail.ingress.dkim import NotSignable, Signer  # noqa: PLC0415 - few sign

        try:
            if self._signer is None:
                if self._vault is None:
                    raise InvalidInput("there is no vault here that opens DKIM keys")
                self._signer = Signer(self._vault)
            if len(raw) > LARGE:
                signing = partial(self._signer.signature, raw, identity, key)
                signature = await self._in_thread(signing)
            else:
                signature = self._signer.signature(raw, identity, key)
        except NotSignable as error:
            return raw, [str(error)]
        except ClicktrailError as error:
            log.error("email could not be signed", identity=identity.name, reason=error)
            raise MessageRefused(451, "4.7.5 this email cannot be signed now") from None
        return _on_top(signature, raw), []

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def _received(self, submission: Submission, message: Message) -> bytes:
        """Return the trace header (RFC 5321 § 4.4)."""
        address = submission.source_ip or ""
        literal = f" ([{'IPv6:' if ':' in address else ''}{address}])" if address else ""
        client = _printable(submission.client)
        date = _date(message.accepted_at // 1_000_000)
        return (
            f"Received: from {client}{literal}\r\n"
            f"\tby {self._hostname} (Clicktrail) with {submission.protocol} id {message.id};\r\n"
            f"\t{date}\r\n"
        ).encode()

    async def _finish(
        self, message: Message, state: MessageState, recipients: tuple[str, ...]
    ) -> None:
        """Keep how it ended. What the smarthost said stands, even if that cannot be kept."""
        try:
            await self._store.messages.finish(message.id, state, recipients, now_us())
        except Exception:  # the sender must not send again what the smarthost has
            log.exception("how an email ended could not be kept", id=message.id, state=state.value)


def _header(raw: bytes) -> HeaderSection:
    try:
        return read_header(raw)
    except HeaderTooLong as error:
        raise MessageRefused(552, f"5.3.4 {error}: this is no email") from None


def _check(raw: bytes, header: HeaderSection) -> None:
    if len(header.fields) > MOST_HOPS and len(header.values("received")) > MOST_HOPS:
        raise MessageRefused(554, "5.4.6 too many hops: this email goes round in circles")
    suspect = raw.endswith((b"\n.", b"\r.")) or any(each in raw for each in _LONE_DOTS)
    if suspect and _SMUGGLED.search(raw):
        raise MessageRefused(554, "5.6.0 a lone dot after a lone CR or LF cannot be sent on safely")


def _configuration_set(
    configuration: Configuration, named: str | None, identity: Identity | None
) -> ConfigurationSet | None:
    """Return the configuration set, in the order of behaviour § 1."""
    if named:
        found = configuration.sets.get(named)
        if found is None:
            raise UnknownConfigurationSet(named)
        return found
    bound = identity.configuration_set if identity else None
    return configuration.sets.get(bound) if bound else None


def _on_top(header: bytes, raw: bytes) -> bytes:
    """Return the email with one header more."""
    at = first_field(raw)  # the line of a mailbox file stays the first
    return raw[:at] + header + raw[at:] if at else header + raw


def _without_broken_signatures(
    before: bytes, after: bytes, header: HeaderSection
) -> tuple[bytes, list[str]]:
    """Return the email without the DKIM signatures that no longer fit it, and what was removed.

    They do not where the body was changed, or where they sign a header that has been for us.
    """
    given = header.values("dkim-signature")
    if not given or before == after:
        return after, []
    changed = not before.endswith(after[after.find(b"\r\n\r\n") :])
    if not changed and not any("x-ses-" in value.lower() for value in given):
        return after, []
    why = "the links of the email were rewritten" if changed else "a header it signs was removed"
    return without_fields(after, frozenset({"dkim-signature"})), [
        f"{len(given)} DKIM-Signature removed: {why}"
    ]


@lru_cache(maxsize=2)
def _date(seconds: int) -> str:
    """Return a time as a date of RFC 5322 § 3.3."""
    return format_datetime(datetime.fromtimestamp(seconds, UTC))


def _printable(text: str) -> str:
    """Return a name as a header can hold it: what a client calls itself is not to be trusted."""
    kept = "".join(c for c in text[:255] if "!" <= c <= "~" and c not in '()<>;\\"')
    return kept or "unknown"
