"""What is wrong just now, in a line for each: nothing where nothing is."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from clicktrail.base.ids import now_us
from clicktrail.model import MessageState
from clicktrail.store import Store

LOOKED_AT = 20
"""Emails, the newest."""
LATELY_US = 3600 * 1_000_000
_MANY = 0.25


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that is wrong. ``href`` leads to more about it."""

    text: str
    href: str = ""
    link: str = ""


async def troubles(store: Store, notices: Iterable[str] = ()) -> list[Trouble]:
    """Return what is wrong, and what else people should look after: ``notices``, sentences.

    Raises `StoreUnavailable`.
    """
    dead, sending = await asyncio.gather(store.outbox.count_dead(), _sending(store))
    found = [*sending, *(Trouble(each) for each in notices)]
    if dead:
        text = f"{dead:,} notification{'' if dead == 1 else 's'} could not be delivered."
        found.append(Trouble(text, "/dead-letters", "Dead letters"))
    return found


async def _sending(store: Store) -> list[Trouble]:
    since = now_us() - LATELY_US
    newest = [m for m in await store.browse.messages(LOOKED_AT) if m.accepted_at >= since]
    found = []
    for state, text in (
        (MessageState.REFUSED, "The smarthost refused {} of the last {} emails."),
        (MessageState.UNKNOWN, "The smarthost did not answer to {} of the last {} emails."),
    ):
        count = sum(each.state is state for each in newest)
        if count and count >= _MANY * len(newest):
            found.append(Trouble(text.format(count, len(newest)), "/messages", "Emails"))
    return found
