"""A click as people see it: whose, in which email, on which words."""

from collections.abc import Sequence
from dataclasses import dataclass

from clicktrail.model import Link
from clicktrail.model.anonymous import is_anonymous
from clicktrail.store import Store
from clicktrail.store.mail.browse import ClickRow
from clicktrail.store.mail.grouping import subject_of


@dataclass(frozen=True, slots=True)
class Seen:
    """A click with its email and its link. What was forgotten, or is not kept, is empty."""

    row: ClickRow
    link: Link | None
    of: int
    """How many links the email has."""
    recipient: str = ""
    subject: str = ""
    text: str = ""
    """What can be read on the link."""

    @property
    def is_anonymous(self) -> bool:
        """Whether its link does not say of which email it is."""
        return is_anonymous(self.row.click.message_id)


async def seen_of(store: Store, rows: Sequence[ClickRow]) -> list[Seen]:
    """Look up what clicks are of, in their order. Raises `StoreUnavailable`."""
    ids = {row.click.message_id for row in rows}
    known = await store.messages.get_many(ids) if ids else {}
    texts = await store.trail.link_texts(known)
    found = []
    for row in rows:
        message = known.get(row.click.message_id)
        if message is None:
            found.append(Seen(row, None, 0))
            continue
        at = row.click.link
        link = next((each for each in message.links if each.index == at), None)
        found.append(
            Seen(
                row,
                link,
                len(message.links),
                ", ".join(message.recipients[:1]),
                subject_of(message.headers),
                texts.get(message.id, {}).get(at, ""),
            )
        )
    return found
