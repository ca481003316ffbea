"""What an email's newest clicks say of one another, with more of each of them.

What was remembered is in another form, and of a week: it is forgotten. The verdicts stay.
"""

from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Forget what is in the former form."""
    op.execute("DELETE FROM evidence")
