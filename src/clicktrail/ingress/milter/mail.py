"""An email between its end and the answer to the mail server."""

from collections.abc import Callable, Sequence

from clicktrail.base.logs import get_logger
from clicktrail.errors import MessageRefused, SmarthostUnavailable, StoreUnavailable
from clicktrail.ingress import lines
from clicktrail.ingress.accept import Acceptor
from clicktrail.ingress.milter.dialogue import Email
from clicktrail.ingress.milter.edits import edits, joined
from clicktrail.ingress.milter.protocol import CONTINUE, refusal
from clicktrail.ingress.replies import NOT_KEPT, WRONG, code_for_sender
from clicktrail.ingress.submission import Submission
from clicktrail.model import Recipient, Reply

log = get_logger(__name__)

Write = Callable[[bytes], bool]
"""Writes to the mail server; ``False`` where it has gone."""


class Answer:
    """The `Transaction` of an email that a mail server sends on: it is told what to change."""

    takes_8bit = True  # as it came through it; what the next server takes is not told here

    def __init__(self, email: Email, body: bytes, write: Write, *, spaced: bool) -> None:
        self._email = email
        self._body = body
        self._write = write
        self._spaced = spaced

    async def rcpt(self, recipients: Sequence[Recipient]) -> list[Reply]:
        """See `Transaction.rcpt`: recipients are the mail server's."""
        return [(250, "2.1.5 Ok")] * len(recipients)

    async def data(self, message: bytes) -> Reply:
        """Have the mail server send the email on as it is in ``message``.

        Raises `SmarthostUnavailable` where the mail server has gone.
        """
        changes = edits(self._email.fields, self._body, message, spaced=self._spaced)
        if not self._write(b"".join((*changes, CONTINUE))):
            raise SmarthostUnavailable("the mail server has gone before the answer")
        return 250, "2.0.0 Ok, the mail server goes on"

    async def abort(self) -> None:
        """See `Transaction.abort`: nothing was begun."""


async def answer(
    acceptor: Acceptor,
    email: Email,
    write: Write,
    *,
    spaced: bool,
    exempt: bool,
    pass_without_store: bool,
) -> None:
    """Have an email accepted, and tell the mail server. Never raises but for a cancellation.

    ``spaced`` is of `edits`, ``exempt`` of `Submission`; ``pass_without_store`` tells what becomes
    of emails where the store is away.
    """
    if email.refusal is not None:
        refused = MessageRefused(*email.refusal)
        lines.refused(email.client_address, refused, email.sender)
        write(refusal(*email.refusal))
        return
    if not email.kept:
        write(CONTINUE)
        return
    try:
        await _accept(acceptor, email, write, spaced=spaced, exempt=exempt)
    except MessageRefused as refused:
        write(refusal(code_for_sender(refused.code), refused.text))
    except SmarthostUnavailable:
        pass  # it has gone: nobody listens any more
    except StoreUnavailable as error:
        if pass_without_store:
            log.warning("email passes untouched", queue_id=email.queue_id, reason=error)
            write(CONTINUE)
        else:
            log.exception("email could not be kept")
            write(refusal(*NOT_KEPT))
    except Exception:
        log.exception("email could not be taken")
        write(refusal(*WRONG))


async def _accept(
    acceptor: Acceptor, email: Email, write: Write, *, spaced: bool, exempt: bool
) -> None:
    body = bytes(email.body)
    submission = Submission(
        message=joined(email.fields) + body,
        sender=email.sender,
        recipients=tuple(email.recipients),
        source_ip=email.client_address or None,
        protocol="milter",
        traced=False,
        exempt=exempt,
        queue_id=email.queue_id,
    )
    await acceptor.accept(submission, Answer(email, body, write, spaced=spaced))
