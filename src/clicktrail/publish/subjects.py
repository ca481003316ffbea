"""What is told and counted of the emails that clicks belong to."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from clicktrail.base.ids import hour_of
from clicktrail.model import Message
from clicktrail.model.anonymous import is_anonymous, provider_in, read_anonymous, set_in
from clicktrail.publish.event import anonymous_mail_object, mail_object, reduced_mail_object
from clicktrail.store import Store
from clicktrail.store.clicks.statistics import Dimensions
from clicktrail.store.configuration import Configuration
from clicktrail.store.mail.grouping import mailings_of
from clicktrail.store.mail.pages import version_of
from clicktrail.store.mail.rows import Origin

LinkTags = tuple[tuple[str, str], ...]

REMEMBERED_BYTES = 32 * 1024 * 1024
"""How much of emails is remembered: some ten thousand, or fewer with many or long headers."""


_NOWHERE = Origin("", "", "")


@dataclass(frozen=True, slots=True)
class Subject:
    """One email. ``origin`` is ``None`` where nothing but its id is known any more."""

    mail: bytes
    """The ``mail`` object of its notifications."""
    origin: Origin | None
    accepted_at: int | None = None
    links: int = 0
    """How many tracked links it has; 0 where that is not known."""
    tags: Mapping[int, LinkTags] = field(default_factory=dict)
    """The tags of its links, by index."""
    mailings: tuple[bytes, ...] = ()
    """Digests of the mailings that it belongs to."""
    version: bytes = b""
    """Which version of them it is (`clicktrail.store.mail.pages`)."""
    readers: tuple[str, ...] = ()
    """Envelope recipients; none where they are not known any more."""

    @property
    def configuration_set(self) -> str | None:
        """The name of its configuration set, ``""`` for none; ``None`` where nobody knows."""
        return self.origin.configuration_set if self.origin else None

    def counted_at(self, at: int) -> Dimensions:
        """Return what something that happened at a time is counted by, to the hour."""
        origin = self.origin or _NOWHERE
        return Dimensions(hour_of(at), origin.configuration_set, origin.identity, origin.provider)


class Subjects:
    """Looks emails up; remembers those that were clicked last, up to a size in bytes."""

    def __init__(self, store: Store, remembered: int = REMEMBERED_BYTES) -> None:
        self._store = store
        self._most = remembered
        self._known: OrderedDict[str, Subject] = OrderedDict()
        self._version = -1
        self._size = 0

    async def of(
        self, message_ids: Iterable[str], configuration: Configuration
    ) -> dict[str, Subject]:
        """Return the subject of every id. Raises `StoreUnavailable`.

        The configuration's version grows too when a person is erased: then nothing that was
        remembered may be told any more.
        """
        version = configuration.version
        if version != self._version:
            self._known.clear()
            self._size = 0
            self._version = version
        wanted = dict.fromkeys(message_ids)
        found: dict[str, Subject] = {}
        for message_id in wanted:
            if is_anonymous(message_id):
                found[message_id] = nameless_subject(message_id, configuration)
                continue
            subject = self._known.get(message_id)
            if subject is not None:
                self._known.move_to_end(message_id)
                found[message_id] = subject
        missing = [message_id for message_id in wanted if message_id not in found]
        if missing:
            for message_id, message in (await self._store.messages.get_many(missing)).items():
                found[message_id] = subject = _subject(message)
                if version == self._version:  # else it may have been read before it was erased
                    self._remember(message_id, subject)
        gone = [message_id for message_id in missing if message_id not in found]
        if gone:
            origins = await self._store.messages.origins(gone)
            for message_id in gone:
                mail = reduced_mail_object(message_id)
                found[message_id] = Subject(mail, origins.get(message_id))
        return found

    def _remember(self, message_id: str, subject: Subject) -> None:
        former = self._known.pop(message_id, None)  # somebody else looked it up meanwhile
        self._size += len(subject.mail) - (len(former.mail) if former else 0)
        self._known[message_id] = subject
        while self._size > self._most:
            _, forgotten = self._known.popitem(last=False)
            self._size -= len(forgotten.mail)


def _subject(message: Message) -> Subject:
    return Subject(
        mail_object(message),
        Origin.of(message),
        message.accepted_at,
        len(message.links),
        {link.index: _shared(link.tags) for link in message.links if link.tags},
        tuple(key.digest for key in mailings_of(message)),
        version_of(message.links),
        message.recipients,
    )


def nameless_subject(message_id: str, configuration: Configuration) -> Subject:
    """Return what is known where `is_anonymous` is true of what stands for an email's id."""
    origin = read_anonymous(message_id)
    name = set_in(origin, configuration.sets)
    return Subject(anonymous_mail_object(name), Origin(name, "", provider_in(origin)))


@lru_cache(10_000)
def _shared(tags: LinkTags) -> LinkTags:
    """Return the same object for the same tags: all emails of a mailing have them."""
    return tags
