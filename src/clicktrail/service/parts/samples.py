"""Sends the set-up guide's email.

What that needs is loaded when it is asked for: few installations need it, and once.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from clicktrail.service.house import House
from clicktrail.store import Store

if TYPE_CHECKING:
    from clicktrail.ingress.compose.sample import SampleSender


class Samples:
    """Tries the smarthost, and sends an email to try things with (`console.guide.Sampler`)."""

    def __init__(self, house: House, store: Store) -> None:
        self.smarthost = house.settings.shown("smarthost.url")
        self.smtp = house.settings.shown("smtp.listen")
        self.api = f"http://{house.settings.shown('api.listen')}"
        self._house = house
        self._store = store
        self._sender: SampleSender | None = None

    async def try_smarthost(self) -> None:
        """Connect to the smarthost, with TLS and AUTH. Raises `ClicktrailError`."""
        await self._loaded().try_smarthost()

    async def send(self, sender: str, recipient: str, set_name: str, target: str) -> str:
        """Send an email with a link to ``target``; return its id. Raises `ClicktrailError`."""
        return await self._loaded().send(sender, recipient, set_name, target)

    def _loaded(self) -> "SampleSender":
        if self._sender is None:
            sending = import_module("clicktrail.service.parts.sending")
            self._sender = sending.sample_sender(self._house, self._store)
        return self._sender
