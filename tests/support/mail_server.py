"""A mail server behind Clicktrail: a smarthost that keeps what it gets."""

from typing import Any, Self

from aiosmtpd.controller import Controller

from support.ports import Ports
from support.service import wait_for


class MailServer:
    """Takes emails on a loopback port of its own, but none for the address ``refuse``."""

    def __init__(self, refuse: str = "") -> None:
        self.emails: list[bytes] = []
        self.refuse = refuse
        self._ports = Ports(1)
        [self.port] = self._ports
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port)

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._controller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._controller.stop()

    def arrived(self) -> bytes:
        """Return the newest email, as soon as there is one."""
        wait_for(lambda: self.emails or None, "an email")
        return self.emails[-1]

    async def handle_RCPT(
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any
    ) -> str:
        if address == self.refuse:
            return "550 5.1.1 nobody here has that name"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 ok"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
        self.emails.append(envelope.content)
        return "250 2.0.0 taken"
