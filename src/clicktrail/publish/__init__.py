"""Clicks after the redirect: judged, counted, and told to event destinations.

`publisher` turns the journal's clicks into rows of the store, `deliver` sends what lies in the
outbox. They meet in the store only.
"""
