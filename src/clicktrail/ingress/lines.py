"""The one line that an email leaves in the log, whatever became of it.

``sender`` and ``recipients`` are told only where ``log.addresses`` says so: see
`clicktrail.base.logs`.
"""

import re
from collections.abc import Sequence

from clicktrail.base.logs import get_logger
from clicktrail.errors import (
    ClicktrailError,
    MessageRefused,
    SmarthostRefused,
    SmarthostSilent,
    SmarthostUnavailable,
)
from clicktrail.ingress.submission import Submission
from clicktrail.model import Message, MessageState

log = get_logger(__name__)

_QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")
"""Texts as ``ascii`` writes them."""


def state_after(error: BaseException) -> MessageState:
    """Return what became of an email whose sending ended so."""
    is_answer = isinstance(error, MessageRefused | SmarthostUnavailable)
    # Also where we were stopped while we waited for the answer, nobody knows.
    is_known = is_answer and not isinstance(error, SmarthostSilent)
    return MessageState.REFUSED if is_known else MessageState.UNKNOWN


def sent(submission: Submission, message: Message, answer: tuple[int, str]) -> None:
    """Tell of an email that the smarthost has taken."""
    log.info("email sent on", id=message.id, **_about(submission), answer="{} {}".format(*answer))


def not_sent(submission: Submission, message: Message | None, error: BaseException) -> None:
    """Tell of an email that was not accepted, or, with a ``message``, was not sent on."""
    about = _about(submission) | ({"id": message.id} if message else {})
    if isinstance(error, MessageRefused):
        log.info(_event("email", error), **about, code=error.code, reason=_reason(error))
    elif message is not None and state_after(error) is MessageState.UNKNOWN:
        log.warning("email may have been sent on", **about)
    elif isinstance(error, ClicktrailError):
        log.info("email put off", **about, reason=error)
    else:  # whoever called says more
        log.info("email put off", **about, reason="a fault of ours, or a stop")


def refused(
    client: str, refusal: MessageRefused, sender: str = "", recipients: Sequence[str] = ()
) -> None:
    """Tell of an email, or of a recipient of it, that was refused before all of it was there."""
    log.info(
        _event("recipient" if recipients else "email", refusal),
        client=client,
        code=refusal.code,
        reason=_reason(refusal),
        sender=sender,
        recipients=recipients,
    )


def _reason(refusal: MessageRefused) -> str:
    """Return why, without what the email itself holds: our own replies quote that."""
    if isinstance(refusal, SmarthostRefused):
        return refusal.text
    return _QUOTED.sub("…", refusal.text)


def _event(what: str, refusal: MessageRefused) -> str:
    return f"{what} refused" if refusal.permanent else f"{what} put off"


def _about(submission: Submission) -> dict[str, object]:
    about: dict[str, object] = {
        "client": submission.source_ip,
        "by": submission.protocol,
        "sender": submission.sender,
        "recipients": submission.recipients,
    }
    return about | ({"queue_id": submission.queue_id} if submission.queue_id else {})
