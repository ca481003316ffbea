"""Contact lists, their topics, and who belongs to them: the shapes of SES's list management."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class SubscriptionStatus(StrEnum):
    """Whether somebody gets the emails of a topic (``SubscriptionStatus`` of SES)."""

    OPT_IN = "OPT_IN"
    OPT_OUT = "OPT_OUT"


class ListOptions(NamedTuple):
    """Which list an email belongs to (``ListManagementOptions`` of SES)."""

    contact_list: str
    topic: str = ""
    """``""``: none of its topics."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """Somebody's place on a list: what an unsubscribe link holds."""

    contact_list: str
    topic: str
    """``""``: the list as a whole."""
    address: str

    def packed(self) -> str:
        """Return it as the text of a token. Neither of the first two holds a line break."""
        return f"{self.contact_list}\n{self.topic}\n{self.address}"

    @classmethod
    def unpacked(cls, text: str) -> "Subscription":
        """Return what `packed` made a text of. Raises `ValueError` for another."""
        contact_list, topic, address = text.split("\n", 2)
        return cls(contact_list, topic, address)


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic of a contact list (``Topic`` of SES)."""

    name: str
    display_name: str
    default: SubscriptionStatus
    """What holds for who has said nothing of it."""
    description: str = ""


@dataclass(frozen=True, slots=True)
class ContactList:
    """A contact list."""

    name: str
    created_at: int
    updated_at: int
    description: str = ""
    topics: tuple[Topic, ...] = ()
    tags: tuple[tuple[str, str], ...] = ()
    is_damaged: bool = False
    """Whether its topics cannot be read: nobody knows whom their defaults spare."""

    def default(self, topic: str) -> SubscriptionStatus:
        """Return what holds for who has said nothing of a topic; of one that is not on the list,
        ``OPT_IN``."""
        known = (each.default for each in self.topics if each.name == topic)
        return next(known, SubscriptionStatus.OPT_IN)


@dataclass(frozen=True, slots=True)
class Contact:
    """Somebody on a contact list. ``preferences`` are by topic."""

    address: str
    created_at: int
    updated_at: int
    preferences: tuple[tuple[str, SubscriptionStatus], ...] = ()
    unsubscribed: bool = False
    """From all topics (``UnsubscribeAll``)."""
    attributes: str = ""
    """``AttributesData``: given back as it is."""

    def wants(self, topic: str, default: SubscriptionStatus) -> bool:
        """Whether they get emails of a topic; ``""``: of the list as a whole."""
        if self.unsubscribed:
            return False
        status = dict(self.preferences).get(topic, default) if topic else SubscriptionStatus.OPT_IN
        return status is SubscriptionStatus.OPT_IN
