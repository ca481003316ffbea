"""Emails of anonymous configuration sets: what is told is of nobody, whatever their links say."""

from dataclasses import replace

from clicktrail.model import Click
from clicktrail.model.anonymous import anonymous_origin, is_anonymous
from clicktrail.publish.event import anonymous_mail_object
from clicktrail.publish.subjects import Subject, nameless_subject
from clicktrail.publish.visitor_verdict.signs import NO_USER_AGENT
from clicktrail.store.configuration import Configuration


def signs_that_count(click: Click, signs: int) -> int:
    """Return the signs of a click that say something of it: nobody looked at its User-Agent."""
    return signs & ~NO_USER_AGENT if is_anonymous(click.message_id) else signs


def without_email(
    click: Click, subjects: dict[str, Subject], configuration: Configuration
) -> Click:
    """Return a click that does not say of which email it is, where its set is anonymous now.

    So it is with links that were sealed before the set was. ``subjects`` gets what stands in the
    place of the email.
    """
    subject = subjects[click.message_id]
    if is_anonymous(click.message_id) or subject.origin is None:
        return click
    name = subject.origin.configuration_set
    if not _is_anonymous(name, configuration):
        return click
    if subject.accepted_at is None:
        # Its contents are gone: its id leads to nobody, and the store knows by it who was erased.
        subjects[click.message_id] = replace(subject, mail=anonymous_mail_object(name))
        return replace(click, ip="", user_agent="")
    reader = subject.readers[0] if subject.readers else ""
    id_ = anonymous_origin(name, reader, subject.accepted_at).text
    subjects[id_] = nameless_subject(id_, configuration)
    return replace(click, message_id=id_, ip="", user_agent="")


def told_of(mail: bytes, set_name: str, configuration: Configuration) -> bytes:
    """Return the ``mail`` object that events of an email of that set may have."""
    return anonymous_mail_object(set_name) if _is_anonymous(set_name, configuration) else mail


def _is_anonymous(set_name: str, configuration: Configuration) -> bool:
    owner = configuration.sets.get(set_name)
    return owner is not None and owner.rules.anonymous
