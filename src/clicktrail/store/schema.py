"""All tables, for who goes through them: migrations make them, and a test compares the two.

They are in `store.tables` (the configuration), `store.people.tables`, `store.mail.tables` and
`store.clicks.tables`; what they have in common is told in `store.database.metadata`.
"""

import clicktrail.store.clicks.tables
import clicktrail.store.mail.tables
import clicktrail.store.people.tables
import clicktrail.store.tables  # noqa: F401 - a table is registered when its module is imported
from clicktrail.store.database.metadata import metadata

__all__ = ("metadata",)
