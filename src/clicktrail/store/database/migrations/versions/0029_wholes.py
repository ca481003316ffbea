"""Emails are found by whole addresses, domains and Message-IDs too: the index is made anew."""

from alembic import op

from clicktrail.store.finding.damage import FORMER, begin_anew, remove_empty

revision = "0029"
down_revision = "0028"


def upgrade() -> None:
    """Begin it; the publisher fills it, the newest emails first, and retention removes the old."""
    begin_anew(op.get_bind(), FORMER)
    remove_empty(op.get_bind())
