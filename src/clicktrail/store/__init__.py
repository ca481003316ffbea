"""What is kept: configuration, users, emails, clicks, counters, notifications. SQL lives here."""

from clicktrail.store.store import Store

__all__ = ("Store",)
