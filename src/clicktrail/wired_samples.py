"""Sends the set-up guide's email: a part of the composition root.

What that needs is loaded when it is asked for: few installations need it, and once.
"""

# ruff: noqa: PLC0415 - see above

from collections.abc import Callable
from typing import TYPE_CHECKING

from clicktrail.errors import InvalidInput
from clicktrail.settings import Settings

if TYPE_CHECKING:
    from clicktrail.ingress.accept import Acceptor
    from clicktrail.ingress.sample import SampleSender
    from clicktrail.relay.maildir import MaildirSmarthost
    from clicktrail.relay.smarthost import SmtpSmarthost

Parts = Callable[[], "tuple[Acceptor, SmtpSmarthost | MaildirSmarthost | None]"]


class Samples:
    """Tries the smarthost, and sends an email to try things with (`console.guide.Sampler`)."""

    def __init__(self, settings: Settings, parts: Parts) -> None:
        self.smarthost = settings.text("smarthost.url")
        self._settings = settings
        self._parts = parts
        self._sender: SampleSender | None = None

    async def try_smarthost(self) -> None:
        """Connect to the smarthost, with TLS and AUTH. Raises `ClicktrailError`."""
        await self._loaded().try_smarthost()

    async def send(self, sender: str, recipient: str, set_name: str, target: str) -> str:
        """Send an email with a link to ``target``; return its id. Raises `ClicktrailError`."""
        return await self._loaded().send(sender, recipient, set_name, target)

    def _loaded(self) -> "SampleSender":
        from clicktrail.ingress.sample import SampleSender

        if self._sender is None:
            acceptor, smarthost = self._parts()
            if smarthost is None:
                raise InvalidInput("smarthost.url is empty: say where emails go")
            self._sender = SampleSender(acceptor, smarthost, self._settings.hostname)
        return self._sender
