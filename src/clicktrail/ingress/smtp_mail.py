"""One email on its way to the smarthost, from its announcement to the answer to its last byte."""

import asyncio

import structlog

from clicktrail.errors import MessageRefused, SmarthostUnavailable, StoreUnavailable
from clicktrail.ingress.accept import Acceptor, Smarthost, Submission, Transaction
from clicktrail.ingress.smtp_syntax import Announced

log = structlog.get_logger(__name__)

_UNAVAILABLE = 451, "4.4.1 the mail server behind this one cannot be reached: try again later"
_NOT_KEPT = 451, "4.3.0 the email cannot be kept now: try again later"
WRONG = 451, "4.3.0 something went wrong here: try again later"


class Mail:
    """An email that was announced. Its methods return the replies to give over SMTP."""

    def __init__(self, announced: Announced, smarthost: Smarthost) -> None:
        self.announced = announced
        self.recipients: list[str] = []
        self._smarthost = smarthost
        self._transaction: Transaction | None = None
        self._lost = False  # the smarthost went away after it had taken recipients

    async def rcpt(self, address: str) -> tuple[int, str]:
        """Name a recipient to the smarthost; the first one announces the email there."""
        if self._lost:
            return _UNAVAILABLE
        announced = self.announced
        try:
            if self._transaction is None:
                self._transaction = await self._smarthost.begin(
                    announced.sender,
                    body_8bit=announced.body_8bit,
                    smtputf8=announced.smtputf8,
                    size=announced.size,
                )
            answer = await self._transaction.rcpt(address)
        except MessageRefused as refused:
            return _reply(refused)
        except SmarthostUnavailable as error:
            log.warning("smarthost is not available", error=str(error))
            self._transaction = None
            self._lost = bool(self.recipients)
            return _UNAVAILABLE
        self.recipients.append(address)
        return answer

    def not_ready(self) -> tuple[int, str] | None:
        """Return why DATA cannot come now; ``None`` where it can."""
        if self._lost:
            return _UNAVAILABLE
        if not self.recipients:
            return 554, "5.5.1 no valid recipients"  # RFC 2920 § 3.1
        return None

    async def deliver(
        self, acceptor: Acceptor, message: bytes, *, source_ip: str | None, client: str, how: str
    ) -> tuple[int, str]:
        """Have the email accepted and sent on. Never raises but for a cancellation."""
        submission = Submission(
            message=message,
            sender=self.announced.sender,
            recipients=tuple(self.recipients),
            source_ip=source_ip,
            client=client,
            protocol=how,
        )
        try:
            message_id = await self.submit(acceptor, submission)
        except MessageRefused as refused:
            return _reply(refused)
        except SmarthostUnavailable as error:
            log.warning("smarthost is not available", error=str(error))
            return _UNAVAILABLE
        except StoreUnavailable:
            log.exception("email could not be kept")
            return _NOT_KEPT
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
        transaction, self._transaction = self._transaction, None
        if transaction is not None:
            await transaction.abort()


def _reply(refused: MessageRefused) -> tuple[int, str]:
    # RFC 5321 § 3.8: 421 would say that this connection ends; it is the smarthost's that does.
    return 451 if refused.code == 421 else refused.code, refused.text


async def read_message(reader: asyncio.StreamReader, most: int) -> bytes | None:
    """Return the email that follows DATA, byte for byte; ``None`` for one over ``most`` bytes.

    Lines end with CRLF and nothing else (RFC 5321 § 2.3.8): a lone LF never ends the email.
    Raises `asyncio.IncompleteReadError` where the client goes away, `ConnectionAbortedError` for an
    email that does not end.
    """
    wire = bytearray()
    total = 0
    tail = b"\r\n"  # a dot on the very first line ends an empty email
    while tail != b"\r\n.\r\n":
        try:
            part = await reader.readuntil(b".\r\n")
        except asyncio.LimitOverrunError as overrun:
            part = await reader.read(overrun.consumed)
        tail = (tail + part[-5:])[-5:]
        total += len(part)
        if total <= most + most // 2 + 5:  # one byte in three may be a dot that goes
            wire += part
        elif total > 16 * most:
            raise ConnectionAbortedError("the email does not end")
        else:
            wire.clear()
    if total != len(wire):
        return None
    message = bytes(wire[:-3]).replace(b"\r\n.", b"\r\n")  # RFC 5321 § 4.5.2
    message = message.removeprefix(b".")
    return message if len(message) <= most else None
