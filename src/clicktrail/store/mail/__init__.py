"""Emails in the store: rows, contents, search, mailings."""
