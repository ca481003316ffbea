"""What the roles of one process share: settings, keys, store, faults, and what ends with them."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from clicktrail.base.faults import Faults
from clicktrail.base.metrics import Metrics
from clicktrail.keys.ringfile import KeyFile
from clicktrail.service.checkup import Try
from clicktrail.service.parts.folder import new_data_folder
from clicktrail.service.shared import Shared
from clicktrail.settings.settings import Settings

if TYPE_CHECKING:
    from clicktrail.relay.maildir import MaildirSmarthost
    from clicktrail.relay.smarthost import SmtpSmarthost
    from clicktrail.store import Store


class House:
    """Roles put into it what they build. Raises `SettingError` where the data folder is none."""

    def __init__(
        self, settings: Settings, roles: Sequence[str], shared: Shared | None = None
    ) -> None:
        self.settings = settings
        self.roles = roles
        self.shared = shared or Shared()
        self.folder = new_data_folder(settings)
        self.faults = Faults()
        """What does not work; parts that can tell get it."""
        self.keys = KeyFile(self.folder / "keys.json")
        self.metrics = Metrics()
        self.tries: dict[str, Try] = {"keys": self._look_at_keys}
        """What is looked at now and then (`service.checkup`), by its name."""
        self.ends: list[Callable[[], Awaitable[None]]] = []
        """What stops what was built; the last one goes first."""
        self.reloads: list[tuple[str, Callable[[], None]]] = [("keys", self.keys.reload)]
        """What reads its files again at SIGHUP."""
        self.lines: list[str] = []
        """Where the roles listen, for people."""
        self.store: Store | None = None
        self.smarthost: SmtpSmarthost | MaildirSmarthost | None = None
        self.opening = asyncio.Lock()
        """Held while the store is opened."""

    async def close(self) -> None:
        """End what was built, the last first: nothing that has begun is lost."""
        while self.ends:
            await self.ends.pop()()

    async def _look_at_keys(self) -> None:
        await asyncio.to_thread(self.keys.check)
