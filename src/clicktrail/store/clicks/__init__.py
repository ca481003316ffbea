"""Clicks in the store: rows, counters, events for streams and destinations."""
