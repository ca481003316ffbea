"""What a configuration set says of links and recipients."""

from dataclasses import dataclass

from clicktrail.model.thresholds import USUAL, Thresholds


@dataclass(frozen=True, slots=True)
class Rules:
    """What a configuration set says of links and recipients (docs/rules.md)."""

    no_track_hosts: tuple[str, ...] = ()
    """Hosts whose links stay as they are; ``*.example.com`` is every one below it."""
    only_track_hosts: tuple[str, ...] = ()
    """Where it is not empty, the links of all other hosts stay as they are."""
    track_unsubscribe: bool = True
    """Whether links to where the email's List-Unsubscribe leads are tracked."""
    no_track_text: str = ""
    """A regular expression: URLs with a match stay as they are."""
    append: str = ""
    """Parameters that URLs get, ``a=b&c={tag:d}``, but for those that they have."""
    archives: tuple[str, ...] = ()
    """Addresses and ``@domains`` that are no recipients where an email may have only one."""
    link_limit: int = 2000
    """Characters of a tracking link; URLs of which it would be longer stay. 0 for no limit."""
    pass_parameters: bool = False
    """Whether what somebody appends to a tracking link is appended to its URL."""
    anonymous: bool = False
    """Whether links say nothing of an email but its configuration set, day and provider."""
    thresholds: Thresholds = USUAL
    """From what on a click is no person's."""


NO_RULES = Rules()
"""Those of a new configuration set."""
