"""For tests of publishing: a store in a file, a journal in memory, and what lies between."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from inspect import isawaitable
from typing import Any

from clicktrail.base.arn import Arn, Kind
from clicktrail.base.ids import new_id, now_us
from clicktrail.errors import DeliveryFailed
from clicktrail.journal.memory import MemoryJournal
from clicktrail.model import (
    Click,
    ConfigurationSet,
    EventDestination,
    EventType,
    Identity,
    Link,
    Message,
)
from clicktrail.publish.deliver import Deliverer, Retry
from clicktrail.publish.destinations import BatchDestination
from clicktrail.publish.publisher import Publisher
from clicktrail.store import Store
from support.service import PATIENCE

BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
HOUR = 3_600_000_000


class Receiver:
    """A destination of the kind ``webhook`` that keeps what it is sent."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []
        self.events: dict[str, dict[str, Any]] = {}
        self.error: DeliveryFailed | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.slow: set[str] = set()
        """URLs that never answer while the gate is shut."""

    async def send(self, arn: Arn, event_id: str, payload: bytes) -> None:
        self.calls.append((arn.name, event_id))
        if not self.slow or arn.name in self.slow:
            await self.gate.wait()
        if self.error is not None:
            raise self.error
        self.events[event_id] = json.loads(payload)

    async def close(self) -> None:
        pass


@dataclass
class House:
    """Everything between a click and its notification."""

    url: str
    store: Store
    journal: MemoryJournal
    receiver: Receiver
    others: dict[Kind, BatchDestination] = field(default_factory=dict)
    """What sends to kinds that take batches."""

    def deliverer(self, retry: Retry | None = None, **options: Any) -> Deliverer:
        return Deliverer(
            self.store,
            {Kind.WEBHOOK: self.receiver, **self.others},
            retry or Retry(first=0.01, most=0.02),
            **options,
        )

    def publisher(self, journal: MemoryJournal | None = None) -> Publisher:
        return Publisher(journal or self.journal, self.store, self.deliverer())

    @asynccontextmanager
    async def publishing(self, **options: Any) -> AsyncIterator[Publisher]:
        publisher = Publisher(self.journal, self.store, self.deliverer(**options))
        await publisher.start()
        try:
            yield publisher
        finally:
            await publisher.stop()

    async def configuration_set(
        self, name: str = "news", *destinations: EventDestination, engagement: bool = False
    ) -> None:
        made = ConfigurationSet(name, engagement, destinations=destinations)
        await self.store.configuration.create_set(made)

    async def message(self, **changes: Any) -> Message:
        at = changes.pop("accepted_at", now_us() - HOUR)
        made = Message(
            id=new_id(at),
            accepted_at=at,
            source="news@example.com",
            recipients=("someone@gmail.com",),
            identity=Identity("the-identity", "example.com"),
            configuration_set="news",
            source_ip="192.0.2.7",
            headers=(("From", "News <news@example.com>"), ("Subject", "Hello")),
            links=tuple(
                Link(n, f"https://example.com/{n}", (("place", "top"), ("n", str(n))))
                for n in range(5)
            ),
        )
        made = replace(made, **changes)
        await self.store.messages.add(made)
        return made

    async def events(self, stream: str = "clicks") -> list[dict[str, Any]]:
        found = await self.store.streams.read(stream, 0, 10_000)
        return [json.loads(event.payload) for event in found]

    async def nothing_waits(self) -> bool:
        return not any(waiting.count for waiting in await self.store.outbox.waiting())

    async def publish(self) -> int:
        """Publish what the journal holds, as the publisher does."""
        entries = await self.journal.read(10_000, 0.01)
        new = await self.publisher().publish(entries)
        await self.journal.commit(entries)
        return new


async def until(condition: Callable[[], object]) -> None:
    """Return when the condition holds; it may be a function or a coroutine function."""
    async with asyncio.timeout(PATIENCE):
        while True:
            holds = condition()
            if await holds if isawaitable(holds) else holds:
                return
            await asyncio.sleep(0.01)


def click(message: Message, link: int = 0, **changes: Any) -> Click:
    at = changes.pop("clicked_at", now_us())
    made = Click(
        event_id=new_id(at),
        message_id=message.id,
        link=link,
        url=message.links[link].url,
        clicked_at=at,
        ip="198.51.100.3",
        user_agent=BROWSER,
    )
    return replace(made, **changes)


def to_stream(name: str = "clicks", *types: EventType) -> EventDestination:
    return EventDestination(
        name, f"arn:clicktrail:stream:::{name}", frozenset(types or (EventType.CLICK,))
    )


def to_webhook(name: str = "hook", *types: EventType) -> EventDestination:
    return EventDestination(
        name,
        f"arn:clicktrail:webhook:::https://{name}.example/",
        frozenset(types or (EventType.CLICK,)),
    )
