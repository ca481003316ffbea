"""Where both doors meet: what becomes of an email between its last byte and the answer to it.

It is looked at, rewritten where it is tracked, kept in the store, handed to the smarthost, and
only then is the sender told that it was taken.
"""

import asyncio
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import format_datetime, getaddresses, parseaddr
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Protocol

import structlog

from clicktrail.errors import ClicktrailError, InvalidInput, MessageRefused
from clicktrail.ids import new_id, now_us
from clicktrail.keyfile import KeyFile
from clicktrail.metrics import Metrics
from clicktrail.model import (
    ConfigurationSet,
    Dkim,
    Header,
    HttpsPolicy,
    Identity,
    Message,
    MessageState,
    Reason,
    Tags,
)
from clicktrail.rewrite import Policy, Rewritten, rewrite_message
from clicktrail.rewrite.mime import headers_of, without_headers
from clicktrail.store import Store
from clicktrail.store.configuration import Configuration
from clicktrail.store.html import place_of
from clicktrail.token import TrackingHosts
from clicktrail.vault import Vault

if TYPE_CHECKING:
    from clicktrail.ingress.dkim import Signer

log = structlog.get_logger(__name__)

SET_HEADER = "x-ses-configuration-set"
TAGS_HEADER = "x-ses-message-tags"
CONTROL_HEADERS = frozenset({SET_HEADER, TAGS_HEADER})
"""Headers that are for us and do not go on (lower case)."""

MOST_HOPS = 50
"""More ``Received`` headers than that are a loop (RFC 5321 § 6.3)."""

LARGE = 256 * 1024
"""Emails of more bytes are rewritten in a thread, so that others need not wait."""

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
        super().__init__(554, f"5.6.0 there is no configuration set {name!a}")
        self.name = name


class SendingPaused(MessageRefused):
    """The email's configuration set does not send now (``PutConfigurationSetSendingOptions``)."""

    def __init__(self, name: str) -> None:
        super().__init__(
            550, f"5.7.1 sending is turned off for the configuration set {name!a}: turn it on again"
        )
        self.name = name


class UnknownSender(MessageRefused):
    """The email is sent in the name of an address that belongs to no identity."""

    def __init__(self, address: str) -> None:
        super().__init__(
            553,
            f"5.7.1 {address!a} belongs to no identity: make one for it or its domain"
            " (clicktrail identity create)",
        )
        self.address = address


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
    ) -> None:
        self._store = store
        self._keys = keys
        self._hosts = tracking_hosts
        self._hostname = hostname
        self._metrics = metrics or Metrics()
        self._honeypots = honeypots
        self._identities = identities
        self._vault = vault
        self._signer: Signer | None = None

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
        headers = headers_of(raw)
        _check(raw, headers)
        configuration = await self._store.configuration.current()
        identity = _identity(configuration, headers, submission.sender)
        named = submission.configuration_set or _value(headers, SET_HEADER)
        if self._identities == "yes" or (self._identities == "auto" and configuration.identities):
            _check_senders(configuration, headers, submission.sender)
        chosen = _configuration_set(configuration, named, identity)
        if chosen is not None and not chosen.sending:
            raise SendingPaused(chosen.name)
        tags, warnings = _tags(submission.tags, _values(headers, TAGS_HEADER))
        if any(name.lower() in CONTROL_HEADERS for name, _ in headers):
            raw = without_headers(raw, CONTROL_HEADERS)
        accepted_at = now_us()
        message_id = new_id(accepted_at)
        rewritten = await self._rewrite(raw, message_id, chosen, submission)
        outgoing, more = _without_broken_signatures(submission.message, rewritten.message, headers)
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
            headers=tuple(h for h in headers if h[0].lower() not in CONTROL_HEADERS),
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
                signature = await asyncio.to_thread(self._signer.signature, raw, identity, key)
            else:
                signature = self._signer.signature(raw, identity, key)
        except NotSignable as error:
            return raw, [str(error)]
        except ClicktrailError as error:
            log.error("email could not be signed", identity=identity.name, reason=str(error))
            raise MessageRefused(451, "4.7.5 this email cannot be signed now") from None
        return _on_top(signature, raw), []

    async def _rewrite(
        self,
        raw: bytes,
        message_id: str,
        chosen: ConfigurationSet | None,
        submission: Submission,
    ) -> Rewritten:
        if chosen is None or not _wanted(submission.click_tracking, chosen):
            return _untouched(raw, Reason.OFF)
        if len(submission.recipients) != 1:
            return _untouched(raw, Reason.SEVERAL_RECIPIENTS)
        policy = self._policy(message_id, chosen)
        made: dict[int, str] = {}
        if chosen.keep_html:
            policy = replace(policy, link=_remembering(policy.link, made))
        started = time.perf_counter()
        try:
            work = partial(rewrite_message, raw, policy, keep_html=chosen.keep_html)
            rewritten = await asyncio.to_thread(work) if len(raw) > LARGE else work()
        except ClicktrailError:
            raise
        except Exception:  # an email is never dropped for what we cannot read (behaviour § 4)
            log.exception("email could not be rewritten: it goes on untouched", id=message_id)
            return _untouched(raw, Reason.UNPARSABLE)
        finally:
            self._metrics.rewrite.observe(time.perf_counter() - started)
        if not rewritten.html:
            return rewritten
        return replace(rewritten, html=tuple(_without_tokens(p, made) for p in rewritten.html))

    def _policy(self, message_id: str, chosen: ConfigurationSet) -> Policy:
        ring = self._keys.ring()
        seal = ring.sealer(message_id).seal
        prefix = _prefix(self._hosts, chosen)
        return Policy(
            link=lambda index, url: prefix(url) + seal(index, url),
            is_own=ring.is_tracking_link,
            honeypot=not self._honeypots.isdisjoint((chosen.name, "*")),
        )

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


def _check(raw: bytes, headers: tuple[Header, ...]) -> None:
    if len(headers) > MOST_HOPS and len(_values(headers, "received")) > MOST_HOPS:
        raise MessageRefused(554, "5.4.6 too many hops: this email goes round in circles")
    suspect = raw.endswith((b"\n.", b"\r.")) or any(each in raw for each in _LONE_DOTS)
    if suspect and _SMUGGLED.search(raw):
        raise MessageRefused(554, "5.6.0 a lone dot after a lone CR or LF cannot be sent on safely")


def _identity(
    configuration: Configuration, headers: tuple[Header, ...], sender: str
) -> Identity | None:
    """Return who sends: the identity of the From header's address, else of the envelope's."""
    found = None
    if value := _value(headers, "from"):
        found = configuration.identity_for(_address_of(value))
    return found or configuration.identity_for(sender)


def _check_senders(configuration: Configuration, headers: tuple[Header, ...], sender: str) -> None:
    """Raise `UnknownSender` where an address in From, or the envelope's, has no identity.

    The null reverse-path, with which bounces are sent (RFC 5321 § 4.5.5), is nobody's.
    """
    named = _values(headers, "from")
    addresses = [address for _, address in getaddresses(named)]
    if named and not any(addresses):
        raise UnknownSender(named[0][:320])
    for address in (*addresses, sender):
        if address and configuration.identity_for(address) is None:
            raise UnknownSender(address)


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


def _tags(given: Tags, values: Iterable[str]) -> tuple[Tags, list[str]]:
    """Return the email's tags (``k=v, k2=v2``) and what was wrong with them."""
    tags = {name: list(some) for name, some in given.items()}
    warnings = []
    for piece in (p.strip() for value in values for p in value.split(",")):
        name, equals, value = (part.strip() for part in piece.partition("="))
        if equals and name:
            tags.setdefault(name, []).append(value)
        elif piece:
            warnings.append(f"email tag {piece!r} is not name=value: it was dropped")
    return tags, warnings


def _wanted(override: bool | None, chosen: ConfigurationSet) -> bool:
    return chosen.click_tracking if override is None else override


def _prefix(hosts: TrackingHosts, chosen: ConfigurationSet) -> Callable[[str], str]:
    if chosen.redirect_domain:
        own = chosen.redirect_domain
        hosts = TrackingHosts(own, own, hosts.scheme)
    policy: HttpsPolicy = chosen.https_policy
    return lambda url: hosts.prefix(url, policy)


def _remembering(
    link: Callable[[int, str], str], made: dict[int, str]
) -> Callable[[int, str], str]:
    def remembering(index: int, url: str) -> str:
        made[index] = link(index, url)
        return made[index]

    return remembering


def _without_tokens(html: str, made: dict[int, str]) -> str:
    """Return HTML in which links are places to point at: whoever looks at it clicks nothing."""
    for index, url in made.items():
        html = html.replace(url, place_of(index))
    return html


def _on_top(header: bytes, raw: bytes) -> bytes:
    """Return the email with one header more."""
    # A line "From …" of a mailbox file is no header: it stays the first.
    at = raw.find(b"\n") + 1 if raw.startswith(b"From ") else 0
    return raw[:at] + header + raw[at:] if at else header + raw


def _without_broken_signatures(
    before: bytes, after: bytes, headers: tuple[Header, ...]
) -> tuple[bytes, list[str]]:
    """Return the email without the DKIM signatures that no longer fit it, and what was removed.

    They do not where the body was changed, or where they sign a header that has been for us.
    """
    given = _values(headers, "dkim-signature")
    if not given or before == after:
        return after, []
    changed = not before.endswith(after[after.find(b"\r\n\r\n") :])
    if not changed and not any("x-ses-" in value.lower() for value in given):
        return after, []
    why = "the links of the email were rewritten" if changed else "a header it signs was removed"
    return without_headers(after, frozenset({"dkim-signature"})), [
        f"{len(given)} DKIM-Signature removed: {why}"
    ]


def _untouched(raw: bytes, reason: Reason) -> Rewritten:
    return Rewritten(message=raw, links=(), reason=reason, warnings=())


def _values(headers: tuple[Header, ...], name: str) -> list[str]:
    return [value.strip() for given, value in headers if given.lower() == name]


def _value(headers: tuple[Header, ...], name: str) -> str:
    return next(iter(_values(headers, name)), "")


@lru_cache(maxsize=256)
def _address_of(value: str) -> str:
    """Return the address of a From header: senders are few, and the parser is slow."""
    return parseaddr(value)[1]


@lru_cache(maxsize=2)
def _date(seconds: int) -> str:
    """Return a time as a date of RFC 5322 § 3.3."""
    return format_datetime(datetime.fromtimestamp(seconds, UTC))


def _printable(text: str) -> str:
    """Return a name as a header can hold it: what a client calls itself is not to be trusted."""
    kept = "".join(c for c in text[:255] if "!" <= c <= "~" and c not in '()<>;\\"')
    return kept or "unknown"
