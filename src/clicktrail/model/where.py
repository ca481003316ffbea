"""What of all that was counted is looked at."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Where:
    """What is looked at. What is not given lets everything through; ``""`` stands for none.

    Days are ``2026-11-23``; both ends of a period belong to it.
    """

    configuration_set: str | None = None
    identity: str | None = None
    provider: str | None = None
    since: str | None = None
    until: str | None = None
    tag: tuple[str, str] | None = None
    """A link tag and its value: only clicks of such links, and neither links nor hours."""
    program: str | None = None
    """A program and device: only clicks by these. By them, emails and tags are not known either."""
