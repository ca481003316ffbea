"""What people should look after, in sentences: for those who look at the console."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path

from clicktrail.base.ids import now_us
from clicktrail.journal.sqlite_reader import oldest_waiting
from clicktrail.relay import smarthost_place
from clicktrail.service.condition import certificates_of, complaints
from clicktrail.settings.kinds import Address
from clicktrail.settings.settings import Settings
from clicktrail.store import Store

BEHIND_US = 60 * 1_000_000
"""Clicks that wait for so long to be counted are told."""
ENDS_SOON = timedelta(days=7)
CERTIFICATES = ("redirect", "smtp")
AGAIN_SECONDS = 30.0
"""So often at the most the smarthost is called, while somebody looks."""
PATIENCE = 5.0


class Notices:
    """Looks at what is wrong. Call it for the sentences; it raises `StoreUnavailable`."""

    def __init__(self, settings: Settings, folder: Path, store: Store) -> None:
        self._settings = settings
        self._folder = folder
        self._store = store
        self._smarthost = ""
        self._called_at = -AGAIN_SECONDS
        self._calling: asyncio.Task[None] | None = None

    async def __call__(self) -> Sequence[str]:
        """Return what is wrong, a sentence each. Nobody waits for the smarthost: what it answers
        is told the next time."""
        self._call_now_and_then()
        found = complaints(await certificates_of(self._settings, self._store))
        found += await asyncio.to_thread(self._looked_at)
        return [*found, self._smarthost] if self._smarthost else found

    async def called(self) -> None:
        """Wait until a call to the smarthost that is under way has ended."""
        if self._calling is not None:
            await asyncio.wait([self._calling])

    async def stop(self) -> None:
        """End; a call to the smarthost is given up."""
        if self._calling is not None:
            self._calling.cancel()
            with suppress(asyncio.CancelledError):
                await self._calling

    def _looked_at(self) -> list[str]:
        found = []
        oldest = None
        if not self._settings["journal.url"]:
            oldest = oldest_waiting(self._folder / "journal.db")
        if oldest is not None and (late := now_us() - oldest) >= BEHIND_US:
            found.append(
                f"Clicks are counted late: the oldest that waits is {_minutes(late)} old. Is a"
                " publisher running?"
            )
        now = datetime.now(UTC)
        for owner in CERTIFICATES:
            if path := self._settings[f"{owner}.tls_certificate"]:
                checks = import_module("clicktrail.service.checks.certificates")
                ends: datetime | None = checks.ends_at(path)
                if ends is not None and ends - now < ENDS_SOON:
                    found.append(
                        f"The certificate of {owner}.tls_certificate"
                        f" {'ended' if ends < now else 'ends'} on {ends:%Y-%m-%d}: renew it."
                    )
        return found

    def _call_now_and_then(self) -> None:
        place = smarthost_place(self._settings) if self._settings["smarthost.url"] else None
        is_due = time.monotonic() - self._called_at >= AGAIN_SECONDS
        if isinstance(place, Address) and is_due and self._calling is None:
            self._called_at = time.monotonic()
            self._calling = asyncio.create_task(self._call(place))

    async def _call(self, place: Address) -> None:
        """See whether the smarthost is there and greets us (RFC 5321 § 3.1)."""
        try:
            self._smarthost = await self._complaint_of(place)
        finally:
            self._calling = None

    async def _complaint_of(self, place: Address) -> str:
        name = f"The smarthost {place.host}:{place.port}"
        tls = self._settings.shown("smarthost.url").startswith("smtps:")
        try:
            async with asyncio.timeout(PATIENCE):
                reader, writer = await asyncio.open_connection(place.host, place.port)
                try:
                    if tls:  # that it listens is enough: it speaks TLS from the start
                        return ""
                    greeting = (await reader.readline()).decode("ascii", "replace").strip()
                    writer.write(b"QUIT\r\n")
                finally:
                    writer.close()
                    with suppress(OSError):
                        await writer.wait_closed()
        except TimeoutError:
            return f"{name} does not answer: no email can leave."
        except (OSError, ValueError):
            return f"{name} cannot be reached: no email can leave."
        return "" if greeting.startswith("2") else f"{name} refuses us: {greeting[:200]}"


def _minutes(microseconds: int) -> str:
    minutes = microseconds // BEHIND_US
    if minutes >= 120:
        return f"{minutes // 60} hours"
    return f"{minutes} minute{'' if minutes == 1 else 's'}"
