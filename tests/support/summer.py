"""Emails of a mailing of a summer's day, in a store."""

from dataclasses import replace

from clicktrail.base.ids import new_id
from clicktrail.model import Link, Message, MessageState
from clicktrail.store import Store

DAY = 1_790_000_000_000_000  # 2026-09-21


async def sent(
    store: Store, at: int = DAY, state: MessageState = MessageState.SENT, **changes: object
) -> Message:
    made = Message(
        id=new_id(at),
        accepted_at=at,
        source="news@example.com",
        recipients=("Someone@Gmail.com",),
        configuration_set="news",
        headers=(("Subject", "Our summer offers"), ("Message-ID", "<one.two@example.com>")),
        tags={"campaign": ["summer"]},
        links=(Link(0, "https://example.com/a"), Link(1, "https://example.com/b")),
    )
    made = replace(made, **changes)  # type: ignore[arg-type]
    await store.messages.add(made)
    taken = made.recipients if state is MessageState.SENT else ()
    await store.messages.finish(made.id, state, taken, at)
    return made


async def indexed(store: Store) -> None:
    while await store.search.index(100):
        pass
