"""What the console tries things with: sends the set-up guide's email, renders templates.

What that needs is loaded when it is asked for: few installations need it, or once.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING

from clicktrail.service.house import House
from clicktrail.store import Store
from clicktrail.store.mail.templates import EmailTemplate

if TYPE_CHECKING:
    from clicktrail.ingress.compose.sample import SampleSender
    from clicktrail.ingress.compose.template_process import TemplateProcesses


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


class Trials:
    """Renders templates with data (`console.mailtemplates.Render`). `stop` ends what does it."""

    MOST = 1024 * 1024
    """Characters that a part may have, to be looked at."""

    def __init__(self, house: House) -> None:
        self._escape = house.settings["api.escape_templates"] == "yes"
        self._processes: TemplateProcesses | None = None

    async def render(self, template: EmailTemplate, data: str) -> Mapping[str, str]:
        """Return the parts of the email. Raises `RenderingFailed`, `TooManyTemplates`."""
        if self._processes is None:
            processes = import_module("clicktrail.ingress.compose.template_process")
            self._processes = processes.TemplateProcesses()
        parts = {"Subject": template.subject, "Text": template.text, "Html": template.html}
        sources = {name: source for name, source in parts.items() if source}
        work = import_module("clicktrail.ingress.compose.template").Work
        return await self._processes.render(work(sources, data, self._escape, self.MOST))

    async def stop(self) -> None:
        """End the processes."""
        if self._processes is not None:
            await self._processes.stop()
