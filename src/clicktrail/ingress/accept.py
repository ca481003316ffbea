"""The way of an email between its last byte and the answer to it; all doors meet here.

It is looked at, rewritten where it is tracked, kept in the store, handed to the smarthost, and
only then is the sender told that it was taken.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from clicktrail.base.faults import Faults
from clicktrail.base.ids import new_id, now_us
from clicktrail.base.logs import get_logger
from clicktrail.base.metrics import Metrics
from clicktrail.errors import MessageRefused
from clicktrail.headers.words import decoded_words
from clicktrail.ingress import lines
from clicktrail.ingress.choice import choose
from clicktrail.ingress.inspection import inspect
from clicktrail.ingress.options.lists import (
    LIST_HEADER,
    NO_HTTPS,
    ONE_RECIPIENT,
    TOO_LONG,
    Leaving,
    list_options,
    unsubscribe_fields,
)
from clicktrail.ingress.options.tags import read_tags
from clicktrail.ingress.recipients.refusals import Email, Refusals, Suppression
from clicktrail.ingress.recipients.unsubscribed import NotSubscribed
from clicktrail.ingress.rewriting import LARGE, Rewriter
from clicktrail.ingress.senders import identity_of
from clicktrail.ingress.signatures import Signatures
from clicktrail.ingress.submission import Submission, Transaction
from clicktrail.ingress.trace import on_top, received
from clicktrail.keys.ringfile import KeyFile
from clicktrail.keys.token import TrackingHosts
from clicktrail.keys.vault import Vault
from clicktrail.model import Message, MessageState, Subscription
from clicktrail.rewrite.mime.seven_bit import NotConvertible, seven_bit
from clicktrail.rewrite.unsubscribe import with_unsubscribe_url
from clicktrail.rewrite.warn import about_fields
from clicktrail.rules.links import APPENDED_LIMIT
from clicktrail.rules.matching import readers_first
from clicktrail.rules.recipients import ADDRESS_LIMIT
from clicktrail.rules.wishes import TRACK_HEADER, allowed_by
from clicktrail.store import Store

log = get_logger(__name__)
T = TypeVar("T")

SET_HEADER = "x-ses-configuration-set"
TAGS_HEADER = "x-ses-message-tags"
CONTROL_HEADERS = frozenset({SET_HEADER, TAGS_HEADER, LIST_HEADER, TRACK_HEADER})
"""Headers that are for us and do not go on (lower case)."""

_THREADS = 4


@dataclass(frozen=True, slots=True)
class Prepared:
    """An email as it is kept, and as it goes on."""

    message: Message
    outgoing: bytes


class Acceptor:
    """Takes emails: `accept` is the whole way from the last byte to the answer.

    ``honeypots`` are the configuration sets whose emails get a hidden link, ``*`` for all.
    ``identities`` says whether senders must belong to an identity: ``yes``, ``no``, or ``auto``,
    which is yes as soon as there is an identity. ``vault`` opens the DKIM keys of identities.
    ``faults`` gets to know why emails go on untracked because of us. With ``seven_bit`` all emails
    go on in 7 bits, also where the smarthost takes 8. ``max_size`` is that of emails, in bytes.
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
        *,
        seven_bit: bool = False,
        max_size: int = APPENDED_LIMIT,
    ) -> None:
        self._store = store
        self._seven_bit = seven_bit
        self._hostname = hostname
        self._identities = identities
        self._metrics = metrics or Metrics()
        self._rewriter = Rewriter(
            keys, tracking_hosts, self._metrics, self._in_thread, honeypots, faults, max_size
        )
        self._signatures = Signatures(vault, self._in_thread)
        self._suppression = Suppression(store.suppression)
        self._refusals = Refusals([self._suppression, NotSubscribed(store.unsubscribed)])
        self._threads = ThreadPoolExecutor(_THREADS, "accept")

    async def accept(self, submission: Submission, transaction: Transaction) -> str:
        """Send an email on; return its id when the smarthost has taken it. Ends the transaction.

        Raises `MessageRefused` (`SmarthostRefused` in the smarthost's own words),
        `SmarthostUnavailable` and `StoreUnavailable`. Then it was not sent, but for
        `SmarthostSilent`: nobody knows.
        """
        try:
            convert = self._seven_bit or not transaction.takes_8bit
            prepared = await self._prepare(submission, convert=convert)
            await self._store.messages.add(prepared.message)
        except BaseException as error:
            self._metrics.emails.labels("not-accepted").inc()
            lines.not_sent(submission, None, error)
            await transaction.abort()
            raise
        message = prepared.message
        try:
            answer = await transaction.data(prepared.outgoing)
        except BaseException as error:
            lines.not_sent(submission, message, error)
            await self._end(message, lines.state_after(error))
            raise
        await self._finish(message, MessageState.SENT, message.recipients)
        self._count(message)
        lines.sent(submission, message, answer)
        return message.id

    async def check_recipient(self, address: str) -> None:
        """Raise `RecipientRefused` for who gets no email at all, before there is one.

        Raises `StoreUnavailable`.
        """
        configuration = self._store.configuration
        # Of a list that was empty a moment ago nobody is told here, but when the email is there.
        if configuration.seen.version < 0 or configuration.seen.suppresses:
            await self._suppression.anywhere(address, await configuration.current())

    async def _prepare(self, submission: Submission, *, convert: bool) -> Prepared:
        """Say who sends it and for which configuration set; rewrite, convert and sign it."""
        header = inspect(submission.message)
        configuration = await self._store.configuration.current()
        if submission.may_still is not None:
            await submission.may_still(configuration.version)
        required = "no" if submission.exempt else self._identities
        identity = identity_of(configuration, header, submission.sender, required)
        named = submission.configuration_set or decoded_words(header.value(SET_HEADER)).strip()
        chosen = choose(configuration, named, identity)
        options = list_options(submission, header)
        email = Email(submission, header, configuration, chosen, options)
        await self._refusals.check(email)
        tags, wrong = read_tags(submission.tags, map(decoded_words, header.values(TAGS_HEADER)))
        theirs = [field for field in header.fields if field[0].lower() not in CONTROL_HEADERS]
        raw = submission.message
        if len(theirs) < len(header.fields):
            raw = header.without(raw, CONTROL_HEADERS)
        accepted_at = now_us()
        message_id = new_id(accepted_at)
        recipients, readers = submission.recipients, len(submission.recipients)
        if readers > 1 and chosen is not None and chosen.rules.archives:
            recipients, readers = readers_first(recipients, chosen.rules.archives)
        reader = recipients[0] if readers == 1 else None
        leaving = await self._let_leave(raw, email, reader, message_id)
        allowed = allowed_by(header.values(TRACK_HEADER))
        spared = False
        if configuration.spares and reader is not None:
            spared = await self._store.do_not_track.has(reader)
        rewritten = await self._rewriter.rewrite(
            leaving.raw,
            message_id,
            chosen,
            readers,
            header,
            tags,
            submission.click_tracking,
            submission.open_tracking,
            allowed,
            reader=recipients[0] if recipients else "",
            spared=spared,
        )
        outgoing, converted = on_top(leaving.fields, rewritten.message), False
        if convert:  # before it is signed, or the signature would not hold (RFC 6376 § 5.3)
            whole, outgoing = outgoing, await self._in_seven_bits(outgoing)
            converted = outgoing != whole
        signed, unsigned = await self._signatures.renew(
            submission.message, outgoing, header, identity, converted=converted
        )
        message = Message(
            id=message_id,
            accepted_at=accepted_at,
            source=submission.sender,
            recipients=recipients,
            identity=identity,
            configuration_set=chosen.name if chosen else None,
            source_ip=submission.source_ip,
            headers=tuple(theirs),
            tags=tags,
            reason=rewritten.reason,
            links=rewritten.links,
            warnings=(
                *wrong,
                *leaving.warnings,
                *allowed.warnings,
                *about_fields(header.fields),
                *rewritten.warnings,
                *unsigned,
            ),
            # Whoever looks at it unsubscribes nobody.
            html=tuple(
                part.replace(leaving.link, "#") if leaving.link else part for part in rewritten.html
            ),
        )
        if submission.traced:
            signed = on_top(received(submission, self._hostname, message_id, accepted_at), signed)
        return Prepared(message, signed)

    async def _let_leave(
        self, raw: bytes, email: Email, reader: str | None, message_id: str
    ) -> Leaving:
        """Add the link by which the only reader of an email unsubscribes from its contact list."""
        if email.options is None:
            return Leaving(raw)
        if reader is None:
            return Leaving(raw, warnings=(ONE_RECIPIENT,))
        if len(reader) > ADDRESS_LIMIT:
            return Leaving(raw, warnings=(TOO_LONG,))
        subscription = Subscription(*email.options, reader)
        link = self._rewriter.unsubscribe_link(message_id, email.chosen, subscription)
        raw = await self._in_thread(partial(with_unsubscribe_url, raw, link))
        fields = unsubscribe_fields(email.header, link)
        is_unsafe = fields and not link.startswith("https:")
        return Leaving(raw, fields, link, (NO_HTTPS,) if is_unsafe else ())

    async def _in_seven_bits(self, raw: bytes) -> bytes:
        """Convert an email for a server that takes no other. Raises `MessageRefused`."""
        try:
            if len(raw) > LARGE:
                return await self._in_thread(partial(seven_bit, raw))
            return seven_bit(raw)
        except NotConvertible as error:
            # RFC 3463 § 3.7: conversion required but not supported
            who = "smarthost.seven_bit" if self._seven_bit else "the mail server behind this one"
            raise MessageRefused(
                554, f"5.6.3 {who} wants 7 bits, in which this email cannot be sent: {error}"
            ) from None

    async def _end(self, message: Message, state: MessageState) -> None:
        self._metrics.emails.labels(state.value).inc()
        recipients = message.recipients if state is MessageState.UNKNOWN else ()
        await self._finish(message, state, recipients)

    async def _finish(
        self, message: Message, state: MessageState, recipients: tuple[str, ...]
    ) -> None:
        """Keep how it ended. What the smarthost said stands, even if that cannot be kept."""
        try:
            await self._store.messages.finish(message.id, state, recipients, now_us())
        except Exception:  # the sender must not send again what the smarthost has
            log.exception("how an email ended could not be kept", id=message.id, state=state.value)

    def _count(self, message: Message) -> None:
        self._metrics.emails.labels("tracked" if message.links else "untracked").inc()
        self._metrics.links.inc(len(message.links))

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)
