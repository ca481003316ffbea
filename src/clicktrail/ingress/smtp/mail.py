"""One email on its way to the smarthost, from its announcement to the answer to its last byte."""

from collections.abc import Awaitable, Callable, Sequence

from clicktrail.base.logs import get_logger
from clicktrail.errors import (
    MessageRefused,
    SmarthostBusy,
    SmarthostRefused,
    SmarthostSilent,
    SmarthostUnavailable,
    StoreUnavailable,
)
from clicktrail.ingress import lines
from clicktrail.ingress.accept import Acceptor
from clicktrail.ingress.replies import NOT_KEPT, WRONG, code_for_sender
from clicktrail.ingress.smtp.intake import Intake
from clicktrail.ingress.submission import Smarthost, Submission, Transaction
from clicktrail.model import Envelope, Recipient, Reply

log = get_logger(__name__)

_UNAVAILABLE = 451, "4.4.1 the mail server behind this one cannot be reached: try again later"
_BUSY = (  # RFC 3463 § 3.5: mail system congestion
    451,
    "4.4.5 all connections to the mail server behind this one are in use: try again later",
)
_SILENT = (
    451,
    "4.4.2 the mail server behind this one has the email and did not answer: it may have sent it;"
    " trying again may send it twice",
)


class Mail:
    """An email that was announced. Its methods return the replies to give over SMTP."""

    def __init__(self, envelope: Envelope, smarthost: Smarthost, client: str = "") -> None:
        self.envelope = envelope
        self._client = client
        self.recipients: list[str] = []
        self.intake: Intake | None = None
        """What has come of it, as soon as something may have."""
        self._smarthost = smarthost
        self._transaction: Transaction | None = None
        self._lost: Reply | None = None
        """Why it cannot go on, though recipients were taken."""

    async def rcpt(self, address: str, dsn: tuple[str, ...] = ()) -> Reply:
        """Name a recipient to the smarthost; the first one announces the email there."""
        [reply] = await self.rcpt_all([Recipient(address, dsn)])
        return reply

    async def rcpt_all(self, recipients: Sequence[Recipient]) -> list[Reply]:
        """Name recipients to the smarthost, at once where it takes them so."""
        if self._lost is not None:
            return [self._lost] * len(recipients)
        try:
            if self._transaction is None:
                self._transaction = await self._smarthost.begin(self.envelope)
            answers = await self._transaction.rcpt(recipients)
        except MessageRefused as refused:
            return self._end(recipients, refused)
        except SmarthostUnavailable as error:
            log.warning("smarthost is not available", error=error)
            return self._end(recipients, MessageRefused(*why(error)))
        for recipient, answer in zip(recipients, answers, strict=True):
            if answer[0] < 400:
                self.recipients.append(recipient.address)
            else:
                self._refused([recipient], SmarthostRefused(*answer))
        return [(code_for_sender(code), text) for code, text in answers]

    def _end(self, recipients: Sequence[Recipient], refused: MessageRefused) -> list[Reply]:
        """Answer the end of the transaction; where it has taken nobody, the next one asks anew."""
        self._transaction = None
        if self.recipients:
            self._lost = _reply(refused)
        return self._refused(recipients, refused)

    def _refused(self, recipients: Sequence[Recipient], refused: MessageRefused) -> list[Reply]:
        for address, _ in recipients:
            lines.refused(self._client, refused, self.envelope.sender, (address,))
        return [_reply(refused)] * len(recipients)

    def not_ready(self) -> tuple[int, str] | None:
        """Return why DATA cannot come now; ``None`` where it can."""
        if self._lost is not None:
            return self._lost
        if not self.recipients:
            return 554, "5.5.1 no valid recipients"  # RFC 2920 § 3.1
        return None

    async def deliver(
        self,
        acceptor: Acceptor,
        message: bytes,
        *,
        source_ip: str | None,
        client: str,
        how: str,
        exempt: bool = False,
        may_still: Callable[[int], Awaitable[None]] | None = None,
    ) -> tuple[int, str]:
        """Have the email accepted and sent on. Never raises but for a cancellation."""
        submission = Submission(
            message=message,
            sender=self.envelope.sender,
            recipients=tuple(self.recipients),
            source_ip=source_ip,
            client=client,
            protocol=how,
            exempt=exempt,
            may_still=may_still,
        )
        try:
            message_id = await self.submit(acceptor, submission)
        except MessageRefused as refused:
            return _reply(refused)
        except SmarthostUnavailable as error:
            log.warning("smarthost is not available", error=error)
            return why(error)
        except StoreUnavailable:
            log.exception("email could not be kept")
            return NOT_KEPT
        except Exception:
            log.exception("email could not be taken")
            return WRONG
        return 250, f"2.0.0 Ok {message_id}"

    async def submit(self, acceptor: Acceptor, submission: Submission) -> str:
        """Have the email accepted and sent on; return its id. Raises as `Acceptor.accept` does."""
        transaction, self._transaction = self._transaction, None
        if transaction is None:
            raise SmarthostUnavailable("the connection to the smarthost is gone")
        return await acceptor.accept(submission, transaction)

    async def abort(self) -> None:
        """Give the email up."""
        if self.intake is not None:
            self.intake.close()
        transaction, self._transaction = self._transaction, None
        if transaction is not None:
            await transaction.abort()


def why(error: SmarthostUnavailable) -> Reply:
    """Return the reply to an email that cannot be handed on."""
    if isinstance(error, SmarthostSilent):
        return _SILENT
    return _BUSY if isinstance(error, SmarthostBusy) else _UNAVAILABLE


def _reply(refused: MessageRefused) -> tuple[int, str]:
    return code_for_sender(refused.code), refused.text
