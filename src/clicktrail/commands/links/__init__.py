"""``clicktrail link``: what tracking links hold, and where they lead."""
