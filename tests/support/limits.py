"""Emails as they are kept, with as much in them as a test wants."""

from clicktrail.base.ids import new_id, now_us
from clicktrail.model import Message, Tags


def message_with(subject: str = "", to: str = "", tags: Tags | None = None) -> Message:
    """Return an email with these headers and tags."""
    return Message(
        id=new_id(now_us()),
        accepted_at=now_us(),
        source="a@example.com",
        recipients=("b@example.com",),
        identity=None,
        configuration_set=None,
        source_ip=None,
        headers=(("Subject", subject), ("To", to)),
        tags=tags or {},
    )
