"""Clicks, one by one: as they come, and those of one email."""
