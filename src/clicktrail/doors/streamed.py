"""Answers that are made while they are sent, and may end before they are whole."""

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from clicktrail.base.logs import get_logger
from clicktrail.doors.connections import hang_up
from clicktrail.errors import ClicktrailError

log = get_logger(__name__)


class Streamed(StreamingResponse):
    """An answer whose source may fail (`ClicktrailError`) when its beginning has been sent.

    The client sees it: the connection ends before the last chunk (RFC 9112 § 8).
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        try:
            await super().__call__(scope, receive, send)
        except ClicktrailError as error:
            log.warning("an answer ended before it was whole", path=scope["path"], reason=error)
            hang_up(scope)
