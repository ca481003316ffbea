"""What redirects are told beside what links hold: where links lead since they were changed, whose
clicks are not logged, and the topics of contact lists."""

import msgspec


class LinkChange(msgspec.Struct, frozen=True):
    """A change of all links to a URL, in emails that were sent and in those to come."""

    id: str
    url: str
    """As the emails had it."""
    destination: str | None
    """Where the links lead now; ``None`` for nowhere: they are blocked."""
    because: str = ""
    """What people are told who click a link that is blocked."""
    configuration_set: str = ""
    """Only links in emails of this configuration set, where one is named."""
    since: int = 0
    """Only links in emails accepted since then, in microseconds since 1970 UTC."""
    made_at: int = 0
    made_by: str = ""
    undone_at: int = 0
    """0 while it holds."""
    undone_by: str = ""


class ListTopics(msgspec.Struct, frozen=True):
    """A contact list with several topics: what people choose from who leave it."""

    name: str
    topics: tuple[tuple[str, str], ...]
    """Each with its name for people."""


class Orders(msgspec.Struct, frozen=True):
    """All that holds now, or what of it is new to whoever asked.

    ``version`` tells it apart from what held before: it has that of each part, with a space between
    them.
    """

    version: str
    changes: tuple[LinkChange, ...] | None = ()
    """The newest first: of several for a URL, it holds. ``None`` for those that are known."""
    untracked: bytes | None = b""
    """Emails whose clicks are not logged: `digest_of` of each, sorted. ``None`` for those that are
    known: there may be millions."""
    lists: tuple[ListTopics, ...] | None = ()
    """``None`` for those that are known."""

    @property
    def untracked_version(self) -> str:
        """That of ``untracked``."""
        return self.version.partition(" ")[2].partition(" ")[0]

    def over(self, known: "Orders") -> "Orders":
        """Return all that holds, of which these are new to who knows the rest."""
        return Orders(
            self.version,
            known.changes if self.changes is None else self.changes,
            known.untracked if self.untracked is None else self.untracked,
            known.lists if self.lists is None else self.lists,
        )


def digest_of(message_id: bytes) -> bytes:
    """Return eight bytes that tell an email apart: of the 16 of its id, such as are chance."""
    return message_id[6:14]
